"""Logs as other people's loggers, spreadsheets and scripts write them: read alike, or refused with a way out."""

import datetime
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from roadsense.drives.cells import read_numbers, read_times
from roadsense.drives.drive import read_drive
from roadsense.drives.mapping import ANGLE, SPEED, TIME
from roadsense.errors import DriveError

TIMES = ("time_s", "sent_s")
PLACES = ("latitude_deg", "longitude_deg")
NAMES = {"V001": "ego", "V002": "lead", "V003": "third", "V004": "fourth", "V005": "fifth", "V006": "first"}
SENDER = "sender"
EPOCH_S = 1_764_500_000.0


def stay(text: str) -> str:
    return text


@dataclass(frozen=True)
class Log:
    """How one logger writes a drive."""

    separator: str = ","
    cell: Callable[[str], str] = stay
    columns: tuple[str, ...] = ()
    header: Callable[[str], str] = stay
    before: str = ""
    after: str = ""
    encoding: str = "utf-8"
    end: str = "\n"
    name: Callable[[str], str] = stay
    mapping: str = ""
    car: Callable[[str], str] = stay

    def write(self, source: Path, folder: Path) -> Path:
        """Writes the drive and returns its folder."""
        folder.mkdir()
        for path in (*source.glob("*_tx.csv"), source / "V001_rx.csv"):
            head, *lines = path.read_text(encoding="utf-8-sig").splitlines()
            names = head.split(",")
            rows = [self.separator.join(map(self.header, names))]
            for line in lines:
                cells = dict(zip(names, line.split(","), strict=True))
                changed = {name: self.cell(text) for name, text in cells.items() if name in self.columns}
                if SENDER in cells:
                    changed[SENDER] = self.car(cells[SENDER])
                rows.append(self.separator.join((cells | changed).values()) + self.after)
            text = self.before + self.end.join(rows) + self.end
            (folder / self.name(path.name)).write_bytes(text.encode(self.encoding))
        if self.mapping:
            (folder / "drive.toml").write_text(self.mapping, encoding="utf-8")
        return folder


def date(text: str) -> str:
    return datetime.datetime.fromtimestamp(EPOCH_S + float(text), datetime.UTC).isoformat(" ", "microseconds")


def clock(text: str) -> str:
    seconds = (86_390.0 + float(text)) % 86_400.0
    return f"30.11.2026 {int(seconds // 3600):02d}:{int(seconds % 3600 // 60):02d}:{seconds % 60:09.6f}"


def nmea(text: str) -> str:
    degrees = int(float(text))
    return f"{100 * degrees + 60 * (float(text) - degrees):.7f}"


def mapping(*quantities: str) -> str:
    lines = "\n".join(quantities)
    return f'like = "roadsense"\n[tx]\n{lines}\n[rx]\n{lines}\n'


FIGURES = (*TIMES, *PLACES, "speed_mps", "heading_deg", "acceleration_x_mps2", "driver_acceleration_mps2")
COMMA = {"cell": lambda text: text.replace(".", ","), "columns": FIGURES}
LOGS = {
    "a spreadsheet of Europe": Log(";", before="sep=;\n", **COMMA),
    "tabs and decimal commas": Log("\t", **COMMA),
    "decimal commas in quotes": Log(cell=lambda text: f'"{text}"'.replace(".", ","), columns=FIGURES),
    "everything in quotes": Log(cell=lambda text: f'"{text}"', columns=FIGURES, header=lambda text: f'"{text}"'),
    "bars": Log("|"),
    "spaces": Log("  "),
    "a title, comments and an empty line": Log(before="logger 3.1, two cars\n# firmware 7\n\n"),
    "a hash before the names": Log(header=lambda text: f"# {text}" if text == "time_s" else text),
    "capitals": Log(header=str.title),
    "a separator at the end": Log(after=","),
    "UTF-16 of a spreadsheet": Log("\t", encoding="utf-16"),
    "line ends of an old Mac": Log(end="\r"),
    "dates with a zone": Log(cell=date, columns=TIMES),
    "times of day over midnight": Log(cell=clock, columns=TIMES),
    "nanoseconds": Log(
        cell=lambda text: str(round((EPOCH_S + float(text)) * 1e9)), columns=TIMES,
        mapping=mapping('time = {column = "time_s", unit = "ns"}') + 'sent = {column = "sent_s", unit = "ns"}\n',
    ),
    "angles of NMEA": Log(
        cell=nmea, columns=PLACES,
        mapping=mapping(*(f'{name[:-4]} = {{column = "{name}", unit = "dddmm.mmmm"}}' for name in PLACES)),
    ),
    "names in Latin-1": Log(
        header=lambda text: text.replace("speed_mps", "Größe [m/s]"), encoding="latin-1",
        mapping=mapping('speed = "Größe [m/s]"'),
    ),
    "degree signs": Log(cell=lambda text: f"{text}\u00b0", columns=(*PLACES, "heading_deg")),
    "hemispheres": Log(cell=lambda text: f"{text} N", columns=("latitude_deg",)),
    "units behind figures": Log(cell=lambda text: f"{3.6 * float(text):.4f} km/h", columns=("speed_mps",)),
    "a text file": Log(name=lambda name: name.replace(".csv", ".TXT")),
    "small names": Log(name=str.lower),
    "cars that are numbers": Log(name=lambda name: f"log_{name.replace('V00', '0')}", car=lambda car: car[-1]),
    "cars that are numbers with a point": Log(
        name=lambda name: name.replace("V00", ""), car=lambda car: f"{car[-1]}.0"
    ),
    "dates without hyphens": Log(cell=lambda text: date(text).replace("-", "").replace(" ", "T"), columns=TIMES),
    "cars that are words": Log(name=lambda name: NAMES[name[:4]] + name[4:], car=NAMES.get),
    "names with a hyphen": Log(
        name=lambda name: name.replace("V00", "tx_car-" if "tx" in name else "rx_car-").replace("_tx", "").replace(
            "_rx", ""), car=lambda car: car.replace("V00", "car-"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def plain(perfect: Path):
    return read_drive(perfect)


@pytest.mark.parametrize("log", LOGS.values(), ids=LOGS)
def test_a_drive_is_the_same_however_it_is_written(perfect: Path, plain, tmp_path: Path, log: Log) -> None:
    drive = read_drive(log.write(perfect, tmp_path / "log"))
    assert len(drive.peers) == len(plain.peers)
    assert drive.n_ahead == plain.n_ahead
    assert len(drive.sensors) == len(plain.sensors)
    np.testing.assert_allclose(drive.own.time_s, plain.own.time_s, atol=1e-5)
    np.testing.assert_allclose(drive.own.x_m, plain.own.x_m, atol=0.02)
    np.testing.assert_allclose(drive.own.speed_mps, plain.own.speed_mps, atol=1e-3)
    np.testing.assert_allclose(drive.heard.sent_s, plain.heard.sent_s, atol=2e-3)
    np.testing.assert_array_equal(drive.heard.sender, plain.heard.sender)


def test_one_file_of_all_cars_is_taken_apart(perfect: Path, plain, tmp_path: Path) -> None:
    lines, head = [], ""
    for path in sorted(perfect.glob("*_tx.csv")):
        head, *rows = path.read_text().splitlines()
        lines += [f"{path.name[:4]},{row.rsplit(',', 1)[0] if path.name[:4] == 'V001' else row}" for row in rows]
    lines.sort(key=lambda line: float(line.split(",")[1]))
    (tmp_path / "cars.csv").write_text("\n".join([f"vehicle,{head}", *lines, f"V9{lines[-1]}"]) + "\n")
    shutil.copy(perfect / "V001_rx.csv", tmp_path)
    (tmp_path / "drive.toml").write_text('like = "roadsense"\n[tx]\ncar = "vehicle"\n')
    drive = read_drive(tmp_path)
    assert drive.peers == plain.peers
    assert set(drive.sensors) == set(plain.sensors)
    assert drive.n_rows["cars.csv"] == len(lines)
    np.testing.assert_allclose(drive.own.x_m, plain.own.x_m)
    assert [one.count for one in drive.findings if one.kind == "no_car"] == [1]


@pytest.mark.parametrize("content", ["", "time_s,sender,latitude_deg,longitude_deg,speed_mps,heading_deg\n"])
def test_a_file_without_rows_is_named(perfect: Path, tmp_path: Path, content: str) -> None:
    shutil.copytree(perfect, tmp_path / "copy")
    (tmp_path / "copy" / "V001_rx.csv").write_text(content)
    found = [one.done for one in read_drive(tmp_path / "copy").findings if one.file == "V001_rx.csv"]
    assert found in (["it is empty"], ["it has no rows"])


HEAD = "time_s,latitude_deg,longitude_deg,speed_mps,heading_deg"
REFUSED = {
    "other files": ({"V001_tx.parquet": "PAR1"}, r"got 0\. There are files \.parquet: unpack them, or write"),
    "folders for cars": ({"V001/tx.csv": "a,b\n1,2\n"}, r"There are some in V001: put all of the drive into one fold"),
    "no names": ({"a.csv": "1.5,2,3\n1.6,2,3\n"}, "expected the columns' names in the first line of a.csv"),
    "a column lacks": (
        {"a.csv": "time_s,latitude_deg,longitude_deg,speed_mps,course\n1,2,3,4,5\n"},
        r"expected files with the columns of roadsense, but a\.csv has no heading_deg",
    ),
    "words for figures": (
        {"a.csv": "time_s,latitude_deg,longitude_deg,speed_mps,heading_deg\n" + "1,52,13,fast,5\n" * 9},
        "expected numbers in column 'speed_mps', got 'fast'",
    ),
    "a mapping of other columns": (
        {"a.csv": "time_s,lat\n1,2\n", "drive.toml": 'like = "roadsense"\n'},
        "expected the columns of the mapping, got no latitude_deg, longitude_deg, speed_mps, heading_deg",
    ),
    "two cars without names": (
        dict.fromkeys(("1.csv", "2.csv"), f"{HEAD}\n1,2,3,4,5\n2,2,3,4,5"),
        r"1\.csv, 2\.csv: expected the name of each car",
    ),
    "rounded times": (
        {"a.csv": "time_s,latitude_deg,longitude_deg,speed_mps,heading_deg\n"
         + "".join(f"1.76E+09,52,13,{number},5\n" for number in range(9))},
        "expected a time of its own in each row",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("files", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_with_a_way_out(tmp_path: Path, files: dict[str, str], reason: str) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(DriveError, match=reason):
        read_drive(tmp_path)


@pytest.mark.parametrize(
    ("text", "units", "number"),
    [
        ("1.234,5", SPEED, 1234.5), ("1,234.5", SPEED, 1234.5), ("1.234.567", SPEED, 1234567.0),
        ("-3,5E+02", SPEED, -350.0), ("36 km/h", SPEED, 10.0),
        ("52.5S", ANGLE, -52.5), ("13,4 W", ANGLE, -13.4), ("12 s", TIME, 12.0),
        ("51.99.12", ANGLE, np.nan), ("12x3", SPEED, np.nan), ("3 furlong", SPEED, np.nan), ("7 N", SPEED, np.nan),
        ("1e400", SPEED, np.nan),
    ],
)  # fmt: skip
def test_figures_are_read_as_people_write_them(text: str, units: dict[str, float], number: float) -> None:
    (found,), _ = read_numbers([text], 1.0, units)
    np.testing.assert_allclose(found, number)


def test_times_of_day_have_halves_of_a_day() -> None:
    found, count = read_times(["11/30/2026 11:59:59.5 PM", "12/1/2026 12:00:00,5 AM", "0:00:01:500"], 1.0, TIME)
    np.testing.assert_allclose(np.diff(found), 1.0)
    assert count == 3
