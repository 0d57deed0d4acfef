"""Base scenarios -> dataset: draw, write, prove by simulation, split."""

import math
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from tqdm import tqdm

from roadsense.bases import Base, read_bases
from roadsense.command import run_command
from roadsense.dataset import SPLITS, Dataset, ScenarioRecord, write_manifest
from roadsense.errors import DatasetError, GateError, InputError
from roadsense.files import hash_file
from roadsense.gate import GateReport, prove
from roadsense.progress import progress_bar
from roadsense.scenario import ScenarioName
from roadsense.scenario_files import CONFIG_NAME, Edit, write_scenario
from roadsense.variations import Variation, VariationRanges, draw_variations, redraw


@dataclass(frozen=True)
class GenConfig:
    """What dataset to make. The same seed and base files give the same dataset, byte for byte."""

    base_dir: Path = Path("scenarios/base")
    """Folder of base scenarios: every folder with a .sumocfg below it is one."""
    output_dir: Path = Path("scenarios/dataset_v1")
    """Folder to make; must not exist, or be empty."""
    seed: int = 0
    """Seed of every draw."""
    n_train: int = 80
    """Scenarios to train on, dealt evenly to the bases."""
    n_eval: int = 20
    """Held-out scenarios, dealt evenly to the bases."""
    workers: int = 0
    """Proofs run at the same time; 0: one for each core. The dataset doesn't depend on it."""
    max_refusals_per_base: int = 50
    """Draws of one base that may fail their proof before the whole is given up."""
    min_split_distance: float = 0.15
    """Least distance of an eval draw to the train draws of its base: root mean square, ranges scaled to 1."""
    ranges: tyro.conf.OmitArgPrefixes[VariationRanges] = field(default_factory=VariationRanges)
    """What is varied, and how far."""

    def __post_init__(self) -> None:
        """Refuses settings that cannot give a dataset.

        Raises:
            InputError: naming the setting, what was expected and what came.
        """
        least = {"seed": 0, "n_train": 1, "n_eval": 1, "workers": 0, "max_refusals_per_base": 0}
        for name, lowest in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < lowest:
                raise InputError(f"{name}: expected a whole number of {lowest} or more, got {value!r}.")
        if not 0.0 <= self.min_split_distance < 0.4:
            raise InputError(
                f"min_split_distance: expected 0 to 0.4 (random draws are about 0.4 apart), "
                f"got {self.min_split_distance}."
            )

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides over the dataset besides the base files."""
        apart = ("base_dir", "output_dir", "workers")
        return {name: value for name, value in asdict(self).items() if name not in apart}


@dataclass
class _Slot:
    # A place in the dataset, and the draw that is to fill it.
    number: int
    split: str
    base: Base
    n_strata: int
    variation: Variation
    rng: np.random.Generator

    @property
    def name(self) -> str:
        """Name of the scenario's folder as now drawn."""
        words = self.variation.density_word, self.variation.driver_word
        return str(ScenarioName(self.number, self.base.name, *words))

    def train_distance(self, trained: Sequence["_Slot"]) -> float:
        """Returns the distance to the nearest train draw of the same base; infinity without one."""
        own = [slot.variation for slot in trained if slot.base is self.base]
        return min((self.variation.distance(other) for other in own), default=math.inf)


@dataclass
class _Filler:
    # Fills slots with scenarios that pass the gate, and keeps the account of the draws that don't.
    folder: Path
    config: GenConfig
    pool: ThreadPoolExecutor
    bar: tqdm
    refusals: list[dict[str, Any]] = field(default_factory=list)

    def fill(self, slots: list[_Slot], trained: list[_Slot]) -> list[ScenarioRecord]:
        """Draws, writes and proves until every slot holds a scenario; returns their records in order."""
        # In rounds, each read in the order of the slots: the outcome doesn't depend on who is done first.
        records = {}
        pending = slots
        while pending:
            for slot in pending:
                self._keep_apart(slot, trained)
            refused = []
            for slot, (edits, report) in zip(pending, self.pool.map(self._make, pending), strict=True):
                if report.refusals:
                    shutil.rmtree(self.folder / slot.split / slot.name)
                    self._redraw(slot, report.refusals)
                    refused.append(slot)
                else:
                    distance = slot.train_distance(trained)
                    records[slot.number] = _record(slot, edits, report, self.folder, distance)
                    self.bar.update()
            pending = refused
        return [records[number] for number in sorted(records)]

    def _make(self, slot: _Slot) -> tuple[tuple[Edit, ...], GateReport]:
        folder = self.folder / slot.split / slot.name
        edits = write_scenario(slot.base, slot.variation, folder)
        return edits, prove(folder / CONFIG_NAME)

    def _keep_apart(self, slot: _Slot, trained: list[_Slot]) -> None:
        least = self.config.min_split_distance
        while slot.train_distance(trained) < least:
            self._redraw(slot, (f"a train draw is nearer than {least:g}",))

    def _redraw(self, slot: _Slot, reasons: tuple[str, ...]) -> None:
        name, most = slot.base.name, self.config.max_refusals_per_base
        self.refusals.append({"name": slot.name, "split": slot.split, "base": name, "reasons": list(reasons)})
        own = [row["reasons"] for row in self.refusals if row["base"] == name]
        if len(own) > most:
            found = list(dict.fromkeys(reason for row in own for reason in row))
            raise GateError(
                f"{name}: {len(own)} draws refused, at most {most} may be. Mend the base, narrow the ranges, "
                f"or raise max_refusals_per_base. Reasons: {'; '.join(found[:5])}"
            )
        slot.variation = redraw(slot.variation, slot.n_strata, slot.base.traffic, self.config.ranges, slot.rng)


def generate_dataset(config: GenConfig) -> Dataset:
    """Makes a dataset and returns it. It appears in `output_dir` when it is complete, and not before.

    Raises:
        DatasetError: if `output_dir` is already something.
        ScenarioError: if there is no base scenario or one is broken.
        GateError: if too many draws of one base are refused.
    """
    output_dir = Path(config.output_dir)
    if output_dir.exists() and (not output_dir.is_dir() or any(output_dir.iterdir())):
        raise DatasetError(
            f"{output_dir} is already there and not empty, and a dataset never overwrites. "
            "Give another output_dir, or remove it first."
        )
    bases = read_bases(Path(config.base_dir), config.ranges)
    output_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output_dir.name}.", dir=output_dir.parent) as outer:
        folder = Path(outer) / output_dir.name
        folder.mkdir()
        _fill_dataset(folder, bases, config)
        folder.rename(output_dir)
    return Dataset.open(output_dir)


def _fill_dataset(folder: Path, bases: list[Base], config: GenConfig) -> None:
    n_train, n_all = config.n_train, config.n_train + config.n_eval
    numbers = {"train": range(1, n_train + 1), "eval": range(n_train + 1, n_all + 1)}
    streams = np.random.SeedSequence(config.seed).spawn(len(SPLITS))
    slots = {
        split: _deal(split, numbers[split], bases, stream, config.ranges)
        for split, stream in zip(SPLITS, streams, strict=True)
    }
    with (
        ThreadPoolExecutor(config.workers or os.cpu_count()) as pool,
        progress_bar(n_all, "proving", "scenario") as bar,
    ):
        filler = _Filler(folder, config, pool, bar)
        records = filler.fill(slots["train"], trained=[])
        records += filler.fill(slots["eval"], trained=slots["train"])
    hashes = {base.name: base.hash_files() for base in bases}
    write_manifest(folder, config.settings, hashes, records, filler.refusals)


def _deal(
    split: str, numbers: range, bases: list[Base], stream: np.random.SeedSequence, ranges: VariationRanges
) -> list[_Slot]:
    # Each base has its own stream, stratified layout and, within it, a stream for each scenario's redraws.
    slots = []
    for place, (base, own_stream) in enumerate(zip(bases, stream.spawn(len(bases)), strict=True)):
        own = [number for number in numbers if (number - 1) % len(bases) == place]
        layout, *redraws = map(np.random.default_rng, own_stream.spawn(1 + len(own)))
        draws = draw_variations(len(own), base.traffic, ranges, layout)
        for number, draw, rng in zip(own, draws, redraws, strict=True):
            slots.append(_Slot(number, split, base, len(own), draw, rng))
    return sorted(slots, key=lambda slot: slot.number)


def _record(slot: _Slot, edits: tuple[Edit, ...], report: GateReport, folder: Path, distance: float) -> ScenarioRecord:
    gate = {name: value for name, value in asdict(report).items() if name != "refusals"}
    files = sorted(path for path in (folder / slot.split / slot.name).rglob("*") if path.is_file())
    return ScenarioRecord(
        name=slot.name,
        split=slot.split,
        base=slot.base.name,
        density=slot.variation.density_word,
        driver=slot.variation.driver_word,
        variation=asdict(slot.variation),
        edits=[asdict(edit) for edit in edits],
        gate=gate,
        files={path.relative_to(folder).as_posix(): hash_file(path) for path in files},
        train_distance=distance if math.isfinite(distance) else None,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes a dataset as the command line says, prints where it lies, and returns the exit code."""
    return run_command(lambda: _generate_from(arguments))


def _generate_from(arguments: Sequence[str] | None) -> None:
    dataset = generate_dataset(tyro.cli(GenConfig, args=arguments, prog="roadsense gen-scenarios"))
    sys.stdout.write(f"{dataset.folder}: {len(dataset.scenarios)} scenarios, digest {dataset.digest}\n")


if __name__ == "__main__":
    sys.exit(main())
