"""`roadsense check-base`: shows what can be varied in base scenarios and how they drive; generates nothing."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from roadsense.augment.bases.base import Base
from roadsense.augment.config import GenConfig
from roadsense.augment.draws.traffic import LEVELS
from roadsense.augment.validation.gate import GateReport
from roadsense.augment.validation.scenario_files import write_unvaried
from roadsense.augment.validation.unvaried import explain_rejection, simulate_unvaried
from roadsense.envs.config import EnvConfig
from roadsense.episodes.plan import Plan
from roadsense.episodes.run import Worker, run_plans
from roadsense.scenarios.checks import raise_all
from roadsense.utils.scratch import scratch_folder

N_EPISODES, MOST_EPISODES = 8, 32
"""Episodes with a hazard and without assist that a base is tested in at once, and in all while none has a collision."""


@dataclass(frozen=True)
class CheckBaseConfig:
    """Settings of `roadsense check-base`.

    Attributes:
        folder: folder of base scenarios: every folder with a .sumocfg below it is one.
        ego: id of the ego in the bases if it isn't V001; needs `convoy`.
        convoy: ids of the cars ahead of the ego, going forward.
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="BASES")]
    ego: str | None = None
    convoy: tuple[str, ...] = ()


def check_and_print(config: CheckBaseConfig) -> None:
    """Prints what each base holds, what can be varied, what is left out, and how it drives; generates nothing.

    Raises:
        ScenarioError: if a base cannot be read or the gate rejects it unvaried; it names every such base and reason.
    """
    problems = []
    for base in GenConfig((config.folder,), ego=config.ego, convoy=config.convoy).read_bases():
        started_s = time.monotonic()
        learned, report = simulate_unvaried(base)
        took_s = time.monotonic() - started_s
        sys.stdout.write(
            "\n".join([f"{base.name}: {base.scenario.config_path}", *describe_base(learned, report)]) + "\n"
        )
        sys.stdout.write(f"  simulated twice in {took_s:.1f} s\n")
        if report.refusals:
            problems.append(explain_rejection(replace(base, notes=()), report))  # they are printed above
        else:
            sys.stdout.write(f"  {_describe_driver(base)}\n")
    raise_all(problems)


def describe_base(base: Base, report: GateReport) -> Iterator[str]:
    """Yields what a base holds, what can and can't be varied in it, and the results of its simulation."""
    traffic, scenario = base.traffic, base.scenario
    flows = [name for name, headway_s in traffic.headways_s.items() if headway_s < float("inf")]
    n_single = len(traffic.headways_s) - len(flows)
    yield f"  convoy: {', '.join(scenario.convoy_ids)}, departs at {scenario.convoy_depart_s:g} s"
    counts = f"{_count(len(flows), 'flow')}, {_count(n_single, 'single vehicle')}"
    yield f"  traffic: {counts}, types {', '.join(traffic.types)}"
    varied = [level for level in LEVELS if traffic.supports(level)]
    yield f"  varied: {', '.join(varied)}"
    if fixed := [level for level in LEVELS if level not in varied]:
        yield f"  not varied: {', '.join(fixed)}"
    yield from (f"  note: {note}" for note in base.notes)
    if report.in_order:
        yield (
            f"  the convoy is one: in order after {report.insertion_delay_s:g} s, at most {report.max_spacing_m:.0f} m "
            f"between cars; the ego is on the road for {report.ego_time_s:g} s or more"
        )
    yield from (f"  REJECTED: {reason}" for reason in report.refusals)


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def _describe_driver(base: Base) -> str:
    with scratch_folder("roadsense_check_") as outer:
        path = write_unvaried(base, outer / base.name)
        rows: list[Mapping[str, Any]] = []
        while len(rows) < MOST_EPISODES and not any(row["collision"] or row.get("error") for row in rows):
            seeds = range(len(rows), len(rows) + N_EPISODES)
            plans = [Plan("unassisted", path, seed, hazard=True) for seed in seeds]
            rows += run_plans(plans, Worker(EnvConfig()), os.cpu_count() or 1)
    if errors := [str(row["error"]) for row in rows if row.get("error")]:
        return f"PROBLEM: {len(errors)} of {len(rows)} episodes could not be simulated: {errors[0]}"
    n_collisions = sum(bool(row["collision"]) for row in rows)
    found = f"a driver alone collides in {n_collisions} of {len(rows)} episodes with a hazard"
    return found if n_collisions else f"{found}: too few to show anything on this base as it is"
