"""Compares trained policies number by number, without loading or trusting what is in their files.

Stable-Baselines3's `model.zip` holds zips of torch; each number of a weight or of the optimiser lies in one of their
records `<name>/data/<key>`, as it is in memory. So no code of either file is run, and no torch is needed.
"""

import io
import zipfile
from pathlib import Path

from roadsense.errors import RoadSenseError

RECORDS = ".pth"


class DifferenceError(RoadSenseError):
    """Raised when two results that ought to be the same are not."""


def compare_weights(one: Path, other: Path) -> int:
    """Compares what two policies have learned, the optimiser's state included.

    Args:
        one: a `model.zip`.
        other: another.

    Returns:
        How many bytes of numbers were compared.

    Raises:
        DifferenceError: naming the first record that differs, or if there is nothing to compare.
    """
    ours, theirs = read_records(one), read_records(other)
    wrong = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    if wrong:
        raise DifferenceError(f"Expected the same weights in {one} and {other}, but {len(wrong)} differ: {wrong[:3]}.")
    size = sum(len(content) for content in ours.values())
    if not size:
        raise DifferenceError(f"Expected weights in {one} and {other}, found none.")
    return size


def read_records(model: Path) -> dict[str, bytes]:
    """Returns the numbers a policy's file holds, by the record's name.

    Raises:
        DifferenceError: if it is no such file.
    """
    records: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(model) as archive:
            for member in archive.namelist():
                if member.endswith(RECORDS):
                    records |= {f"{member}:{name}": content for name, content in _read_torch(archive.read(member))}
    except (OSError, zipfile.BadZipFile) as error:
        raise DifferenceError(f"Expected a policy in {model}: {error}.") from error
    return records


def _read_torch(content: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # The archive's own name comes first; it is of no meaning.
        names = [(name, name.partition("/")[2]) for name in archive.namelist()]
        return [(place, archive.read(name)) for name, place in names if place.startswith("data/")]
