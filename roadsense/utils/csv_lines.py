"""The text of a CSV log: its encoding, the line with the column names, what separates cells, quoted cells."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

SEPARATORS = ",;\t|"
WORDS = ""
"""In place of a separator: cells are words between spaces."""
MOST_BEFORE = 20
"""The column names stand in one of so many first lines: loggers write titles and comments before them."""

_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?')


@dataclass(frozen=True)
class Head:
    """Where and how the column names of a file stand.

    Attributes:
        place: index of their line.
        separator: one of `SEPARATORS`, or `WORDS`.
        names: the column names.
    """

    place: int
    separator: str
    names: tuple[str, ...]


def decode(content: bytes) -> tuple[str, bool]:
    """Returns a file's text with line feeds between its lines, and whether it began with a byte order mark."""
    mark, encoding = next(((mark, name) for mark, name in _MARKS if content.startswith(mark)), (b"", "utf-8"))
    text = content[len(mark) :].decode(encoding, errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", ""), bool(mark)


def find_head(lines: Sequence[str]) -> Head:
    """Returns the column names: in the first line with more than half as many cells as any of the first lines."""
    first = lines[:MOST_BEFORE]
    told = next((match[1] for line in first if (match := _SEPARATOR_LINE.fullmatch(line.strip()))), None)
    separator = told or _guess(first)
    counts = [0 if _SEPARATOR_LINE.fullmatch(line.strip()) else len(split(line, separator)) for line in first]
    most = max(counts, default=0)
    place = next((number for number, count in enumerate(counts) if 2 * count > most), 0)
    names = [cell.strip(' "\t\r') for cell in split(first[place] if first else "", separator)]
    while len(names) > 1 and not names[-1]:
        names.pop()
    names[:1] = [name.lstrip("# ") for name in names[:1]]
    return Head(place, separator, tuple(names))


def split(line: str, separator: str) -> list[str]:
    """Returns the cells of a line; a cell in quotes may hold the separator."""
    if separator == WORDS:
        return line.split()
    if '"' in line:
        try:
            return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
        except csv.Error:
            pass
    return line.split(separator)


def fit(cells: list[str], width: int) -> list[str]:
    """Returns a line's cells without empty ones beyond the last column: some loggers end a line with a separator."""
    return cells[:width] if len(cells) > width and not any(cell.strip() for cell in cells[width:]) else cells


def find_column(header: Sequence[str], name: str) -> int | None:
    """Returns the place of a column; capitals and signs that are no UTF-8 count only where nothing else differs."""
    if name in header:
        return header.index(name)
    patterns = [re.escape(other.lower()).replace("\ufffd", ".") for other in header]
    alike = [place for place, pattern in enumerate(patterns) if re.fullmatch(pattern, name.lower())]
    return alike[0] if len(alike) == 1 else None


def _guess(lines: Sequence[str]) -> str:
    best = max(SEPARATORS, key=lambda sign: max((line.count(sign) for line in lines), default=0))
    return best if any(best in line for line in lines) or all(len(line.split()) < 2 for line in lines) else WORDS
