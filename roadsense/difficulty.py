"""How hard a scenario is."""

from collections.abc import Sequence
from pathlib import Path


def measure_difficulty(config_paths: Sequence[Path], workers: int = 0) -> list[dict[str, float | None]]:
    """Returns how hard each scenario is, in the order given."""
    return [{} for _ in config_paths]
