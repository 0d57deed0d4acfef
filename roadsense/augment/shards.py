"""A large dataset proven in parts, on as many machines: each proves its share of the draws, one puts them together.

A draw is decided by the settings, its number and how often it was drawn again, not by who proves it. So a dataset put
together is the one that a single machine makes, byte for byte; a draw that no part has proven is proven at the end.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from roadsense.augment.slots import Slot
from roadsense.errors import DatasetError
from roadsense.files import write_atomically

SHARD_NAME = "shard.json"
OUTCOMES, SCENARIOS = "outcomes", "dataset"


def own_slots(slots: Sequence[Slot], shard: int, n_shards: int) -> list[Slot]:
    """Returns the slots that a shard proves: every `n_shards`-th, beginning with its own number."""
    return [slot for slot in slots if slot.number % n_shards == shard]


def write_shard(folder: Path, key: str, shard: int, n_shards: int) -> None:
    """Marks a folder as a shard that is complete.

    Args:
        folder: holds what was proven.
        key: stands for the settings and base files.
        shard: its number, from 0.
        n_shards: how many there are.
    """
    write_atomically(
        folder / SHARD_NAME, json.dumps({"key": key, "shard": shard, "n_shards": n_shards}, indent=2) + "\n"
    )


def take_shards(working: Path, shards: Sequence[Path], key: str) -> None:
    """Takes what shards have proven into a working folder; what it has itself stays.

    Raises:
        DatasetError: if one is no shard, or was made with other settings, base files or versions.
    """
    for folder in shards:
        path = Path(folder) / SHARD_NAME
        if not path.is_file():
            raise DatasetError(f"Expected a shard with {SHARD_NAME} in {folder}, found none: was it ended early?")
        if json.loads(path.read_text(encoding="utf-8"))["key"] != key:
            raise DatasetError(
                f"{folder} was made with other settings, base files or versions. Make it again with the same."
            )
    for folder in shards:
        _take(working, Path(folder))


def _take(working: Path, shard: Path) -> None:
    for scenario in sorted((shard / SCENARIOS).glob("*/*")):
        target = working / SCENARIOS / scenario.relative_to(shard / SCENARIOS)
        if not target.exists():
            shutil.copytree(scenario, target)
    # An outcome says that its scenario is complete, so it comes after it.
    for outcome in sorted((shard / OUTCOMES).glob("*.json")):
        target = working / OUTCOMES / outcome.name
        if not target.exists():
            write_atomically(target, outcome.read_text(encoding="utf-8"))
