"""A recorded drive: what each car's sensors said and what the ego heard, on one clock and one plane.

A drive is a folder with CSV files, two for each car: `tx`, what its own sensors said, and `rx`, what it heard. Columns,
units and dirt are those that `docs/how-to/drives.md` describes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roadsense.drives.cleaning import (
    blank_impossible,
    blank_positions,
    drop_duplicates,
    drop_repeated_messages,
    find_stuck,
    note_gaps,
    note_unused,
    order_rows,
)
from roadsense.drives.clocks import Clock, fit_clock
from roadsense.drives.files import find_files, read_tables
from roadsense.drives.findings import Finding, Findings
from roadsense.drives.mapping import Board, LogMapping, find_mapping
from roadsense.drives.plane import Plane
from roadsense.drives.table import Table, read_header
from roadsense.drives.units import check_degrees, check_gravity, check_motion, check_rate, forward_mps2
from roadsense.errors import DriveError
from roadsense.scenarios.scenario import EGO_ID
from roadsense.utils.progress import working
from roadsense.utils.workspace import find_file

Floats = NDArray[np.float64]

DRIFT_PPM = 5.0
"""A smaller drift is not reported: the times in a log are whole milliseconds."""


@dataclass(frozen=True)
class SensorLog:
    """What one car's own sensors said, in order of time.

    Attributes:
        time_s: (n,) time by the ego's clock, from the ego's first row.
        key: (n,) number of the message that carried the row: its sequence, or the sender's time in ms.
        x_m: (n,) position eastward on the drive's plane; NaN where there is none. Likewise `y_m`, northward.
        speed_mps: (n,) speed, from 0; NaN where it is impossible.
        heading_rad: (n,) heading on the plane, 0 is east, counter-clockwise.
        acceleration_mps2: (n,) acceleration along the car.
        driver_mps2: (n,) acceleration that the driver asks for, if it was logged; else NaN.
        altitude_m: (n,) altitude, if it was logged; else NaN.
        is_stuck: (n,) whether the position stands still although the car moves.
    """

    time_s: Floats
    key: Floats
    x_m: Floats
    y_m: Floats
    speed_mps: Floats
    heading_rad: Floats
    acceleration_mps2: Floats
    driver_mps2: Floats
    altitude_m: Floats
    is_stuck: NDArray[np.bool_]


@dataclass(frozen=True)
class HeardLog:
    """The messages that the ego heard, each once, in the order of hearing.

    Attributes:
        heard_s: (n,) time of hearing by the ego's clock.
        sent_s: (n,) time of sending by the ego's clock.
        sender: (n,) place of the sender in `Drive.peers`.
        key: (n,) number of the message, as in `SensorLog`.
        hops: (n,) relays that it came through.
        x_m: (n,) position in the message on the drive's plane; likewise `y_m`.
        speed_mps: (n,) speed in the message.
        heading_rad: (n,) heading in it.
        acceleration_mps2: (n,) acceleration in it.
    """

    heard_s: Floats
    sent_s: Floats
    sender: NDArray[np.int64]
    key: Floats
    hops: Floats
    x_m: Floats
    y_m: Floats
    speed_mps: Floats
    heading_rad: Floats
    acceleration_mps2: Floats

    def of(self, place: int) -> "HeardLog":
        """Returns the messages of one sender in the order of sending."""
        own = np.flatnonzero(self.sender == place)
        own = own[np.argsort(self.sent_s[own], kind="stable")]
        return HeardLog(**{name: values[own] for name, values in vars(self).items()})


@dataclass(frozen=True)
class Drive:
    """A recorded drive.

    Attributes:
        name: name of its folder.
        folder: its folder.
        ego: name of the ego.
        peers: names of the cars that the ego heard, those ahead first, from its leader forward.
        n_ahead: how many of them drive ahead.
        sensors: what each car's own sensors said, by name; the ego is always there.
        heard: what the ego heard.
        clocks: clock of each other car, by name.
        plane: plane of the positions.
        findings: what is wrong with the log, and what was done about it.
        n_rows: rows of each file, by name.
        mapping: name of the mapping it was read with.
    """

    name: str
    folder: Path
    ego: str
    peers: tuple[str, ...]
    n_ahead: int
    sensors: Mapping[str, SensorLog]
    heard: HeardLog
    clocks: Mapping[str, Clock]
    plane: Plane
    findings: tuple[Finding, ...]
    n_rows: Mapping[str, int]
    mapping: str

    @property
    def own(self) -> SensorLog:
        """What the ego's sensors said."""
        return self.sensors[self.ego]

    @property
    def duration_s(self) -> float:
        """Time from the ego's first row to its last."""
        return float(self.own.time_s[-1])


@working("reading the drive")
def read_drive(folder: str | Path, mapping: str = "", ego: str = "") -> Drive:
    """Returns a drive from a folder of logs.

    Args:
        folder: folder of the CSV files; if it isn't there, the package's of that name.
        mapping: path of a mapping in TOML, or the name of one that is shipped; empty: `drive.toml` in the folder, or
            the shipped one that fits.
        ego: name of the ego; empty: as the mapping says.

    Raises:
        DriveError: if the folder, a file or the mapping cannot be read, units cannot be right, or the ego's rows lack.

    Examples:
        >>> import roadsense as rs
        >>> drive = rs.read_drive("drives/sample")
        >>> drive.ego, drive.peers
        ('V001', ('V002', 'V003'))
    """
    folder = find_file(folder)
    paths = find_files(folder)
    headers = {path.name: read_header(path) for path in paths}
    found = find_mapping(folder, mapping, headers)
    findings = Findings()
    tables = read_tables(paths, headers, found, findings)
    name = _choose_ego(folder, found, ego, tables)
    note_unused(
        headers, found, [table.file for (car, role), table in tables.items() if role == "rx" and car != name], findings
    )
    plane = _make_plane(folder, tables[name, "tx"])
    sensed = {car: _clean_sensed(table, plane, findings) for (car, role), table in tables.items() if role == "tx"}
    start_s = float(sensed[name].get("time")[0])
    heard = _clean_heard(tables.get((name, "rx")), name, plane, findings)
    clocks = _fit_clocks(heard, sensed, name, findings)
    sensors = {
        car: _make_sensors(table, found.board_of(car), plane, clocks.get(car, Clock()), start_s, findings)
        for car, table in sensed.items()
        if car == name or car in clocks
    }
    log, senders = _make_heard(heard, sensed, clocks, found, plane, start_s, findings)
    peers, n_ahead = _order_peers(sensors[name], log, senders, found.ahead)
    place = np.array([peers.index(car) for car in senders], np.int64)
    log = HeardLog(**{**vars(log), "sender": place[log.sender] if len(log.sender) else log.sender})
    n_rows = dict.fromkeys((table.file for table in tables.values()), 0)
    for table in tables.values():
        n_rows[table.file] += len(table)
    return Drive(
        folder.resolve().name, folder, name, peers, n_ahead, sensors, log, clocks, plane,
        tuple(findings.in_order()), n_rows, found.name,
    )  # fmt: skip


def _choose_ego(folder: Path, mapping: LogMapping, given: str, tables: Mapping[tuple[str, str], Table]) -> str:
    cars = sorted({car for car, role in tables if role == "tx"})
    both = [car for car in cars if (car, "rx") in tables]
    only = both if len(both) == 1 else cars
    ego = given or mapping.ego or (EGO_ID if EGO_ID in cars or len(only) != 1 else only[0])
    if ego not in cars:
        raise DriveError(
            f"{folder}: expected what the ego {ego} sensed (tx), got files of {cars or 'no car'}. Name the ego with "
            "--ego, or in the mapping."
        )
    return ego


def _make_plane(folder: Path, table: Table) -> Plane:
    check_degrees(table)
    latitude, longitude = table.get("latitude"), table.get("longitude")
    known = np.isfinite(latitude) & np.isfinite(longitude) & (np.abs(latitude) > 1e-6) & (np.abs(latitude) < 89)
    known &= np.abs(longitude) <= 180
    if known.sum() < 2:
        raise DriveError(f"{folder}: expected positions of the ego in {table.file}, got none that can be right.")
    middle = float(np.median(latitude[known])), float(np.median(longitude[known]))
    return Plane(round(middle[0], 3), round(middle[1], 3))


def _clean_sensed(table: Table, plane: Plane, findings: Findings) -> Table:
    table = drop_duplicates(order_rows(table, findings), findings)
    check_rate(table)
    check_degrees(table)
    check_gravity(table)
    note_gaps(table, findings)
    return blank_impossible(check_motion(blank_positions(table, findings), plane, findings), findings)


def _clean_heard(table: Table | None, ego: str, plane: Plane, findings: Findings) -> Table | None:
    if table is None:
        return None
    table = drop_repeated_messages(order_rows(table, findings), ego, findings)
    check_degrees(table)
    table = blank_positions(table, findings)
    for car in np.unique(table.words["sender"]).tolist():
        own = table.words["sender"] == car
        checked = check_motion(table.take(own), plane, findings, f"{table.file}: {car}")
        table.numbers["speed"][own] = checked.get("speed")
    return blank_impossible(table, findings)


def _sent_s(heard: Table, own: NDArray[np.bool_], sensed: Table | None) -> Floats:
    """Returns the sending times of one sender's messages by its clock: as written, or found by sequence in its log."""
    if "sent" in heard.numbers or sensed is None or "sequence" not in heard.numbers or "sequence" not in sensed.numbers:
        return heard.get("sent")[own]
    numbers, first = np.unique(sensed.get("sequence"), return_index=True)
    wanted = heard.get("sequence")[own]
    place = np.clip(np.searchsorted(numbers, wanted), 0, len(numbers) - 1)
    return np.where(numbers[place] == wanted, sensed.get("time")[first][place], np.nan)


def _fit_clocks(heard: Table | None, sensed: Mapping[str, Table], ego: str, findings: Findings) -> dict[str, Clock]:
    clocks = {}
    cars = set(sensed) | (set(heard.words["sender"].tolist()) if heard is not None else set())
    for car in sorted(cars - {ego}):
        own = heard.words["sender"] == car if heard is not None else np.zeros(0, bool)
        clock = None
        if heard is not None and own.any():
            clock = fit_clock(_sent_s(heard, own, sensed.get(car)), heard.get("time")[own])
        if clock is None:
            findings.note("no_clock", car, 1, "its own log is not used; its messages count from their hearing")
            continue
        clocks[car] = clock
        if abs(clock.drift_ppm) > DRIFT_PPM:
            findings.note("drift", car, 1, f"{clock.drift_ppm:+.0f} ppm against the ego's; corrected")
    return clocks


def _key(table: Table) -> Floats:
    for name, factor in (("sequence", 1.0), ("sent", 1e3), ("time", 1e3)):
        if name in table.numbers:
            return np.rint(table.get(name) * factor)
    return np.arange(len(table), dtype=float)


def _make_sensors(
    table: Table, board: Board, plane: Plane, clock: Clock, start_s: float, findings: Findings
) -> SensorLog:
    stuck = find_stuck(table, findings)
    latitude, longitude = table.get("latitude"), table.get("longitude")
    x_m, y_m = plane.to_metres(latitude, longitude)
    return SensorLog(
        time_s=clock.to_ego(table.get("time")) - start_s,
        key=_key(table),
        x_m=x_m,
        y_m=y_m,
        speed_mps=table.get("speed"),
        heading_rad=_heading_rad(table, plane),
        acceleration_mps2=forward_mps2(table, board, findings),
        driver_mps2=table.get("driver_acceleration"),
        altitude_m=table.get("altitude"),
        is_stuck=stuck,
    )


def _heading_rad(table: Table, plane: Plane) -> Floats:
    turn_deg = plane.turn_deg(table.get("latitude"), table.get("longitude"))
    return np.pi / 2 - np.radians(table.get("heading") - turn_deg)


def _make_heard(
    heard: Table | None,
    sensed: Mapping[str, Table],
    clocks: Mapping[str, Clock],
    mapping: LogMapping,
    plane: Plane,
    start_s: float,
    findings: Findings,
) -> tuple[HeardLog, list[str]]:
    """Returns what the ego heard with the senders' places in a list, and this list."""
    if heard is None or not len(heard):
        no = np.zeros(0)
        return HeardLog(no, no, np.zeros(0, np.int64), no, no, no, no, no, no, no), []
    senders, place = np.unique(heard.words["sender"], return_inverse=True)
    sent_s, forward = heard.get("time").copy(), np.zeros(len(heard))
    for number, car in enumerate(senders.tolist()):
        own = place == number
        rows = heard.take(own)
        forward[own] = forward_mps2(rows, mapping.board_of(car), findings, f"{heard.file}: {car}")
        if car in clocks:
            found = clocks[car].to_ego(_sent_s(heard, own, sensed.get(car)))
            sent_s[own] = np.where(np.isfinite(found), np.minimum(found, sent_s[own]), sent_s[own])
    x_m, y_m = plane.to_metres(heard.get("latitude"), heard.get("longitude"))
    log = HeardLog(
        heard.get("time") - start_s, sent_s - start_s, place, _key(heard), np.nan_to_num(heard.get("hops")), x_m, y_m,
        heard.get("speed"), _heading_rad(heard, plane), forward,
    )  # fmt: skip
    known = np.isfinite(log.x_m) & np.isfinite(log.speed_mps) & np.isfinite(log.heading_rad)
    known &= np.isfinite(log.acceleration_mps2)
    return HeardLog(**{name: values[known] for name, values in vars(log).items()}), [str(car) for car in senders]


def _order_peers(
    own: SensorLog, heard: HeardLog, senders: list[str], given: tuple[str, ...]
) -> tuple[tuple[str, ...], int]:
    """Returns the senders, those ahead first from the nearest forward, then those behind; and how many are ahead."""
    away = {}
    for number, car in enumerate(senders):
        rows = np.flatnonzero(heard.sender == number)
        at = np.clip(np.searchsorted(own.time_s, heard.sent_s[rows]), 0, len(own.time_s) - 1)
        dx, dy = heard.x_m[rows] - own.x_m[at], heard.y_m[rows] - own.y_m[at]
        forward = dx * np.cos(own.heading_rad[at]) + dy * np.sin(own.heading_rad[at])
        away[car] = float(np.nanmedian(forward)) if np.isfinite(forward).any() else np.inf
    unknown = [car for car in given if car not in senders]
    if unknown:
        raise DriveError(f"[order] ahead: expected cars that the ego heard, {senders}; got {unknown}.")
    named = list(given)
    rest = sorted((car for car in senders if car not in named), key=lambda car: (away[car] <= 0, abs(away[car])))
    ordered = named + rest
    return tuple(ordered), len(named) + sum(away[car] > 0 for car in rest)
