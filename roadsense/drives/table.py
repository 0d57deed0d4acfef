"""Reads one CSV file of a log as it lies on a memory card: broken lines are counted, never fatal."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roadsense.drives.cells import EMPTY, from_nmea, read_names, read_numbers, read_times
from roadsense.drives.findings import Findings
from roadsense.drives.mapping import NMEA, QUANTITIES, TEXT, TIME, Column
from roadsense.errors import DriveError
from roadsense.utils.csv_lines import Head, decode, find_column, find_head, fit, split

MAX_FILE_BYTES = 500 * 2**20
"""Largest size of a file; an hour of a car with sixteen columns has about 8 MB."""
MAX_ROWS = 3_000_000
MAX_HEADER_BYTES = 20_000
MOST_BROKEN = 0.5
"""Above this share of lines that cannot be read, a file is refused: something else is wrong with it."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """Rows of a file: their lines, numbers by quantity in usual units, and words by quantity."""

    file: str
    lines: NDArray[np.int64]
    numbers: dict[str, Floats]
    words: dict[str, NDArray[np.str_]]

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self.lines)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Table":
        """Returns some of the rows, by mask or index."""
        numbers = {name: values[rows] for name, values in self.numbers.items()}
        return Table(self.file, self.lines[rows], numbers, {name: values[rows] for name, values in self.words.items()})

    def get(self, quantity: str) -> Floats:
        """Returns a quantity's numbers; NaN if it has no column."""
        found = self.numbers.get(quantity)
        return np.full(len(self), np.nan) if found is None else found


def read_header(path: Path) -> list[str]:
    """Returns the column names of a file; empty if it has none.

    Raises:
        DriveError: if the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            text, _ = decode(file.read(MAX_HEADER_BYTES))
    except OSError as error:
        raise DriveError(f"Expected a file of a drive, got {path}: {error}.") from error
    return list(find_head(text.split("\n")).names)


def read_table(path: Path, columns: dict[str, Column], findings: Findings) -> Table:
    """Returns the rows of a file that can be read, and notes the others.

    Args:
        path: path of the file; commas, semicolons, tabs, bars or spaces separate its cells.
        columns: columns to read, by quantity; those that the file lacks are left out.
        findings: gets what is wrong with the file.

    Raises:
        DriveError: if the file is too large, most of its lines cannot be read, or a column holds other than numbers.
    """
    lines = _read_text(path, findings).split("\n")
    head = find_head(lines)
    rows, numbers, is_last = _split_rows(path, lines, head, findings)
    places = {quantity: find_column(head.names, column.name) for quantity, column in columns.items()}
    cells = list(zip(*rows, strict=True)) if rows else [()] * len(head.names)
    picked = {quantity: cells[place] for quantity, place in places.items() if place is not None}
    words = {q: read_names(picked[q]) for q in picked if QUANTITIES[q] is TEXT}
    values = {q: _read_column(path, q, columns[q], picked[q], findings) for q in picked if q not in words}
    for quantity in ("latitude", "longitude"):
        sides = words.pop(f"{quantity}_side", None)
        if sides is not None and quantity in values:
            values[quantity] = np.where(np.isin(np.char.upper(sides), ("S", "W")), -1.0, 1.0) * values[quantity]
    table = Table(path.name, np.array(numbers, np.int64), values, words)
    if not len(table):
        return table
    readable = np.isfinite(table.get("time"))
    cut = is_last and not readable[-1]
    bad = ~readable
    if cut:
        bad[-1] = False
        findings.note("cut_off", path.name, 1, "that line is left out", int(table.lines[-1]))
    findings.note("not_a_number", path.name, int(bad.sum()), "left out", _first(table.lines, bad))
    if not readable.any() or readable.mean() < MOST_BROKEN:
        raise DriveError(
            f"{path}: expected rows with a time in column {columns['time'].name!r}, got {int(readable.sum())} of "
            f"{len(lines) - 1}. Look at line {_first(table.lines, bad) or 2}, and check the mapping."
        )
    return table.take(readable)


def _read_column(path: Path, quantity: str, column: Column, cells: Sequence[str], findings: Findings) -> Floats:
    read = read_times if QUANTITIES[quantity] is TIME else read_numbers
    values, count = read(cells, column.factor, QUANTITIES[quantity])
    findings.note("other_form", path.name, count, f"read as numbers ({column.name})")
    if np.isnan(values).all():
        texts = [text for cell in cells if (text := cell.strip(' "')).lower() not in EMPTY]
        if len(texts) > MOST_BROKEN * len(cells):
            raise DriveError(
                f"{path}: expected numbers in column {column.name!r}, got {texts[0][:40]!r}. "
                "Write numbers there, or name another column in the mapping."
            )
    return from_nmea(values) if column.unit == NMEA else values


def _read_text(path: Path, findings: Findings) -> str:
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise DriveError(f"{path}: expected at most {MAX_FILE_BYTES} bytes, got {size}. Split the file.")
    text, marked = decode(path.read_bytes())
    findings.note("byte_order_mark", path.name, int(marked), "skipped")
    findings.note("not_text", path.name, text.count("\ufffd"), "kept as unknown signs")
    return text


def _split_rows(
    path: Path, lines: list[str], head: Head, findings: Findings
) -> tuple[list[list[str]], list[int], bool]:
    """Returns the cells of each whole line, the lines' numbers, and whether the last of them ends with the file."""
    if len(lines) > MAX_ROWS:
        raise DriveError(f"{path}: expected at most {MAX_ROWS} lines, got {len(lines)}. Split the file.")
    width, names = len(head.names), lines[head.place].strip()
    rows, numbers, broken, again = [], [], [], []
    for number, line in enumerate(lines[head.place + 1 :], start=head.place + 2):
        if not line.strip():
            continue
        cells = fit(split(line, head.separator), width)
        if len(cells) == width:
            if line.strip() == names:
                again.append(number)
            else:
                rows.append(cells)
                numbers.append(number)
        else:
            broken.append(number)
    if broken and broken[-1] == len(lines):  # no line end after it: the file was cut off while it was written
        findings.note("cut_off", path.name, 1, "that line is left out", broken.pop())
    findings.note("broken_line", path.name, len(broken), "left out", broken[0] if broken else 0)
    findings.note("header_again", path.name, len(again), "left out", again[0] if again else 0)
    if len(broken) > MOST_BROKEN * (len(rows) + len(broken)):
        raise DriveError(
            f"{path}: expected lines of {width} cells as in line {head.place + 1}, got {len(broken)} others, first "
            f"line {broken[0]}. Check the file."
        )
    return rows, numbers, bool(numbers) and numbers[-1] == len(lines)


def _first(lines: NDArray[np.int64], mask: NDArray[np.bool_]) -> int:
    return int(lines[np.argmax(mask)]) if mask.any() else 0
