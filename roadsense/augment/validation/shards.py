"""A large dataset proven in parts, on as many machines: each proves its share of the draws, one puts them together.

A draw is decided by the settings, its number and how often it was drawn again, not by who proves it. So a dataset put
together is the one that a single machine makes, byte for byte; a draw that no part has proven is proven at the end.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from roadsense.augment.validation.slots import Slot
from roadsense.errors import DatasetError
from roadsense.scenarios.records import ScenarioRecord
from roadsense.utils.files import write_atomically

if TYPE_CHECKING:
    from roadsense.episodes.difficulty import Difficulty

SHARD_NAME = "shard.json"
OUTCOMES, SCENARIOS = "outcomes", "dataset"


def own_slots(slots: Sequence[Slot], shard: int, n_shards: int) -> list[Slot]:
    """Returns the slots that a shard proves: every `n_shards`-th, beginning with its own number."""
    return [slot for slot in slots if slot.number % n_shards == shard]


@dataclass(frozen=True)
class Shard:
    """What a shard says of itself.

    Attributes:
        key: stands for the settings, base files and versions it was made with.
        shard: its number, from 0.
        n_shards: how many there are.
        difficulty: how hard each of its scenarios is (see `difficulty.py`), by `hash_scenario`.
    """

    key: str
    shard: int
    n_shards: int
    difficulty: Mapping[str, "Difficulty"]


def hash_scenario(record: ScenarioRecord) -> str:
    """Returns what stands for a scenario's files: a draw that takes the place of another has other ones."""
    return hashlib.sha256(json.dumps(record.files, sort_keys=True).encode()).hexdigest()


def write_shard(folder: Path, shard: Shard) -> None:
    """Marks a folder, which holds what was proven, as a shard that is complete."""
    write_atomically(folder / SHARD_NAME, json.dumps(asdict(shard), indent=1, allow_nan=False) + "\n")


def read_shard(folder: Path) -> Shard:
    """Returns what a shard says of itself.

    Raises:
        DatasetError: if the folder is no shard that is complete.
    """
    path = Path(folder) / SHARD_NAME
    if not path.is_file():
        raise DatasetError(f"Expected a shard with {SHARD_NAME} in {folder}, found none: was it ended early?")
    try:
        return Shard(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DatasetError(f"{path} is not one that this version writes ({error}). Make the shard again.") from error


def take_shards(working: Path, shards: Sequence[Path], key: str) -> dict[str, "Difficulty"]:
    """Takes what shards have proven into a working folder; what it has itself stays.

    Returns:
        How hard the shards' scenarios are, as they measured it, by `hash_scenario`.

    Raises:
        DatasetError: if one is no shard, or was made with other settings, base files or versions.
    """
    difficulty: dict[str, Difficulty] = {}
    for folder in shards:
        shard = read_shard(folder)
        if shard.key != key:
            raise DatasetError(
                f"{folder} was made with other settings, base files or versions. Make it again with the same."
            )
        difficulty |= shard.difficulty
    for folder in shards:
        _take(working, Path(folder))
    return difficulty


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
