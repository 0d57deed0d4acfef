"""Compares trained policies number by number, without loading or trusting their files.

Stable-Baselines3's `model.zip` holds zips of torch. Their records `<name>/data/<key>` hold all numbers of the weights
and of the optimiser, as in memory. So no code from the files runs, and torch is not needed.
"""

import io
import zipfile
from pathlib import Path

from roadsense.errors import RoadSenseError

RECORDS = ".pth"


class DifferenceError(RoadSenseError):
    """Raised when two results differ that should be the same."""


def compare_weights(one: Path, other: Path) -> int:
    """Compares the weights of two policies, and the state of their optimisers.

    Args:
        one: `model.zip` of the first policy.
        other: `model.zip` of the second policy.

    Returns:
        Size of the compared numbers, bytes.

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
    """Returns the numbers in a policy's file, by record name.

    Raises:
        DifferenceError: if the file is not a policy.
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
        # The first part is the archive's own name, which has no meaning.
        names = [(name, name.partition("/")[2]) for name in archive.namelist()]
        return [(place, archive.read(name)) for name, place in names if place.startswith("data/")]
