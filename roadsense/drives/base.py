"""`roadsense drive base`: a drive as a base scenario, so that augmentation multiplies it."""

import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro

from roadsense.augment.check_base import CheckBaseConfig, check_and_print
from roadsense.drives.drive import Drive, read_drive
from roadsense.drives.motion import follow_cars
from roadsense.drives.road import NETWORK_NAME, Road, road_from_osm, road_from_trace
from roadsense.drives.steps import make_steps
from roadsense.envs.convoy import CAR_LENGTH_M
from roadsense.errors import DriveError
from roadsense.utils.bounds import bounded, check_bounds
from roadsense.utils.files import write_atomically
from roadsense.utils.scratch import arriving, scratch_folder
from roadsense.utils.workspace import resolve_fields

MIN_GAP_M = 2.5
TAU_S, LEAST_TAU_S = 1.0, 0.5
DEPART_S, FLOW_S, END_S = 5.0, 10.0, 130.0
EPISODE_S = 50.0
AHEAD_M = 20.0
"""The convoy's first car departs at least this far before the end of the road."""
SAFE_SHARE = 0.9
"""Of the speed at which SUMO still lets cars depart at their distance."""


@dataclass(frozen=True)
class BaseConfig:
    """Settings of `roadsense drive base`.

    Attributes:
        log: folder of the drive.
        folder: new folder of the base scenario; its name is the base's.
        osm: OpenStreetMap extract (`.osm` or `.osm.xml`) of the place; without it the road is the drive's own trace.
        flow_vph: rate of other traffic on the road, vehicles an hour; 0 for none.
        lanes: lanes of a road made from the trace.
        begin_s: time of the drive at which the convoy's distances and speeds are taken; by default where it is densest
            and moves.
        mapping: as of `roadsense drive judge`.
        ego: name of the ego; empty: as the mapping says, else V001.
        check: whether the base is checked as `roadsense check-base` does.

    Examples:
        >>> import roadsense as rs
        >>> rs.BaseConfig("drives/sample", "scenarios/mine/sample").flow_vph
        300.0
    """

    log: tyro.conf.Positional[Path]
    folder: tyro.conf.Positional[Path]
    osm: Path | None = None
    flow_vph: float = bounded(300.0, 0.0, 3000.0)
    lanes: int = bounded(2, 1, 4)
    begin_s: float | None = None
    mapping: str = ""
    ego: str = ""
    check: bool = True

    def __post_init__(self) -> None:
        check_bounds(self)
        resolve_fields(self, "folder", "osm")


@dataclass(frozen=True)
class Formation:
    """A convoy at one moment of a drive.

    Attributes:
        time_s: the moment.
        spacings_m: distances from front to front, the ego to its leader first.
        speed_mps: its mean speed.
        x_m: the ego's position; likewise `y_m`.
    """

    time_s: float
    spacings_m: tuple[float, ...]
    speed_mps: float
    x_m: float
    y_m: float


def make_base(config: BaseConfig) -> list[str]:
    """Writes a base scenario from a drive; returns notes on what was done.

    Raises:
        DriveError: if no car ahead has known distances, the drive is too short, or the map does not fit.
        InputError: if the folder holds something.

    Examples:
        >>> import roadsense as rs
        >>> notes = rs.make_base(rs.BaseConfig("drives/sample", "scenarios/mine/sample"))
        >>> "own trace" in notes[0]
        True
    """
    folder = Path(config.folder)
    with arriving(folder, "the base") as part, scratch_folder("roadsense_base_") as scratch:
        drive = read_drive(config.log, config.mapping, config.ego)
        formation = find_formation(drive, config.begin_s)
        if config.osm:
            road = road_from_osm(drive, scratch, Path(config.osm))
        else:
            road = road_from_trace(drive, scratch, config.lanes)
        fitted, changes = fit_formation(formation, road)
        notes = [road.note, _describe(formation), *changes]
        if config.flow_vph:
            notes.append(
                f"Other traffic: {config.flow_vph:g} vehicles an hour from {FLOW_S:g} s on, behind the convoy."
            )
        shutil.copy(scratch / NETWORK_NAME, part / NETWORK_NAME)
        write_atomically(part / "routes.rou.xml", _routes(fitted, road, config.flow_vph))
        write_atomically(part / "README.md", "\n".join([f"# {folder.name}", "", *[f"- {n}" for n in notes], ""]))
        write_atomically(part / "scenario.sumocfg", _CONFIG)
    return notes


def _describe(formation: Formation) -> str:
    apart = ", ".join(f"{spacing:.0f}" for spacing in formation.spacings_m)
    return (
        f"Convoy of {len(formation.spacings_m) + 1} cars as {formation.time_s:.0f} s after the drive's start: "
        f"{formation.speed_mps:.1f} m/s, {apart} m apart."
    )


def make_and_print(config: BaseConfig) -> None:
    """Turns a drive into a base scenario for `roadsense gen-scenarios`, and checks it."""
    for note in make_base(config):
        sys.stdout.write(f"  {note}\n")
    sys.stdout.write(f"{config.folder}: a base scenario\n")
    if config.check:
        check_and_print(CheckBaseConfig(config.folder))


def find_formation(drive: Drive, begin_s: float | None = None) -> Formation:
    """Returns the convoy where most cars' distances are known, it moves, and it is densest.

    Args:
        drive: the drive.
        begin_s: moment to take instead.

    Raises:
        DriveError: if the distance to no car ahead is known while the convoy moves.
    """
    steps = make_steps(drive)
    cars = list(follow_cars(drive, steps).values())[: drive.n_ahead]
    gaps = np.array([motion.gap_m for motion in cars]).reshape(len(cars), len(steps))
    lengths = CAR_LENGTH_M * np.arange(1, len(cars) + 1)[:, None]
    fronts = np.vstack([np.zeros(len(steps)), gaps + lengths])
    spacings = np.diff(fronts, axis=0)
    in_order = np.cumprod((spacings > CAR_LENGTH_M) & (spacings < 200), axis=0)
    n_known = in_order.sum(axis=0) if len(cars) else np.zeros(len(steps), int)
    usable = steps.is_judged & (n_known > 0)
    if begin_s is None:
        usable &= steps.states[:, 2] > 0.5 * np.nanmedian(steps.states[:, 2])
    else:
        usable &= np.abs(steps.time_s - begin_s) < 1.0
    if not usable.any():
        raise DriveError(
            f"{drive.folder}: expected a moment at which the convoy moves and the distance to a car ahead is known"
            f"{'' if begin_s is None else f' near {begin_s:g} s'}, found none. Drive with two boxes or more."
        )
    most = n_known[usable].max()
    places = np.flatnonzero(usable & (n_known == most))
    dense = places[np.argsort(spacings[:most, places].sum(axis=0), kind="stable")]
    step = int(dense[len(dense) // 4])  # the densest single moments are errors of positions
    speed = float(np.nanmean([steps.states[step, 2], *[motion.speed_mps[step] for motion in cars[:most]]]))
    x_m, y_m = steps.states[step, :2].tolist()
    return Formation(
        float(steps.time_s[step]), tuple(round(float(s), 1) for s in spacings[:most, step]), speed, x_m, y_m
    )


def fit_formation(formation: Formation, road: Road) -> tuple[Formation, list[str]]:
    """Returns the convoy as SUMO can let it depart on a road, and a note on each change.

    SUMO lets no car depart nearer to the next than its speed allows, and needs room for the whole convoy.

    Args:
        formation: the convoy as it was.
        road: the road.
    """
    notes = []
    room_m = road.length_m - 2 * AHEAD_M
    spacings = list(formation.spacings_m)
    while len(spacings) > 1 and sum(spacings) > room_m / 2:
        spacings.pop()
    if len(spacings) < len(formation.spacings_m):
        notes.append(f"The road is short, {road.length_m:.0f} m: only the last {len(spacings) + 1} cars drive on it.")
    speed_mps = min(formation.speed_mps, road.speed_mps)
    safe_mps = SAFE_SHARE * max(min(spacings) - CAR_LENGTH_M - MIN_GAP_M, 0.5) / tau_of(formation)
    if safe_mps < speed_mps:
        notes.append(
            f"The convoy drove {min(spacings):.0f} m apart at {speed_mps:.1f} m/s, closer than SUMO lets cars depart: "
            f"it departs with {safe_mps:.1f} m/s at the same distances, and speeds up."
        )
        speed_mps = safe_mps
    if road.length_m - sum(spacings) < EPISODE_S * speed_mps:
        notes.append(
            f"The road is shorter than the convoy drives in an episode of {EPISODE_S:g} s: episodes end at its end."
        )
    return replace(formation, spacings_m=tuple(spacings), speed_mps=round(speed_mps, 2)), notes


def tau_of(formation: Formation) -> float:
    """Returns the time headway of the convoy's drivers, as they drove, within what SUMO's model can keep."""
    gap_m = float(np.median(formation.spacings_m)) - CAR_LENGTH_M - MIN_GAP_M
    return round(float(np.clip(gap_m / max(formation.speed_mps, 1.0), LEAST_TAU_S, TAU_S)), 2)


def _routes(formation: Formation, road: Road, flow_vph: float) -> str:
    convoy_m = sum(formation.spacings_m)
    place_m = float(np.clip(road.place_of(formation.x_m, formation.y_m), AHEAD_M, road.length_m / 3))
    place_m = max(min(place_m, road.length_m - AHEAD_M - convoy_m - EPISODE_S * formation.speed_mps), AHEAD_M)
    positions = place_m + np.r_[0.0, np.cumsum(formation.spacings_m)]
    common = f'length="{CAR_LENGTH_M}" minGap="{MIN_GAP_M}" tau="{tau_of(formation)}" emergencyDecel="9"'
    held = 'lcSpeedGain="0" lcKeepRight="0" lcCooperative="-1"'
    lines = [
        "<routes>",
        f'    <vType id="ego" {common} sigma="0" speedFactor="normc(0.98,0.02,0.9,1.05)" {held}/>',
        f'    <vType id="convoy_car" {common} sigma="0.2" speedFactor="normc(0.95,0.02,0.88,1.0)" {held}/>',
        '    <vType id="car" length="4.4" minGap="2.5" emergencyDecel="9" sigma="0.3" '
        'speedFactor="normc(0.95,0.08,0.8,1.15)"/>',
        f'    <route id="drive" edges="{" ".join(road.edges)}"/>',
    ]
    for number in reversed(range(len(positions))):
        kind = "convoy_car" if number else "ego"
        lines.append(
            f'    <vehicle id="V{number + 1:03d}" type="{kind}" route="drive" depart="{DEPART_S:.2f}" departLane="0" '
            f'departPos="{positions[number]:.2f}" departSpeed="{formation.speed_mps:.2f}"/>'
        )
    if flow_vph:
        lines.append(
            f'    <flow id="others" type="car" route="drive" begin="{FLOW_S:g}" end="{END_S:g}" '
            f'vehsPerHour="{flow_vph:g}" departLane="best" departPos="base" departSpeed="desired"/>'
        )
    return "\n".join([*lines, "</routes>", ""])


_CONFIG = f"""<?xml version="1.0" encoding="UTF-8"?>
<configuration>
    <input><net-file value="network.net.xml"/><route-files value="routes.rou.xml"/></input>
    <time><begin value="0"/><end value="{END_S:g}"/><step-length value="0.1"/></time>
    <processing>
        <eager-insert value="true"/>
        <time-to-teleport value="-1"/>
        <collision.action value="warn"/>
        <collision.mingap-factor value="0"/>
    </processing>
</configuration>
"""
