"""The gate: plain SUMO simulates every scenario before it enters a dataset, and the gate accepts or rejects it.

There is no hazard, and SUMO drives every car with its own checks on: any problem is the scenario's fault.
"""

import math
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from roadsense.augment.bases.base import HORIZON_S
from roadsense.errors import SimulationError
from roadsense.scenarios.flows import count_until, is_random, why_uncountable
from roadsense.scenarios.route_files import read_route_files, single_vehicles
from roadsense.scenarios.scenario import Scenario, open_scenario
from roadsense.scenarios.sumo_program import run_sumo
from roadsense.utils.reproducible import add_in_order
from roadsense.utils.scratch import scratch_folder

STEP_LENGTH_S = 0.1
"""Step length of the environment; it replaces the scenario's own."""
MAX_INSERTION_DELAY_S = 1.0
MAX_SPACING_M = 350.0
"""A red light may split a convoy; cars farther apart are no convoy."""
MIN_MEAN_SPEED_MPS = 2.0
EMERGENCY_SHARE = 0.5
"""Emergency braking begins this far from a vehicle's decel to its emergencyDecel: 6.75 m/s2 for a car."""

COUNT_TOLERANCE = 0.15
COUNT_SLACK = 2.0
"""A scenario may always have this many vehicles more or fewer than its routes ask for."""
_WARNING = re.compile(r"^(?:Warning|Error): .*", re.MULTILINE)
_EMERGENCY = re.compile(r"Vehicle '([^']+)' performs emergency braking")
_OF_THE_ROAD = re.compile(r" in tlLogic '| for link \d+ at junction '")
"""Warnings about a traffic light's program, common on imported roads: no draw causes them."""

_VARYING = re.compile(r"'[^']*'|[-+]?\d[\d.]*")
"""Names and numbers in a warning; the rest is its kind."""

MIN_REACH_M = 6.0
"""A car this near to another one's earlier position has reached it, in any lane."""
_OPTIONS = (
    *("--no-warnings", "false", "--no-step-log", "true", "--duration-log.disable", "true"),
    *("--step-length", str(STEP_LENGTH_S), "--time-to-teleport", "-1", "--xml-validation", "never"),
    *("--collision.action", "warn", "--collision.mingap-factor", "0", "--collision.check-junctions", "true"),
    *("--emergencydecel.warning-threshold", str(EMERGENCY_SHARE)),
    *("--fcd-output.attributes", "x,y,angle,speed", "--summary-output.period", "1"),
)

Track = dict[float, tuple[float, float, float, float]]
"""Track of one car: time in s -> x in m, y in m, heading in degrees clockwise from north, speed in m/s."""


@dataclass(frozen=True)
class GateReport:
    """Measurements of the gate in one scenario, from the convoy's departure on.

    Attributes:
        n_warnings: number of SUMO's warnings and errors without emergency braking and collisions.
        n_collisions: number of collisions of any two vehicles.
        n_emergency_braking: number of emergency brakings of any vehicle.
        insertion_delay_s: time until the whole convoy was on the road; None if it never was.
        in_order: whether the cars were inserted as V001, V002, ... going forward.
        ego_time_s: time from the convoy's departure until the ego was last seen on the road.
        ego_mean_speed_mps: mean speed of the ego while it was on the road.
        max_spacing_m: largest straight-line distance between neighbours in the convoy, centre to centre.
        mean_speed_mps: mean speed of all traffic after the convoy's departure.
        n_asked: number of vehicles that the routes ask for, as far as they can be counted.
        n_inserted: number of vehicles that entered the road.
        refusals: reasons why the scenario is rejected; empty if it is accepted.
        warnings: kinds of SUMO's warnings, without names and numbers.
    """

    n_warnings: int = 0
    n_collisions: int = 0
    n_emergency_braking: int = 0
    insertion_delay_s: float | None = None
    in_order: bool = False
    ego_time_s: float = 0.0
    ego_mean_speed_mps: float = 0.0
    max_spacing_m: float = 0.0
    mean_speed_mps: float = 0.0
    n_asked: float = 0.0
    n_inserted: int = 0
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class GateRules:
    """Conditions of the gate that differ between scenarios.

    Attributes:
        horizon_s: least time of the ego on the road after its departure [s].
        watch_s: simulated time after the convoy's departure [s].
        known_warnings: kinds of warnings to ignore, because the unvaried base has them too; None: all kinds.
        seed: SUMO's random seed; None: the scenario's own.
    """

    horizon_s: float = HORIZON_S
    watch_s: float = HORIZON_S
    known_warnings: frozenset[str] | None = frozenset()
    seed: int | None = None


@dataclass(frozen=True)
class _Run:
    # SUMO's output of one simulation.
    scenario: Scenario
    routes: tuple[ET.Element, ...]
    messages: str
    n_collisions: int
    tracks: dict[str, Track]
    summary: list[ET.Element]


def run_gate(config_path: str | Path, rules: GateRules | None = None) -> GateReport:
    """Simulates a scenario and returns the measurements, and the reasons if it is rejected.

    Args:
        config_path: path of its `.sumocfg`.
        rules: conditions for this scenario; None: the default ones.

    Raises:
        ScenarioError: if the scenario isn't safe to open.
    """
    scenario, rules = open_scenario(config_path), rules or GateRules()
    try:
        with scratch_folder("roadsense_gate_") as folder:
            run = _simulate(scenario, folder, rules)
    except SimulationError as error:
        return GateReport(refusals=(f"SUMO ended with an error: {error}",))
    return _judge(run, rules)


def _simulate(scenario: Scenario, folder: Path, rules: GateRules) -> _Run:
    routes = tuple(root for _, root in read_route_files(scenario.route_paths, scenario.additional_paths)[0])
    outputs = {name: folder / f"{name}.xml" for name in ("fcd", "summary", "collision")}
    options = [
        *_OPTIONS,
        "--device.fcd.explicit",
        ",".join(scenario.convoy_ids),
        "--end",
        str(scenario.convoy_depart_s + rules.watch_s + MAX_INSERTION_DELAY_S),
        *(() if rules.seed is None else ("--seed", str(rules.seed))),
    ]
    for name, path in outputs.items():
        options += [f"--{name}-output", str(path)]
    messages = run_sumo(scenario.run_path, options)
    return _Run(
        scenario,
        routes,
        messages,
        n_collisions=len(_read_output(outputs["collision"])),
        tracks=_read_tracks(_read_output(outputs["fcd"]), scenario.convoy_ids),
        summary=list(_read_output(outputs["summary"])),
    )


def _read_output(path: Path) -> ET.Element:
    return ET.parse(path).getroot()  # noqa: S314 -- SUMO has just written it, in our own folder


def _read_tracks(trace: ET.Element, names: Sequence[str]) -> dict[str, Track]:
    # Other vehicles may have an FCD device from the scenario's files.
    tracks: dict[str, Track] = defaultdict(dict)
    for step in trace:
        for car in (car for car in step.iter("vehicle") if car.attrib["id"] in names):
            x, y, angle, speed = (float(car.attrib[key]) for key in ("x", "y", "angle", "speed"))
            tracks[car.attrib["id"]][float(step.attrib["time"])] = (x, y, angle, speed)
    return tracks


def _judge(run: _Run, rules: GateRules) -> GateReport:
    warnings, braking = _sort_messages(run.messages)
    ego = run.tracks.get(run.scenario.ego_id, {})
    n_asked, tolerance = _count_asked(run)
    delay_s = _insertion_delay_s(run)
    gaps_m = [] if delay_s is None else _gaps_m(run, round(run.scenario.convoy_depart_s + delay_s, 2))
    report = GateReport(
        n_warnings=len(warnings),
        n_collisions=run.n_collisions,
        n_emergency_braking=len(braking),
        insertion_delay_s=delay_s,
        in_order=bool(gaps_m) and all(gap_m is not None and gap_m > 0.0 for gap_m in gaps_m),
        ego_time_s=round(max(ego) - run.scenario.convoy_depart_s, 2) if ego else 0.0,
        ego_mean_speed_mps=round(float(np.mean([state[3] for state in ego.values()])), 3) if ego else 0.0,
        max_spacing_m=round(_max_spacing_m(run), 2),
        mean_speed_mps=round(_mean_speed_mps(run), 3),
        n_asked=round(n_asked, 2),
        n_inserted=int(run.summary[-1].attrib["inserted"]),
    )
    convoy_braking = sorted(set(braking) & set(run.scenario.convoy_ids))
    own = [warning for warning in warnings if not _OF_THE_ROAD.search(warning)]
    known = set(map(name_kind, own)) if rules.known_warnings is None else rules.known_warnings
    blamed = [warning for warning in own if name_kind(warning) not in known]
    overtaking = _find_overtaking(run, gaps_m) if report.in_order else ""
    refusals = _refusals(report, rules, blamed, convoy_braking)
    more = _traffic_refusals(report, tolerance)
    kinds = tuple(sorted(set(map(name_kind, own))))
    return replace(report, refusals=(*refusals, *filter(None, [overtaking]), *more), warnings=kinds)


def name_kind(warning: str) -> str:
    """Returns a warning of SUMO without its names and numbers."""
    return _VARYING.sub("#", warning)


def _refusals(report: GateReport, rules: GateRules, warnings: list[str], braking: list[str]) -> Iterator[str]:
    yield from (f"SUMO warns: {warning}" for warning in warnings[:1])
    if report.n_collisions:
        yield f"{report.n_collisions} collisions"
    if braking:
        yield f"emergency braking of {', '.join(braking)}"
    if report.insertion_delay_s is None:
        yield "a car of the convoy was never inserted"
    elif report.insertion_delay_s > MAX_INSERTION_DELAY_S:
        yield (
            f"the convoy came {report.insertion_delay_s:g} s late, more than {MAX_INSERTION_DELAY_S:g}: traffic or its "
            "own cars leave it no room at its departure"
        )
    elif not report.in_order:
        yield "the convoy's cars aren't in the order of their names"
    if report.ego_time_s < rules.horizon_s:
        yield f"the ego left the road after {report.ego_time_s:g} s, before {rules.horizon_s:g}"
    if report.max_spacing_m > MAX_SPACING_M:
        yield f"the convoy came apart: {report.max_spacing_m:.0f} m between cars, more than {MAX_SPACING_M:g}"


def _traffic_refusals(report: GateReport, tolerance: float) -> Iterator[str]:
    for whose, speed in (("traffic", report.mean_speed_mps), ("the ego", report.ego_mean_speed_mps)):
        if speed < MIN_MEAN_SPEED_MPS:
            yield f"{whose} moves at {speed:.2f} m/s on average, less than {MIN_MEAN_SPEED_MPS:g}"
    if abs(report.n_inserted - report.n_asked) > tolerance:
        yield f"{report.n_inserted} vehicles came, the flows ask for {report.n_asked:.1f} +- {tolerance:.1f}"


def _sort_messages(messages: str) -> tuple[list[str], list[str]]:
    # Returns the warnings, and the vehicles that braked in an emergency; collisions come from another file.
    lines = _WARNING.findall(messages)
    braking = [match[1] for line in lines if (match := _EMERGENCY.search(line))]
    return [line for line in lines if not _EMERGENCY.search(line) and "collision with" not in line], braking


def _insertion_delay_s(run: _Run) -> float | None:
    if set(run.tracks) != set(run.scenario.convoy_ids):
        return None
    return round(max(min(track) for track in run.tracks.values()) - run.scenario.convoy_depart_s, 2)


def _gaps_m(run: _Run, time_s: float) -> list[float | None]:
    # Distances from each car to the next, along the road: what the rear one drives to reach the other's position.
    # Negative if the next car is behind; None if neither reaches the other's position.
    tracks = [run.tracks[car] for car in run.scenario.convoy_ids]
    if any(time_s not in track for track in tracks):
        return [None]
    return [_gap_m(behind, ahead, time_s) for behind, ahead in pairwise(tracks)]


def _gap_m(behind: Track, ahead: Track, time_s: float) -> float | None:
    forth = _way_to_m(behind, ahead[time_s][:2], time_s)
    back = _way_to_m(ahead, behind[time_s][:2], time_s)
    if forth is None or back is None:
        return forth if back is None else -back
    # On a ring each reaches the other's position: the shorter way counts.
    return forth if forth <= back else -back


def _way_to_m(track: Track, spot: tuple[float, float], time_s: float) -> float | None:
    driven_m = 0.0
    for time, (x, y, _, speed) in track.items():
        if time < time_s:
            continue
        distance_m = math.hypot(x - spot[0], y - spot[1])
        if distance_m < MIN_REACH_M:
            return driven_m + distance_m
        driven_m += speed * STEP_LENGTH_S
    return None


def _find_overtaking(run: _Run, gaps_m: Sequence[float | None]) -> str:
    for (behind, ahead), gap_m in zip(pairwise(run.scenario.convoy_ids), gaps_m, strict=True):
        first, second = run.tracks[behind], run.tracks[ahead]
        left_m = gap_m or 0.0
        for time in sorted(first.keys() & second):
            left_m += (second[time][3] - first[time][3]) * STEP_LENGTH_S
            if left_m < 0.0:
                return f"{behind} overtook {ahead} after {time - run.scenario.convoy_depart_s:.0f} s"
    return ""


def _max_spacing_m(run: _Run) -> float:
    spacings = [0.0]
    for behind, ahead in pairwise(run.tracks.get(car, {}) for car in run.scenario.convoy_ids):
        spacings += [float(np.hypot(*np.subtract(behind[time][:2], ahead[time][:2]))) for time in behind.keys() & ahead]
    return max(spacings)


def _mean_speed_mps(run: _Run) -> float:
    speeds = [
        float(step.attrib["meanSpeed"])
        for step in run.summary
        if float(step.attrib["time"]) >= run.scenario.convoy_depart_s and float(step.attrib["meanSpeed"]) >= 0.0
    ]
    return float(np.mean(speeds)) if speeds else 0.0


def _count_asked(run: _Run) -> tuple[float, float]:
    begin_s, end_s = float(run.summary[0].attrib["time"]) - STEP_LENGTH_S, float(run.summary[-1].attrib["time"])
    demand = [element for root in run.routes for element in (*root.findall("flow"), *single_vehicles(root))]
    counted = [element for element in demand if not why_uncountable(element)]
    # Vehicles with a departure before the simulation's begin never enter.
    asked = [count_until(element, end_s) - count_until(element, begin_s) for element in counted]
    n_asked = add_in_order(asked)
    by_chance = add_in_order(n for element, n in zip(counted, asked, strict=True) if is_random(element))
    tolerance = COUNT_SLACK + COUNT_TOLERANCE * n_asked + 3.0 * by_chance**0.5
    has_calibrator = any(root.find("calibrator") is not None for root in run.routes)  # inserts missing vehicles
    return n_asked, tolerance if len(counted) == len(demand) and not has_calibrator else math.inf
