"""Generate until accepted: draw, keep apart, write and run through the gate, until every entry has a scenario.

The gate's outcome for each draw is kept under its entry's number, so that an interrupted generation resumes from there.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from roadsense.augment.bases.base import Base
from roadsense.augment.config import GenConfig
from roadsense.augment.draws.variations import Variation, nearest_distance
from roadsense.augment.validation.entries import Entry, deal_entries
from roadsense.augment.validation.gate import GateRules, run_gate
from roadsense.augment.validation.scenario_files import write_scenario
from roadsense.augment.validation.working_folder import OUTCOMES, SCENARIOS
from roadsense.errors import DatasetError
from roadsense.scenarios.records import CONFIG_NAME, SPLITS, ScenarioRecord
from roadsense.utils.files import hash_file, read_json, write_atomically
from roadsense.utils.progress import progress_bar

REJECTED = "draws rejected"
"""Text in the note on a base with too many rejected draws."""

Outcome = dict[str, Any]
"""The gate's result for a draw, as JSON: `refusals` (reasons, empty if accepted), `gate`, `edits` and `files`."""


class Generated(NamedTuple):
    """The result of a generation.

    Attributes:
        records: the accepted scenarios.
        rejected: name, split, base and reasons of each rejected draw.
        failed: reason for each base with too many rejected draws, by base name.
    """

    records: list[ScenarioRecord]
    rejected: list[dict[str, Any]]
    failed: dict[str, str]


def generate_scenarios(working: Path, bases: Sequence[Base], config: GenConfig) -> Generated:
    """Makes a scenario for every entry, except for bases that fail.

    Args:
        working: path of the working folder.
        bases: the base scenarios.
        config: settings of the dataset.
    """
    entries = _deal(bases, config)
    n_all = sum(map(len, entries.values()))
    with _workers(config.workers or os.cpu_count()) as pool, progress_bar(n_all, "generating", "scenario") as bar:
        generation = _Generation(working, config, pool, bar)
        records = generation.run(entries["train"], trained={})
        trained = _train_places(entries["train"], config)
        for split in SPLITS[1:]:
            records += generation.run(entries[split], trained)
    return Generated(records, generation.rejected, generation.failed)


def make_scenario(base: Base, variation: Variation, folder: Path, place: str) -> Outcome:
    """Writes a draw into a new folder and runs it through the gate.

    Args:
        base: base scenario of the draw.
        variation: draw to write.
        folder: the folder to write.
        place: path of the scenario, relative to the dataset's folder.
    """
    edits = write_scenario(base, variation, folder)
    gate = asdict(run_gate(folder / CONFIG_NAME, GateRules(base.horizon_s, base.horizon_s, base.warnings)))
    del gate["warnings"]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "refusals": [reason.replace(f"{folder.resolve()}/", "") for reason in gate.pop("refusals")],
        "gate": gate,
        "edits": [asdict(edit) for edit in edits],
        "files": {f"{place}/{path.relative_to(folder).as_posix()}": hash_file(path) for path in files},
    }


def make_record(
    name: str, split: str, base: Base, variation: Variation, outcome: Outcome, distance: float | None
) -> ScenarioRecord:
    """Returns the record of an accepted draw."""
    return ScenarioRecord(
        name=name,
        split=split,
        base=base.name,
        density=variation.density_word,
        driver=variation.driver_word,
        variation=asdict(variation),
        edits=outcome["edits"],
        gate=outcome["gate"],
        files=outcome["files"],
        train_distance=distance,
    )


@dataclass
class _Generation:
    working: Path
    config: GenConfig
    pool: ThreadPoolExecutor
    bar: tqdm
    rejected: list[dict[str, Any]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def run(self, entries: Sequence[Entry], trained: Mapping[str, np.ndarray]) -> list[ScenarioRecord]:
        # In rounds, each read in the order of the entries: the result does not depend on which simulation ends first.
        records = {}
        pending = self._without_failed(entries)
        while pending:
            distances = {entry.number: self._keep_apart(entry, trained) for entry in pending}
            pending = self._without_failed(pending)
            again = []
            for entry, outcome in zip(pending, self.pool.map(self._make, pending), strict=True):
                if outcome["refusals"]:
                    self._redraw(entry, outcome["refusals"])
                    again.append(entry)
                else:
                    records[entry.number] = make_record(
                        entry.name, entry.split, entry.base, entry.variation, outcome, distances[entry.number]
                    )
                    self.bar.update()
            pending = self._without_failed(again)
        return [records[number] for number in sorted(records)]

    def _without_failed(self, entries: Sequence[Entry]) -> list[Entry]:
        return [entry for entry in entries if entry.base.name not in self.failed]

    def _make(self, entry: Entry) -> Outcome:
        # The folder is moved before its outcome is written: with an outcome, it is complete.
        kept = self.working / OUTCOMES / f"{entry.number}_{entry.n_redraws}.json"
        if kept.exists():
            return read_json(kept, "the outcome of a draw", DatasetError, refusals=list, gate=dict, files=dict)
        place = f"{entry.split}/{entry.name}"
        making, folder = self.working / "making" / entry.name, self.working / SCENARIOS / place
        for leftover in (making, folder):
            shutil.rmtree(leftover, ignore_errors=True)
        outcome = make_scenario(entry.base, entry.variation, making, place)
        if outcome["refusals"]:
            shutil.rmtree(making)
        else:
            folder.parent.mkdir(parents=True, exist_ok=True)
            making.rename(folder)
        write_atomically(kept, json.dumps(outcome))
        return outcome

    def _keep_apart(self, entry: Entry, trained: Mapping[str, np.ndarray]) -> float | None:
        least, others = self.config.min_split_distance, trained.get(entry.base.name)
        ranges = self.config.ranges_of(entry.base)
        while others is not None and entry.base.name not in self.failed:
            distance = nearest_distance(entry.variation.place(ranges), others)
            if distance >= least:
                return distance
            self._redraw(entry, [f"a train draw is nearer than {least:g}"])
        return None

    def _redraw(self, entry: Entry, reasons: list[str]) -> None:
        name, most = entry.base.name, self.config.max_refusals_per_base
        self.rejected.append({"name": entry.name, "split": entry.split, "base": name, "reasons": reasons})
        own = [row["reasons"] for row in self.rejected if row["base"] == name]
        if len(own) > most:
            found = list(dict.fromkeys(reason for row in own for reason in row))
            self.failed[name] = (
                f"{name}: {len(own)} {REJECTED}, at most {most} may be. Correct the base, narrow its ranges in a "
                f"table [{name}] of ranges_file, lower min_split_distance, or raise max_refusals_per_base. "
                f"Reasons: {'; '.join(found[:5])}"
            )
        entry.redraw()


def _train_places(entries: Sequence[Entry], config: GenConfig) -> dict[str, np.ndarray]:
    # Positions of the train draws of each base, one row each.
    places: dict[str, list[np.ndarray]] = {}
    for entry in entries:
        places.setdefault(entry.base.name, []).append(entry.variation.place(config.ranges_of(entry.base)))
    return {name: np.array(own) for name, own in places.items()}


def _deal(bases: Sequence[Base], config: GenConfig) -> dict[str, list[Entry]]:
    counts = {"train": config.n_train, "eval": config.n_eval, "eval_wide": config.n_eval_wide}
    streams = np.random.SeedSequence(config.seed).spawn(len(SPLITS))
    entries, first, held_out = {}, 1, config.held_out(bases)
    for split, stream in zip(SPLITS, streams, strict=True):
        own = [one for one in bases if not held_out or (one.name in held_out) == (split != "train")]
        numbers = range(first, first + counts[split])
        ranges = {base.name: config.ranges_of(base, split) for base in own}
        entries[split] = deal_entries(split, numbers, own, stream, ranges)
        first += counts[split]
    return entries


@contextmanager
def _workers(n: int | None) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(n)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
