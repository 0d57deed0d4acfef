"""Reads one CSV file of a log as it lies on a memory card: broken lines are counted, never fatal."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from roadsense.drives.findings import Findings
from roadsense.drives.mapping import QUANTITIES, TEXT, Column
from roadsense.errors import DriveError

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
    """Returns the column names in the first line of a file; empty if it has none.

    Raises:
        DriveError: if the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            line = file.readline(MAX_HEADER_BYTES)
    except OSError as error:
        raise DriveError(f"Expected a file of a drive, got {path}: {error}.") from error
    text = line.decode("utf-8-sig", errors="replace").strip("\r\n")
    return [cell.strip(' "') for cell in text.split(_delimiter(text))]


def read_table(path: Path, columns: dict[str, Column], findings: Findings) -> Table:
    """Returns the rows of a file that can be read, and notes the others.

    Args:
        path: path of the file; commas, semicolons or tabs separate its cells.
        columns: columns to read, by quantity; those that the file lacks are left out.
        findings: gets what is wrong with the file.

    Raises:
        DriveError: if the file is too large, holds no rows, or most of its lines cannot be read.
    """
    text = _read_text(path, findings)
    lines = text.split("\n")
    delimiter = _delimiter(lines[0])
    header = [cell.strip(' "\r') for cell in lines[0].split(delimiter)]
    rows, numbers, is_last = _split_rows(path, lines, delimiter, len(header), findings)
    wanted = {quantity: column for quantity, column in columns.items() if column.name in header}
    cells = list(zip(*rows, strict=True)) if rows else [()] * len(header)
    picked = {quantity: cells[header.index(column.name)] for quantity, column in wanted.items()}
    words = {q: np.array([cell.strip(' "') for cell in picked[q]], np.str_) for q in picked if QUANTITIES[q] is TEXT}
    values = {
        q: np.asarray(pd.to_numeric(pd.Series(picked[q], dtype=object), errors="coerce"), float) * wanted[q].factor
        for q in picked
        if q not in words
    }
    table = Table(path.name, np.array(numbers, np.int64), values, words)
    readable = np.isfinite(table.get("time"))
    cut = is_last and len(table) > 0 and not readable[-1]
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


def _read_text(path: Path, findings: Findings) -> str:
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise DriveError(f"{path}: expected at most {MAX_FILE_BYTES} bytes, got {size}. Split the file.")
    content = path.read_bytes()
    if content.startswith(b"\xef\xbb\xbf"):
        findings.note("byte_order_mark", path.name, 1, "skipped")
        content = content[3:]
    text = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\0", b"").decode("utf-8", errors="replace")
    strange = text.count("\ufffd")
    findings.note("not_text", path.name, strange, "kept as unknown signs")
    return text


def _split_rows(
    path: Path, lines: list[str], delimiter: str, width: int, findings: Findings
) -> tuple[list[list[str]], list[int], bool]:
    """Returns the cells of each whole line, the lines' numbers, and whether the last of them ends with the file."""
    if len(lines) > MAX_ROWS:
        raise DriveError(f"{path}: expected at most {MAX_ROWS} lines, got {len(lines)}. Split the file.")
    head = lines[0].strip()
    rows, numbers, broken, again = [], [], [], []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = line.split(delimiter)
        if len(cells) == width:
            if line.strip() == head:
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
            f"{path}: expected lines of {width} cells as in line 1, got {len(broken)} others, first line {broken[0]}. "
            "Check the file."
        )
    return rows, numbers, bool(numbers) and numbers[-1] == len(lines)


def _delimiter(line: str) -> str:
    return max(",;\t", key=line.count)


def _first(lines: NDArray[np.int64], mask: NDArray[np.bool_]) -> int:
    return int(lines[np.argmax(mask)]) if mask.any() else 0
