"""Base scenarios -> dataset: draw, write, prove by simulation, split."""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from roadsense.augment.bases import Base, read_bases
from roadsense.augment.convoy_naming import ConvoyNaming
from roadsense.augment.offers import add_offers
from roadsense.augment.proving import fill_dataset
from roadsense.augment.ranges import VariationRanges, read_ranges
from roadsense.augment.records import ScenarioRecord
from roadsense.augment.shards import OUTCOMES, SCENARIOS, Shard, hash_scenario, take_shards, write_shard
from roadsense.augment.working_folder import clear_strays, hold_working_folder, refuse_existing, release
from roadsense.command import run_command
from roadsense.dataset import SCHEMA_VERSION, Dataset, compute_digest, current_versions, write_manifest
from roadsense.errors import GateError, InputError

if TYPE_CHECKING:
    from roadsense.augment.difficulty import Difficulty

WIDE_FACTOR = 1.5
"""How much wider than the others' the ranges of the split eval_wide are."""

_LEAST = {"seed": 0, "n_train": 1, "n_eval": 1, "n_eval_wide": 0, "workers": 0, "max_refusals_per_base": 0}
_LEAST |= {"n_shards": 1, "shard": 0}
_NO_SETTINGS = ("base_dir", "output_dir", "workers", "ranges_file", "n_shards", "shard", "shards")


@dataclass(frozen=True)
class GenConfig:
    """What dataset to make. The same seed and base files give the same dataset, byte for byte."""

    base_dir: Path = Path("scenarios/base")
    """Folder of base scenarios: every folder with a .sumocfg below it is one."""
    output_dir: Path = Path("scenarios/dataset_v1")
    """Folder to make; must not exist, or be empty. A run that was ended goes on if it is started again."""
    seed: int = 0
    """Seed of every draw."""
    n_train: int = 80
    """Scenarios to train on, dealt evenly to the bases."""
    n_eval: int = 20
    """Held-out scenarios, dealt evenly to the bases."""
    n_eval_wide: int = 0
    """Further held-out scenarios, in eval_wide, from ranges 1.5 times as wide."""
    hold_out_base: str | None = None
    """Name of a base that gives all held-out scenarios, and none to train on."""
    ego: str | None = None
    """Id of the ego in the bases, where it isn't V001; with `convoy`."""
    convoy: tuple[str, ...] = ()
    """Ids of the cars ahead of it, going forward."""
    workers: int = 0
    """Proofs run at the same time; 0: one for each core. The dataset doesn't depend on it."""
    max_refusals_per_base: int = 50
    """Draws of one base that may fail their proof before the whole is given up."""
    min_split_distance: float = 0.15
    """Least distance of a held-out draw to the train draws of its base: root mean square over the levels of what is
    varied, each counted once, ranges scaled to 1."""
    ranges_file: Path | None = None
    """TOML file with ranges by the names of the options below; an option given here wins over it."""
    n_shards: int = 1
    """Machines that prove a share of the draws each. With more than one, `output_dir` becomes such a share."""
    shard: int = 0
    """Which of them this is, from 0."""
    shards: tuple[Path, ...] = ()
    """Folders of all shares, to make the dataset of; the other settings are those they were made with."""
    ranges: tyro.conf.OmitArgPrefixes[VariationRanges] = field(default_factory=VariationRanges)
    """What is varied, and how far."""

    def __post_init__(self) -> None:
        """Refuses settings that cannot give a dataset, and reads the file of ranges.

        Raises:
            InputError: naming the setting, what was expected and what came.
        """
        for name, lowest in _LEAST.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < lowest:
                raise InputError(f"{name}: expected a whole number of {lowest} or more, got {value!r}.")
        if not 0.0 <= self.min_split_distance < 0.4:
            raise InputError(
                f"min_split_distance: expected 0 to 0.4 (random draws are about 0.4 apart), "
                f"got {self.min_split_distance}."
            )
        if self.shard >= self.n_shards or (self.shards and self.n_shards > 1):
            raise InputError(
                f"shard: expected a number below n_shards, and no shards to put together, got {self.shard} of "
                f"{self.n_shards} and {len(self.shards)} shards."
            )
        object.__setattr__(self, "convoy", tuple(self.convoy))
        if bool(self.ego) != bool(self.convoy):
            raise InputError(f"ego and convoy: expected both or none, got {self.ego!r} and {self.convoy}.")
        if self.ranges_file is not None:
            object.__setattr__(self, "ranges", read_ranges(Path(self.ranges_file), self.ranges))

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides over the dataset besides the base files."""
        return {name: value for name, value in asdict(self).items() if name not in _NO_SETTINGS}

    def split_ranges(self, split: str) -> VariationRanges:
        """Returns the ranges that a split's draws come from."""
        return self.ranges.widened(WIDE_FACTOR) if split == "eval_wide" else self.ranges


def generate_dataset(config: GenConfig) -> Dataset:
    """Makes a dataset and returns it. It appears in `output_dir` when it is complete, and not before.

    A run that was ended, in whichever way, goes on from its last proven scenario if it is started again with the same
    settings and base files, and ends in the same dataset.

    Raises:
        DatasetError: if `output_dir` is already something, or being made by another run.
        InputError: if there is no base of the name `hold_out_base`, or no other.
        ScenarioError: if there is no base scenario or one is broken.
        GateError: if too many draws of one base are refused.
    """
    output_dir = Path(config.output_dir)
    refuse_existing(output_dir)
    bases = _read_bases(config)
    hashes = {base.name: base.hash_files() for base in bases}
    with hold_working_folder(output_dir, _key(config, hashes)) as working:
        refuse_existing(output_dir)  # another run may have ended before this one got here
        try:
            folder = _make_dataset(working, bases, hashes, config)
        except GateError:
            release(working)
            raise
        folder.rename(output_dir)
        release(working)
    return Dataset.open(output_dir)


def prove_shard(config: GenConfig) -> Path:
    """Proves one machine's share of the draws and returns its folder, `output_dir`; `generate_dataset` takes them all.

    Raises:
        DatasetError: if `output_dir` is already something, or being made by another run.
        InputError: see `generate_dataset`, as for the other errors.
    """
    output_dir = Path(config.output_dir)
    refuse_existing(output_dir)
    bases = _read_bases(config)
    key = _key(config, {base.name: base.hash_files() for base in bases})
    with hold_working_folder(output_dir, key) as working:
        _make_folders(working)
        records, _ = fill_dataset(working, bases, config)
        difficulty = _measure(working / SCENARIOS, records, config, known={})
        write_shard(working, Shard(key, config.shard, config.n_shards, difficulty))
        working.rename(output_dir)
    return output_dir


def _make_folders(working: Path) -> None:
    for name in (SCENARIOS, OUTCOMES):
        (working / name).mkdir(exist_ok=True)
    clear_strays(working / SCENARIOS)


def _key(config: GenConfig, hashes: Mapping[str, Any]) -> str:
    # Of Python, releases of one minor version make the same dataset: an image's and a laptop's need not be the same.
    versions = {**current_versions(), "python": "{}.{}".format(*sys.version_info)}
    content = [SCHEMA_VERSION, versions, config.settings, hashes]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _read_bases(config: GenConfig) -> list[Base]:
    widest = config.split_ranges("eval_wide") if config.n_eval_wide else config.ranges
    naming = ConvoyNaming(config.ego, config.convoy) if config.ego else None
    bases = [add_offers(base, config.ranges) for base in read_bases(Path(config.base_dir), widest, naming)]
    names = [base.name for base in bases]
    if config.hold_out_base is not None and (config.hold_out_base not in names or len(names) < 2):
        raise InputError(f"hold_out_base: expected one of several bases, {names}; got {config.hold_out_base!r}.")
    for base in bases:
        for note in base.notes:
            sys.stderr.write(f"note: {base.name}: {note}\n")
    return bases


def _make_dataset(
    working: Path, bases: Sequence[Base], hashes: Mapping[str, Mapping[str, str]], config: GenConfig
) -> Path:
    from roadsense.augment.dataset_card import write_card

    folder = working / SCENARIOS
    _make_folders(working)
    known = take_shards(working, config.shards, working.name)
    records, refusals = fill_dataset(working, bases, config)
    difficulty = _measure(folder, records, config, known)
    records = [replace(record, difficulty=difficulty[hash_scenario(record)]) for record in records]
    dataset = Dataset(
        folder=folder,
        digest=compute_digest(config.settings, records),
        settings=config.settings,
        bases=hashes,
        scenarios=tuple(records),
        refusals=refusals,
        notes={base.name: base.notes for base in bases if base.notes},
        ranges_toml=config.ranges_file.read_text(encoding="utf-8") if config.ranges_file else None,
        versions=current_versions(),
    )
    write_manifest(dataset)
    write_card(folder)
    return folder


def _measure(
    folder: Path, records: Sequence[ScenarioRecord], config: GenConfig, known: Mapping[str, "Difficulty"]
) -> dict[str, "Difficulty"]:
    """Returns how hard the scenarios are, by `hash_scenario`; what is known is not driven again."""
    from roadsense.augment.difficulty import measure_difficulty

    missing = {hash_scenario(record): folder / record.config for record in records}
    missing = {key: path for key, path in missing.items() if key not in known}
    rows = measure_difficulty(list(missing.values()), config.workers) if missing else []
    return {**known, **dict(zip(missing, rows, strict=True))}


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes a dataset as the command line says, prints where it lies, and returns the exit code."""
    return run_command(lambda: _generate_from(arguments))


def _generate_from(arguments: Sequence[str] | None) -> None:
    config = tyro.cli(GenConfig, args=arguments, prog="roadsense gen-scenarios")
    if config.n_shards > 1:
        sys.stdout.write(f"{prove_shard(config)}: shard {config.shard} of {config.n_shards}\n")
        return
    dataset = generate_dataset(config)
    sys.stdout.write(f"{dataset.folder}: {len(dataset.scenarios)} scenarios, digest {dataset.digest}\n")
    if dataset.min_train_distance is not None:
        sys.stdout.write(f"Least distance of a held-out draw to a train draw: {dataset.min_train_distance:.3f}\n")


if __name__ == "__main__":
    sys.exit(main())
