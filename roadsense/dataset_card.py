"""What a dataset is, for a person who opens its folder."""

from pathlib import Path


def write_card(folder: str | Path) -> None:
    """Writes `README.md` and `coverage.png` into a dataset's folder."""
