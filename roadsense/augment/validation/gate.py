"""The gate: every scenario is run by plain SUMO, and refused with the reason, before it enters a dataset.

No hazard is set and SUMO drives every car with its own checks on: what goes wrong is the scenario's fault.
"""

import math
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from roadsense.errors import SimulationError
from roadsense.scenarios.flows import count_until, is_random, why_uncountable
from roadsense.scenarios.route_files import read_route_files, single_vehicles
from roadsense.scenarios.scenario import Scenario, open_scenario
from roadsense.scenarios.sumo_program import run_sumo
from roadsense.utils.add_in_order import add_in_order
from roadsense.utils.scratch import scratch_folder

HORIZON_S = 60.0
"""How long the ego must be on the road after its departure: an episode of 50 s, and time to spare."""

STEP_LENGTH_S = 0.1
"""As in the environment, whatever the scenario's own is."""
MAX_INSERTION_DELAY_S = 1.0
MAX_SPACING_M = 350.0
"""A red light may split a convoy; farther apart it is none any more."""
MIN_MEAN_SPEED_MPS = 2.0
EMERGENCY_SHARE = 0.5
"""Emergency braking begins this far from a vehicle's decel to its emergencyDecel: 6.75 m/s2 for a car."""

COUNT_TOLERANCE = 0.15
COUNT_SLACK = 2.0
"""Vehicles more or fewer than asked for that are never held against a scenario."""
_WARNING = re.compile(r"^(?:Warning|Error): .*", re.MULTILINE)
_EMERGENCY = re.compile(r"Vehicle '([^']+)' performs emergency braking")
_OF_THE_ROAD = re.compile(r" in tlLogic '| for link \d+ at junction '")
"""Warnings of a traffic light's program, common on imported roads: no draw is to blame for them."""
_OPTIONS = (
    *("--no-warnings", "false", "--no-step-log", "true", "--duration-log.disable", "true"),
    *("--step-length", str(STEP_LENGTH_S), "--time-to-teleport", "-1", "--xml-validation", "never"),
    *("--collision.action", "warn", "--collision.mingap-factor", "0", "--collision.check-junctions", "true"),
    *("--emergencydecel.warning-threshold", str(EMERGENCY_SHARE)),
    *("--fcd-output.attributes", "x,y,angle,speed", "--summary-output.period", "1"),
)

Track = dict[float, tuple[float, float, float, float]]
"""Of one car: time in s -> x in m, y in m, heading in degrees clockwise from north, speed in m/s."""


@dataclass(frozen=True)
class GateReport:
    """What was measured in the proof of one scenario, up to `HORIZON_S` after the convoy's departure.

    Attributes:
        n_warnings: SUMO's warnings and errors but for emergency braking and collisions.
        n_collisions: collisions of any two vehicles.
        n_emergency_braking: emergency braking of any vehicle.
        insertion_delay_s: until the whole convoy was on the road; None if it never was.
        in_order: whether the cars were inserted as V001, V002, ... going forward.
        ego_time_s: from the convoy's departure until the ego was last seen on the road.
        ego_mean_speed_mps: while it was on the road.
        max_spacing_m: largest distance between neighbours in the convoy, centre to centre as the crow flies.
        mean_speed_mps: of all traffic, once the convoy has departed.
        n_asked: vehicles the routes ask for, as far as they can be counted.
        n_inserted: vehicles that came.
        refusals: why the scenario is no good, in words; empty if it may be used.
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


@dataclass(frozen=True)
class _Run:
    # What SUMO left behind of one run.
    scenario: Scenario
    routes: tuple[ET.Element, ...]
    messages: str
    n_collisions: int
    tracks: dict[str, Track]
    summary: list[ET.Element]


def run_gate(config_path: str | Path) -> GateReport:
    """Runs a scenario in SUMO and returns what was measured and why it is refused, if it is.

    Raises:
        ScenarioError: if the scenario isn't safe to open.
    """
    scenario = open_scenario(config_path)
    try:
        with scratch_folder("roadsense_gate_") as folder:
            run = _simulate(scenario, folder)
    except SimulationError as error:
        return GateReport(refusals=(f"SUMO ended with an error: {error}",))
    return _judge(run)


def _simulate(scenario: Scenario, folder: Path) -> _Run:
    routes = tuple(root for _, root in read_route_files(scenario.route_paths, scenario.additional_paths))
    outputs = {name: folder / f"{name}.xml" for name in ("fcd", "summary", "collision")}
    options = [
        *_OPTIONS,
        "--device.fcd.explicit",
        ",".join(scenario.convoy_ids),
        "--end",
        str(scenario.convoy_depart_s + HORIZON_S + MAX_INSERTION_DELAY_S),
    ]
    for name, path in outputs.items():
        options += [f"--{name}-output", str(path)]
    messages = run_sumo(scenario.config_path, options)
    return _Run(
        scenario,
        routes,
        messages,
        n_collisions=len(_read_output(outputs["collision"])),
        tracks=_read_tracks(_read_output(outputs["fcd"])),
        summary=list(_read_output(outputs["summary"])),
    )


def _read_output(path: Path) -> ET.Element:
    return ET.parse(path).getroot()  # noqa: S314 -- written by SUMO a moment ago, in a folder of our own


def _read_tracks(trace: ET.Element) -> dict[str, Track]:
    tracks: dict[str, Track] = defaultdict(dict)
    for step in trace:
        for car in step.iter("vehicle"):
            x, y, angle, speed = (float(car.attrib[key]) for key in ("x", "y", "angle", "speed"))
            tracks[car.attrib["id"]][float(step.attrib["time"])] = (x, y, angle, speed)
    return tracks


def _judge(run: _Run) -> GateReport:
    warnings, braking = _sort_messages(run.messages)
    ego = run.tracks.get(run.scenario.ego_id, {})
    n_asked, tolerance = _count_asked(run)
    delay_s = _insertion_delay_s(run)
    report = GateReport(
        n_warnings=len(warnings),
        n_collisions=run.n_collisions,
        n_emergency_braking=len(braking),
        insertion_delay_s=delay_s,
        in_order=delay_s is not None and _is_in_order(run, run.scenario.convoy_depart_s + delay_s),
        ego_time_s=round(max(ego) - run.scenario.convoy_depart_s, 2) if ego else 0.0,
        ego_mean_speed_mps=round(float(np.mean([state[3] for state in ego.values()])), 3) if ego else 0.0,
        max_spacing_m=round(_max_spacing_m(run), 2),
        mean_speed_mps=round(_mean_speed_mps(run), 3),
        n_asked=round(n_asked, 2),
        n_inserted=int(run.summary[-1].attrib["inserted"]),
    )
    convoy_braking = sorted(set(braking) & set(run.scenario.convoy_ids))
    blamed = [warning for warning in warnings if not _OF_THE_ROAD.search(warning)]
    return replace(report, refusals=tuple(_refusals(report, blamed, convoy_braking, tolerance)))


def _refusals(report: GateReport, warnings: list[str], braking: list[str], tolerance: float) -> Iterator[str]:
    yield from (f"SUMO warns: {warning}" for warning in warnings[:1])
    if report.n_collisions:
        yield f"{report.n_collisions} collisions"
    if braking:
        yield f"emergency braking of {', '.join(braking)}"
    if report.insertion_delay_s is None:
        yield "a car of the convoy was never inserted"
    elif report.insertion_delay_s > MAX_INSERTION_DELAY_S:
        yield f"the convoy came {report.insertion_delay_s:g} s late, more than {MAX_INSERTION_DELAY_S:g}"
    elif not report.in_order:
        yield "the convoy's cars aren't in the order of their names"
    if report.ego_time_s < HORIZON_S:
        yield f"the ego left the road after {report.ego_time_s:g} s, before {HORIZON_S:g}"
    if report.max_spacing_m > MAX_SPACING_M:
        yield f"the convoy came apart: {report.max_spacing_m:.0f} m between cars, more than {MAX_SPACING_M:g}"
    yield from _traffic_refusals(report, tolerance)


def _traffic_refusals(report: GateReport, tolerance: float) -> Iterator[str]:
    for whose, speed in (("traffic", report.mean_speed_mps), ("the ego", report.ego_mean_speed_mps)):
        if speed < MIN_MEAN_SPEED_MPS:
            yield f"{whose} moves at {speed:.2f} m/s on average, less than {MIN_MEAN_SPEED_MPS:g}"
    if abs(report.n_inserted - report.n_asked) > tolerance:
        yield f"{report.n_inserted} vehicles came, the flows ask for {report.n_asked:.1f} +- {tolerance:.1f}"


def _sort_messages(messages: str) -> tuple[list[str], list[str]]:
    # Returns the warnings, and who braked in an emergency; collisions are counted from a file of their own.
    lines = _WARNING.findall(messages)
    braking = [match[1] for line in lines if (match := _EMERGENCY.search(line))]
    return [line for line in lines if not _EMERGENCY.search(line) and "collision with" not in line], braking


def _insertion_delay_s(run: _Run) -> float | None:
    if set(run.tracks) != set(run.scenario.convoy_ids):
        return None
    return round(max(min(track) for track in run.tracks.values()) - run.scenario.convoy_depart_s, 2)


def _is_in_order(run: _Run, time_s: float) -> bool:
    # Seen along the ego's heading, each next car of the convoy must be further on.
    states = [run.tracks[car].get(round(time_s, 2)) for car in run.scenario.convoy_ids]
    if None in states:
        return False
    positions = np.array([state[:2] for state in states if state])
    heading = np.radians(states[0][2] if states[0] else 0.0)
    ahead = positions @ [np.sin(heading), np.cos(heading)]
    return bool(np.all(np.diff(ahead) > 0.0))


def _max_spacing_m(run: _Run) -> float:
    spacings = [0.0]
    for behind, ahead in pairwise(run.tracks.get(car, {}) for car in run.scenario.convoy_ids):
        spacings += [float(np.hypot(*np.subtract(behind[time][:2], ahead[time][:2]))) for time in behind.keys() & ahead]
    return max(spacings)


def _mean_speed_mps(run: _Run) -> float:
    speeds = [
        float(step.attrib["meanSpeed"])
        for step in run.summary
        if float(step.attrib["time"]) >= run.scenario.convoy_depart_s
    ]
    return float(np.mean(speeds)) if speeds else 0.0


def _count_asked(run: _Run) -> tuple[float, float]:
    begin_s, end_s = float(run.summary[0].attrib["time"]) - STEP_LENGTH_S, float(run.summary[-1].attrib["time"])
    demand = [element for root in run.routes for element in (*root.findall("flow"), *single_vehicles(root))]
    counted = [element for element in demand if not why_uncountable(element)]
    # What was to depart before the simulation begins never comes.
    asked = [count_until(element, end_s) - count_until(element, begin_s) for element in counted]
    n_asked = add_in_order(asked)
    by_chance = add_in_order(n for element, n in zip(counted, asked, strict=True) if is_random(element))
    tolerance = COUNT_SLACK + COUNT_TOLERANCE * n_asked + 3.0 * by_chance**0.5
    return n_asked, tolerance if len(counted) == len(demand) else math.inf
