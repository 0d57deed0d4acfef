"""Slots -> scenarios: draw, keep apart, write, prove by simulation, until every slot holds one.

Every proof's outcome is kept under its scenario's number and draw, so that a run that was ended goes on from there.
"""

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from roadsense.augment.draws.ranges import VariationRanges
from roadsense.augment.draws.variations import nearest_distance
from roadsense.augment.validation.gate import prove
from roadsense.augment.validation.scenario_files import write_scenario
from roadsense.augment.validation.slots import Slot
from roadsense.errors import GateError
from roadsense.scenarios.records import ScenarioRecord
from roadsense.scenarios.scenario import CONFIG_NAME
from roadsense.utils.files import hash_file, write_atomically

Places = Mapping[str, np.ndarray]
"""By base, where its train draws lie: a row each."""


@dataclass(frozen=True)
class FillRules:
    """What a draw must keep.

    Attributes:
        ranges: the train split's, by which distances are scaled.
        min_split_distance: least distance to the train draws of its base.
        max_refusals_per_base: draws of one base that may be refused.
    """

    ranges: VariationRanges
    min_split_distance: float
    max_refusals_per_base: int


@dataclass
class Filler:
    """Fills slots with scenarios that pass the gate, and keeps the account of the draws that don't.

    Attributes:
        working: the working folder; scenarios go to `dataset` in it.
        rules: what a draw must keep.
        pool: where proofs run.
        bar: counts the scenarios.
        refusals: of every draw that was refused, its name, split, base and the reasons.
    """

    working: Path
    rules: FillRules
    pool: ThreadPoolExecutor
    bar: tqdm
    refusals: list[dict[str, Any]] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)

    def fill(self, slots: Sequence[Slot], trained: Places) -> list[ScenarioRecord]:
        """Draws, writes and proves until every slot holds a scenario; returns their records in order.

        Raises:
            GateError: if too many draws of one base are refused.
        """
        # In rounds, each read in the order of the slots: the outcome doesn't depend on who is done first.
        records = {}
        pending = list(slots)
        while pending:
            distances = {slot.number: self._keep_apart(slot, trained) for slot in pending}
            refused = []
            for slot, outcome in zip(pending, self.pool.map(self._make, pending), strict=True):
                if outcome["refusals"]:
                    self._redraw(slot, outcome["refusals"])
                    refused.append(slot)
                else:
                    records[slot.number] = _record(slot, outcome, distances[slot.number])
                    self.bar.update()
            pending = refused
        return [records[number] for number in sorted(records)]

    def _make(self, slot: Slot) -> dict[str, Any]:
        # The folder is in its place before its outcome is written: with an outcome, it is complete.
        kept = self.working / "outcomes" / f"{slot.number}_{slot.n_redraws}.json"
        if kept.is_file():
            outcome: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
            return outcome
        making, folder = self.working / "making" / slot.name, self.working / "dataset" / slot.split / slot.name
        for leftover in (making, folder):
            shutil.rmtree(leftover, ignore_errors=True)
        outcome = _prove_draw(slot, making)
        if outcome["refusals"]:
            shutil.rmtree(making)
        else:
            folder.parent.mkdir(parents=True, exist_ok=True)
            making.rename(folder)
        write_atomically(kept, json.dumps(outcome))
        return outcome

    def _keep_apart(self, slot: Slot, trained: Places) -> float | None:
        least, others = self.rules.min_split_distance, trained.get(slot.base.name)
        while others is not None:
            distance = nearest_distance(slot.variation.place(self.rules.ranges), others)
            if distance >= least:
                return distance
            self._redraw(slot, [f"a train draw is nearer than {least:g}"])
        return None

    def _redraw(self, slot: Slot, reasons: list[str]) -> None:
        name, most = slot.base.name, self.rules.max_refusals_per_base
        self.refusals.append({"name": slot.name, "split": slot.split, "base": name, "reasons": reasons})
        self._counts[name] += 1
        if self._counts[name] > most:
            own = [row["reasons"] for row in self.refusals if row["base"] == name]
            found = list(dict.fromkeys(reason for row in own for reason in row))
            raise GateError(
                f"{name}: {len(own)} draws refused, at most {most} may be. Mend the base, narrow the ranges, lower "
                f"min_split_distance, or raise max_refusals_per_base. Reasons: {'; '.join(found[:5])}"
            )
        slot.redraw()


def train_places(slots: Sequence[Slot], ranges: VariationRanges) -> dict[str, np.ndarray]:
    """Returns where the train draws lie, by base."""
    places: dict[str, list[np.ndarray]] = {}
    for slot in slots:
        places.setdefault(slot.base.name, []).append(slot.variation.place(ranges))
    return {name: np.array(own) for name, own in places.items()}


def _prove_draw(slot: Slot, folder: Path) -> dict[str, Any]:
    edits = write_scenario(slot.base, slot.variation, folder)
    gate = asdict(prove(folder / CONFIG_NAME))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "refusals": [reason.replace(f"{folder.resolve()}/", "") for reason in gate.pop("refusals")],
        "gate": gate,
        "edits": [asdict(edit) for edit in edits],
        "files": {f"{slot.split}/{slot.name}/{path.relative_to(folder).as_posix()}": hash_file(path) for path in files},
    }


def _record(slot: Slot, outcome: Mapping[str, Any], distance: float | None) -> ScenarioRecord:
    return ScenarioRecord(
        name=slot.name,
        split=slot.split,
        base=slot.base.name,
        density=slot.variation.density_word,
        driver=slot.variation.driver_word,
        variation=asdict(slot.variation),
        edits=outcome["edits"],
        gate=outcome["gate"],
        files=outcome["files"],
        train_distance=distance,
    )
