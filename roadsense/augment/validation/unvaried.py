"""Simulates each base unvaried first, so that its faults are reported as the base's and not as a draw's."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from roadsense.augment.bases.base import HORIZON_S, Base
from roadsense.augment.validation.gate import GateReport, GateRules, run_gate
from roadsense.augment.validation.scenario_files import write_unvaried
from roadsense.errors import ScenarioError
from roadsense.scenarios.checks import raise_all
from roadsense.utils.scratch import scratch_folder

FASTER = 1.25
"""Factor by which a draw with fast drivers may reach the end of the road sooner than the unvaried base."""

LEAST_HORIZON_S = 15.0
"""Shortest useful time of the ego on the road: a hazard begins 5 s or more after the start and lasts some seconds."""


OTHER_SEEDS = (1, 2, 3)
"""SUMO seeds that a base is tried with if it is rejected under its own: traffic may stand in the way by chance."""


def check_unvaried(bases: Sequence[Base], workers: int = 0) -> list[Base]:
    """Simulates each base without any variation; returns the bases with their horizons and SUMO's warnings of them.

    Args:
        bases: the base scenarios.
        workers: number of bases simulated at the same time; 0: one for each core.

    Raises:
        ScenarioError: if the gate rejects a base; it names every such base and the reasons.
    """
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        found = list(pool.map(simulate_unvaried, bases))
    raise_all([explain_rejection(base, report) for base, report in found if report.refusals])
    return [base for base, _ in found]


def explain_rejection(base: Base, report: GateReport) -> ScenarioError:
    """Returns the error for a base that the gate rejects unvaried, with the notes on what was changed in it."""
    reasons = "; ".join(reason.rstrip(".") for reason in report.refusals)
    notes = "".join(f"\n  note: {note}" for note in base.notes)
    return ScenarioError(
        f"{base.scenario.config_path}: rejected before anything is varied: {reasons}. Correct the base: no range "
        f"can.{notes}"
    )


def simulate_unvaried(base: Base) -> tuple[Base, GateReport]:
    """Simulates a base without any variation; returns it with its horizon and warnings, and the gate's report."""
    with scratch_folder("roadsense_unvaried_") as outer:
        folder = outer / base.name
        path = write_unvaried(base, folder)
        # All of SUMO's warnings are the base's own, and are noted.
        rules = GateRules(LEAST_HORIZON_S, HORIZON_S, None)
        report, seed = _try_seeds(path, rules)
        stays_s = report.ego_time_s
        if stays_s >= HORIZON_S:
            stays_s = run_gate(path, replace(rules, watch_s=FASTER * HORIZON_S, seed=seed)).ego_time_s
        report = replace(report, refusals=tuple(line.replace(f"{folder.resolve()}/", "") for line in report.refusals))
    if report.refusals:
        return base, report
    horizon_s = min(HORIZON_S, max(LEAST_HORIZON_S, round(stays_s / FASTER, 1)))
    notes = [f"SUMO warns of it, varied or not: {kind}" for kind in report.warnings]
    if seed is not None:
        notes.append(f"Unvaried it passes under SUMO's seed {seed}, not under its own: some draws will be rejected.")
    if horizon_s < HORIZON_S:
        notes.append(
            f"Its ego leaves the road after {stays_s:g} s: a scenario needs {horizon_s:g} s on the road, not "
            f"{HORIZON_S:g}."
        )
    learned = replace(base, horizon_s=horizon_s, warnings=frozenset(report.warnings), notes=(*base.notes, *notes))
    return learned, report


def _try_seeds(path: Path, rules: GateRules) -> tuple[GateReport, int | None]:
    # Returns the first report without a refusal and its seed; the one under the scenario's own seed if there is none.
    own = run_gate(path, rules)
    if not own.refusals or own.n_inserted == 0:  # SUMO's error is no chance
        return own, None
    others = ((run_gate(path, replace(rules, seed=seed)), seed) for seed in OTHER_SEEDS)
    return next(((report, seed) for report, seed in others if not report.refusals), (own, None))
