"""Which column of a log holds which quantity: a mapping in TOML, or one that is shipped.

A mapping names columns, units, the orientation of the board and the ego:

    like = "esp32_v2v"                                  # a shipped mapping, whose columns count where none is named
    ego = "V001"                                        # by default V001, else the only car that also has a file of rx
    car = "[A-Z]+[0-9]+"                                # how a car's name looks in the name of a file

    [tx]                                                # what a car's own sensors said
    time = { column = "timestamp_local_ms", unit = "ms" }
    speed = "speed"                                     # a column in the usual unit of `QUANTITIES`

    [rx]                                                # what it heard
    sender = "from_vehicle_id"

    [board]
    forward = "-y"                                      # the board's axis that points forward; likewise left and up
    calibrate = true                                    # take the accelerations' offset at standstill off

    [boards.V003]                                       # one car's board sits differently
    forward = "x"

    [order]                                             # by default by distance
    ahead = ["V002", "V003"]
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from roadsense.errors import DriveError
from roadsense.utils.csv_lines import find_column
from roadsense.utils.workspace import resolve

MAPPING_NAME = "drive.toml"
"""A mapping of this name in a drive's folder is used without being named."""
MAX_MAPPING_BYTES = 100_000
SHIPPED = ("roadsense", "esp32_v2v")
"""Mappings that come with the package, in `roadsense/drives/mappings`."""

TIME = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
NMEA = "dddmm.mmmm"
"""Unit of the angles of NMEA's sentences: degrees and minutes in one figure."""
ANGLE = {"deg": 1.0, "1e-7deg": 1e-7, "rad": 57.29577951308232, NMEA: 1.0}
SPEED = {"m/s": 1.0, "km/h": 1 / 3.6, "mph": 0.44704, "kn": 0.5144444444}
ACCELERATION = {"m/s2": 1.0, "g": 9.80665, "mg": 9.80665e-3}
ROTATION = {"rad/s": 1.0, "deg/s": 0.017453292519943295}
NUMBER, TEXT = {"": 1.0}, {"": 0.0}

QUANTITIES: Mapping[str, Mapping[str, float]] = {
    "time": TIME, "sent": TIME, "sequence": NUMBER, "car": TEXT, "sender": TEXT, "hops": NUMBER,
    "latitude_side": TEXT, "longitude_side": TEXT,
    "latitude": ANGLE, "longitude": ANGLE, "altitude": {"m": 1.0}, "speed": SPEED, "heading": ANGLE,
    "acceleration_x": ACCELERATION, "acceleration_y": ACCELERATION, "acceleration_z": ACCELERATION,
    "rotation_x": ROTATION, "rotation_y": ROTATION, "rotation_z": ROTATION, "driver_acceleration": ACCELERATION,
}  # fmt: skip
"""Quantities of a log, each with its units and their factors; the first unit is the usual one.

`time` is that of the car whose file it is, `sent` that of the sender; headings are a compass's, clockwise from north.
`latitude_side` holds N or S, `longitude_side` E or W, where the angles have no sign.
"""
NEEDED = {
    "tx": ("time", "latitude", "longitude", "speed", "heading"),
    "rx": ("time", "sender", "latitude", "longitude", "speed", "heading"),
}
MOST_LACKING = 2
"""A file with all needed columns but so many was meant for a shipped mapping."""
AXES = ("forward", "left", "up")


@dataclass(frozen=True)
class Column:
    """A column of a log: its name, and the factor to the usual unit of its quantity."""

    name: str
    factor: float = 1.0
    unit: str = ""


@dataclass(frozen=True)
class Board:
    """How a board sits in its car.

    Attributes:
        axes: axis of the board, 0 to 2 for x, y, z, that points forward, left and up.
        signs: 1, or -1 if that axis points the other way.
        calibrate: whether the offset of the acceleration at standstill is taken off, for boards that are not level.
    """

    axes: tuple[int, int, int] = (0, 1, 2)
    signs: tuple[int, int, int] = (1, 1, 1)
    calibrate: bool = False


@dataclass(frozen=True)
class LogMapping:
    """How the files of a drive are read.

    Attributes:
        name: name of the mapping.
        tx: columns of what a car's own sensors said, by quantity.
        rx: columns of what it heard.
        board: orientation of the boards; `boards` has those that differ, by car.
        boards: see `board`.
        ego: name of the ego; empty if it is to be found.
        car: regular expression of a car's name in the name of a file.
        ahead: cars ahead of the ego, from its leader forward; empty for their order by distance.
    """

    name: str
    tx: Mapping[str, Column]
    rx: Mapping[str, Column]
    board: Board = Board()
    boards: Mapping[str, Board] = field(default_factory=dict)
    ego: str = ""
    car: str = "[A-Za-z]+[0-9]+"
    ahead: tuple[str, ...] = ()

    def board_of(self, car: str) -> Board:
        """Returns the orientation of a car's board."""
        return self.boards.get(car, self.board)

    def used(self, role: str) -> dict[str, Column]:
        """Returns the columns of `rx` or `tx` that are read, by quantity: those of rotations are known, not needed."""
        columns = self.rx if role == "rx" else self.tx
        return {quantity: column for quantity, column in columns.items() if not quantity.startswith("rotation")}

    def role_of(self, header: Sequence[str]) -> str:
        """Returns `rx` or `tx` for a file with these columns; empty if it is neither."""
        return next((role for role in ("rx", "tx") if self.has(role) and not self.lacks(role, header)), "")

    def has(self, role: str) -> bool:
        """Returns whether it names columns of `rx` or `tx`."""
        return bool(self.rx if role == "rx" else self.tx)

    def lacks(self, role: str, header: Sequence[str]) -> list[str]:
        """Returns the needed columns of `rx` or `tx` that a file with these columns lacks."""
        columns = self.rx if role == "rx" else self.tx
        return [
            columns[quantity].name
            for quantity in NEEDED[role]
            if quantity in columns and find_column(header, columns[quantity].name) is None
        ]


def read_mapping(path: Path) -> LogMapping:
    """Returns the mapping in a TOML file.

    Raises:
        DriveError: if it is missing, too large, no TOML, or has a key, quantity, unit or axis that is not known.
    """
    try:
        content = path.read_bytes()
        if len(content) > MAX_MAPPING_BYTES:
            raise DriveError(f"{path}: expected a mapping of at most {MAX_MAPPING_BYTES} bytes, got {len(content)}.")
        found = tomllib.loads(content.decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DriveError(f"Expected a mapping of columns in TOML, got {path}: {error}.") from error
    return _parse(str(path), path.stem, found)


def shipped_mapping(name: str) -> LogMapping:
    """Returns a mapping of `SHIPPED`."""
    file = resources.files("roadsense.drives") / "mappings" / f"{name}.toml"
    return _parse(f"{name}.toml", name, tomllib.loads(file.read_text(encoding="utf-8")))


def find_mapping(folder: Path, given: str, headers: Mapping[str, list[str]]) -> LogMapping:
    """Returns the mapping of a drive: the one that is named, the one in its folder, or the shipped one that fits.

    Args:
        folder: folder of the drive.
        given: path of a mapping, or a name of `SHIPPED`; empty to find it.
        headers: column names of each file, by its name.

    Raises:
        DriveError: if it cannot be read, or none fits.
    """
    if given:
        return shipped_mapping(given) if given in SHIPPED else read_mapping(resolve(given))
    if (folder / MAPPING_NAME).is_file():
        return read_mapping(folder / MAPPING_NAME)
    for name in SHIPPED:
        mapping = shipped_mapping(name)
        if any(mapping.role_of(header) == "tx" for header in headers.values()):
            return mapping
    raise DriveError(f"{folder}: {_explain_columns(headers)} docs/how-to/drives.md shows how.")


def _explain_columns(headers: Mapping[str, list[str]]) -> str:
    """Returns why no shipped mapping fits, and what to write."""
    near = [
        (len(lacks), name, file, lacks)
        for name in SHIPPED
        for file, header in headers.items()
        for role in ("rx", "tx")
        if 0 < len(lacks := shipped_mapping(name).lacks(role, header)) <= MOST_LACKING
    ]
    if near:
        _, name, file, lacks = min(near)
        return (
            f"expected files with the columns of {name}, but {file} has no {', '.join(lacks)}. Add the column, or "
            f"write into {MAPPING_NAME} in this folder which column it is;"
        )
    for file, header in headers.items():
        if all(re.fullmatch(r"[-+\d.eE:]+", cell) for cell in header):
            return f"expected the columns' names in the first line of {file}, got figures. Add a line with names;"
    seen = "; ".join(f"{name}: {', '.join(header)[:300]}" for name, header in list(headers.items())[:4])
    return (
        f"expected files with the columns of a mapping that comes with roadsense ({', '.join(SHIPPED)}), "
        f"got {seen}. Write which column is which into {MAPPING_NAME} in this folder;"
    )


def _parse(where: str, name: str, found: Mapping[str, Any]) -> LogMapping:
    known = {"like", "ego", "car", "tx", "rx", "board", "boards", "order"}
    _refuse_unknown(where, found, known)
    for table in known - {"like", "ego", "car"}:
        if not isinstance(found.get(table, {}), dict):
            raise DriveError(f"{where}: expected [{table}] as a table, got {found[table]!r}.")
    own = {role: _columns(f"{where}: [{role}]", found.get(role, {})) for role in ("tx", "rx")}
    columns = {role: {**_like(where, found)[role], **own[role]} for role in own}
    for role in columns:
        missing = [quantity for quantity in NEEDED[role] if quantity not in columns[role]]
        if missing and columns[role]:
            raise DriveError(f"{where}: [{role}] expected columns of {', '.join(NEEDED[role])}; {missing} are missing.")
    board = _board(f"{where}: [board]", found.get("board", {}), Board())
    boards = {car: _board(f"{where}: [boards.{car}]", one, board) for car, one in found.get("boards", {}).items()}
    order = found.get("order", {}).get("ahead", [])
    texts = (found.get("ego", ""), found.get("car", "x"), *(order if isinstance(order, list) else [None]))
    if not all(isinstance(text, str) for text in texts):
        raise DriveError(f"{where}: expected ego and car as text and ahead as a list of cars, got {texts}.")
    pattern = found.get("car", LogMapping.car)
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise DriveError(f"{where}: expected car as a regular expression, got {pattern!r}: {error}.") from error
    return LogMapping(
        name, columns["tx"], columns["rx"], board, boards, found.get("ego", ""), pattern, tuple(order)
    )  # fmt: skip


def _like(where: str, found: Mapping[str, Any]) -> dict[str, Mapping[str, Column]]:
    """Returns the columns of the shipped mapping that another one begins with."""
    name = found.get("like")
    if name is None:
        return {"tx": {}, "rx": {}}
    if name not in SHIPPED:
        raise DriveError(f"{where}: expected like as one of {', '.join(SHIPPED)}, got {name!r}.")
    mapping = shipped_mapping(name)
    return {"tx": mapping.tx, "rx": mapping.rx}


def _columns(where: str, found: Mapping[str, Any]) -> dict[str, Column]:
    _refuse_unknown(where, found, QUANTITIES)
    columns = {}
    for quantity, given in found.items():
        units = QUANTITIES[quantity]
        usual = next(iter(units))
        one = {"column": given} if isinstance(given, str) else given
        if not isinstance(one, dict) or not isinstance(one.get("column"), str) or set(one) - {"column", "unit"}:
            raise DriveError(f'{where} {quantity}: expected a column\'s name or {{column = "..", unit = ".."}}.')
        unit = one.get("unit", usual)
        if unit not in units:
            raise DriveError(f"{where} {quantity}: expected a unit of {', '.join(map(repr, units))}, got {unit!r}.")
        columns[quantity] = Column(one["column"], units[unit], unit)
    return columns


def _board(where: str, found: Any, default: Board) -> Board:
    if not isinstance(found, dict):
        raise DriveError(f"{where}: expected a table, got {found!r}.")
    _refuse_unknown(where, found, {*AXES, "calibrate"})
    axes, signs = list(default.axes), list(default.signs)
    for place, name in enumerate(AXES):
        text = found.get(name)
        if text is not None:
            if not isinstance(text, str) or not re.fullmatch(r"[+-]?[xyz]", text):
                raise DriveError(f'{where}: expected {name} as "x", "-y" or the like, got {text!r}.')
            axes[place], signs[place] = "xyz".index(text[-1]), -1 if text[0] == "-" else 1
    if {"forward"} <= set(found) and not {"left", "up"} & set(found):
        rest = [axis for axis in (0, 1, 2) if axis != axes[0]]
        axes[1:] = rest
    if len(set(axes)) < 3:
        raise DriveError(f"{where}: expected forward, left and up to be three different axes, got {found}.")
    calibrate = found.get("calibrate", default.calibrate)
    if not isinstance(calibrate, bool):
        raise DriveError(f"{where}: expected calibrate to be true or false, got {calibrate!r}.")
    return Board((axes[0], axes[1], axes[2]), (signs[0], signs[1], signs[2]), calibrate)


def _refuse_unknown(where: str, found: Mapping[str, Any], known: Iterable[str]) -> None:
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise DriveError(f"{where}: expected keys of {', '.join(known)}; got {', '.join(unknown)}. Correct the key.")
