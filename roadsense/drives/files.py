"""Which files of a folder belong to a drive, and which car each of them, or each row, is of."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from roadsense.drives.findings import Findings
from roadsense.drives.mapping import LogMapping
from roadsense.drives.table import Table, read_table
from roadsense.errors import DriveError
from roadsense.scenarios.scenario import EGO_ID

MAX_FILES, MAX_CARS = 100, 50
OTHER_ENDINGS = (".tsv", ".txt", ".dat", ".log")
"""Endings of logs in folders without a `.csv`."""
ROWS_OF_A_CAR = 0.05
"""A car of which a file has fewer rows, as a share of those of the car with most, is a misread name."""

Tables = dict[tuple[str, str], Table]
"""Rows by car and role, `tx` or `rx`."""


@dataclass(frozen=True)
class _Part:
    # The rows of one car in one file, or of a file whose car is not known.
    path: Path
    role: str
    car: str
    table: Table


def find_files(folder: Path) -> list[Path]:
    """Returns the files of a drive, sorted by name.

    Raises:
        DriveError: if there is no folder, or no file that can be a log in it; it says what is there.
    """
    if not folder.is_dir():
        raise DriveError(
            f"Expected the folder of a drive, got {folder}, which is {'a file' if folder.is_file() else 'none'}. "
            f"{'Give the folder that it lies in.' if folder.is_file() else 'Check the path.'}"
        )
    files = sorted(path for path in folder.iterdir() if path.name[0] != "." and path.is_file())
    logs = [path for path in files if path.suffix.lower() == ".csv"]
    logs = logs or [path for path in files if path.suffix.lower() in OTHER_ENDINGS]
    n_logs = sum(path.stat().st_size > 0 for path in logs)
    if not 1 <= n_logs <= MAX_FILES:
        raise DriveError(f"{folder}: expected 1 to {MAX_FILES} .csv files with rows, got {n_logs}.{_hint(folder)}")
    return logs


def _hint(folder: Path) -> str:
    below = sorted({path.parent.name for path in folder.glob("*/*.*") if path.suffix.lower() == ".csv"})
    if below:
        return f" There are some in {', '.join(below[:5])}: put all of the drive into one folder, as V001_tx.csv."
    endings = sorted({path.suffix for path in folder.iterdir() if path.is_file() and path.suffix})
    if endings:
        return f" There are files {', '.join(endings[:5])}: unpack them, or write them as CSV (pandas: to_csv)."
    return ""


def read_tables(
    paths: Sequence[Path], headers: Mapping[str, list[str]], mapping: LogMapping, findings: Findings
) -> Tables:
    """Returns the rows of each car and role, of one file or of several in the order of their names.

    Args:
        paths: files of the drive.
        headers: column names of each file, by its name.
        mapping: which column is which.
        findings: gets what is wrong with the files.

    Raises:
        DriveError: if a file cannot be read, the car that heard is not known, or there are too many cars.
    """
    parts = [part for path in paths for part in _read_parts(path, headers[path.name], mapping, findings)]
    if not parts and (lacks := mapping.lacks("tx", headers[paths[0].name])):
        raise DriveError(
            f"{paths[0]}: expected the columns of the mapping, got no {', '.join(lacks)}. Correct the mapping."
        )
    parts = _name_parts(parts, mapping.car)
    tables: Tables = {}
    for part in parts:
        key = (part.car, part.role)
        tables[key] = _join(tables[key], part.table) if key in tables else part.table
    if len({car for car, _ in tables}) > MAX_CARS:
        raise DriveError(f"Expected at most {MAX_CARS} cars, got {len({car for car, _ in tables})}.")
    return tables


def _read_parts(path: Path, header: list[str], mapping: LogMapping, findings: Findings) -> Iterator[_Part]:
    role = mapping.role_of(header)
    if not role:
        columns = ", ".join(header)[:120]
        findings.note("not_used", path.name, 1, f"its columns are {columns}" if columns else "it is empty")
        return
    table = read_table(path, mapping.used(role), findings)
    if not len(table):
        findings.note("not_used", path.name, 1, "it has no rows")
        return
    names = table.words.get("car")
    if names is None:
        yield _Part(path, role, "", table)
        return
    found, place, counts = np.unique(names, return_inverse=True, return_counts=True)
    cars = [number for number in range(len(found)) if found[number] and counts[number] >= ROWS_OF_A_CAR * counts.max()]
    if len(cars) < 2:
        yield _Part(path, role, str(found[np.argmax(counts)]), table)
        return
    findings.note("no_car", path.name, int((~np.isin(place, cars)).sum()), "left out")
    for number in cars:
        yield _Part(path, role, str(found[number]), table.take(place == number))


def _name_parts(parts: Sequence[_Part], pattern: str) -> list[_Part]:
    """Returns parts with the names of their cars: of a column, else by the pattern, else as the senders are called."""
    heard = [part.table.words["sender"] for part in parts if "sender" in part.table.words]
    senders = sorted({str(name) for names in heard for name in np.unique(names) if name})
    named = [replace(part, car=_spell(part.car or _match(part, pattern), senders)) for part in parts]
    nameless = [part for part in named if not part.car]
    sensed = [part for part in nameless if part.role == "tx"]
    words = {part.path: _word(part.path.stem, senders) for part in nameless}
    several = len({words[part.path] for part in sensed}) > 1 or any(words[part.path] in senders for part in sensed)
    _refuse_strangers([part for part in sensed if not several or not words[part.path]])
    cars = {part.car or (words[part.path] if several else "") or EGO_ID for part in named if part.role == "tx"}
    done = []
    for part in named:
        car = part.car or (words[part.path] if several else "")
        if not car and part.role == "tx":
            car = EGO_ID
        elif part.role == "rx" and not part.car and car not in cars:  # it belongs to the one car with sensors
            if len(cars) != 1 or sum(one.role == "rx" for one in nameless) > 1:
                raise DriveError(
                    f"{part.table.file}: expected the name of the car that heard it in the file's name, as V001_rx.csv."
                )
            (car,) = cars
        done.append(replace(part, car=car))
    return done


def _refuse_strangers(parts: Sequence[_Part]) -> None:
    """Refuses files without a car's name that were written at the same time: they cannot be parts of one log."""
    spans = [(part.table.get("time").min(), part.table.get("time").max(), part.path.name) for part in parts]
    for (_, end_s, first), (begin_s, _, second) in pairwise(sorted(spans)):
        if begin_s < end_s:
            raise DriveError(
                f"{first}, {second}: expected the name of each car in its file's name, as V001_tx.csv: both files are "
                "of the same time. Rename them."
            )


def _match(part: _Part, pattern: str) -> str:
    match = re.search(rf"(?<![A-Za-z0-9])(?:{pattern})(?![A-Za-z0-9])", part.path.stem)
    return match[0] if match else ""


def _spell(car: str, senders: Sequence[str]) -> str:
    """Returns a car's name as its messages spell it, if they differ by capitals only."""
    alike = [sender for sender in senders if sender.lower() == car.lower()]
    return car if car in senders or len(alike) != 1 else alike[0]


def _word(stem: str, senders: Sequence[str]) -> str:
    """Returns the car's name in a file's name: one that is heard, a number where cars are numbers, else the words."""
    parts = [part for part in re.split(r"[_.\s]+", stem) if part and part.lower() not in ("tx", "rx")]
    are_numbers = any(sender.isdigit() for sender in senders)
    for part in parts:
        if _spell(part, senders) in senders:
            return _spell(part, senders)
        if part.isdigit() and are_numbers:
            return next((sender for sender in senders if sender.isdigit() and int(sender) == int(part)), part)
    return "_".join(part for part in parts if not part.isdigit())


def _join(first: Table, second: Table) -> Table:
    numbers = {name: np.concatenate([first.get(name), second.get(name)]) for name in first.numbers}
    words = {name: np.concatenate([first.words[name], second.words[name]]) for name in first.words}
    lines = np.concatenate([first.lines, second.lines + first.lines[-1:].max(initial=0)])
    return Table(f"{first.file.partition(' to ')[0]} to {second.file}", lines, numbers, words)
