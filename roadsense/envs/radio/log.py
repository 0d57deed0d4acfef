"""A log of the messages between cars, as CSV: its format and its reader.

A log belongs to one receiver, the hearer; each row is one message sent to it, heard or lost. The first line names the
columns, in any order; further columns are ignored. Commas separate the cells, or semicolons, tabs or bars, and then
numbers may have a decimal comma. An empty cell is an unknown value.

| column | unit | meaning |
|---|---|---|
| `sender` | | name of the car that sent; required |
| `sequence` | | the sender's count of its messages: whole numbers that rise; this or `sent_s` is required |
| `sent_s` | s | time of sending; rises for each sender |
| `distance_m` | m | true distance between sender and hearer at sending, from 0; required |
| `received` | | 1 (or true) heard, 0 (or false) lost; this or `received_s` is required |
| `received_s` | s | time of hearing, by the clock of `sent_s`, not before it; empty if lost |
| `true_x_m`, `heard_x_m` | m | true position, and position in the message; likewise `y_m` |
| `true_speed_mps`, `heard_speed_mps` | m/s | speed; likewise `acceleration_mps2` in m/s2 |
| `true_heading_deg`, `heard_heading_deg` | degrees | heading; any zero and direction, but the same in both |

Each of these pairs may be missing, as a pair. Rows of several senders may be mixed. Where `sequence` skips a number
(without it: where a sender pauses for more than `PAUSE` times its usual interval) rows count as missing, and the two
sides of the gap are not compared.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from roadsense.errors import InputError
from roadsense.utils.csv_lines import decode, find_head, fit, split
from roadsense.utils.values import TRUTHS

QUANTITIES = ("x_m", "y_m", "speed_mps", "acceleration_mps2", "heading_deg")
"""Values in a message, in the order of a state."""

PAUSE = 1.5
"""Without `sequence`, a message counts as missing after a pause of this many median intervals of its sender."""


@dataclass(frozen=True)
class ChannelLog:
    """A log; its rows are sorted by sender, and those of one sender in the order of sending.

    Attributes:
        sender: (n,) number of the car that sent, from 0.
        follows: (n,) whether the row before holds the same sender's previous message.
        distance_m: (n,) true distance at sending, from 0.
        received: (n,) whether it was heard.
        latency_s: time from sending to hearing of each heard message, from 0; empty if not logged.
        errors: heard minus true value of each heard message that has both, by name of `QUANTITIES`, in their units,
            headings from -180 to 180 degrees; empty if not logged.
    """

    sender: np.ndarray
    follows: np.ndarray
    distance_m: np.ndarray
    received: np.ndarray
    latency_s: np.ndarray
    errors: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class _Table:
    """Cells of a file by column, and the line that each row is from."""

    path: Path
    lines: list[int]
    columns: dict[str, list[str]]

    def refuse(self, bad: np.ndarray, column: str, expected: str, remedy: str) -> None:
        if bad.any():
            row = int(np.argmax(bad))
            cell, line = self.columns[column][row], self.lines[row]
            raise InputError(f"Expected {expected}, got {column} {cell!r} in line {line} of {self.path}. {remedy}")

    def numbers(self, column: str, complete: bool = False) -> np.ndarray:
        """Returns a column's numbers; NaN for an empty cell, which a complete column must not have."""
        values = np.array([_number(cell) for cell in self.columns[column]])
        remedy = "Correct the cell, or leave out the row."
        self.refuse(np.isinf(values), column, "a finite number", remedy)
        if complete:
            self.refuse(np.isnan(values), column, "a number in every row", remedy)
        return values


def read_log(csv_path: Path | str) -> ChannelLog:
    """Returns a log from a CSV file of the format above.

    Raises:
        InputError: if it is missing, is no CSV, has no messages, lacks a column, or holds an impossible value.
    """
    table = _read_table(Path(csv_path))
    _check_columns(table)
    distance_m = table.numbers("distance_m", complete=True)
    table.refuse(distance_m < 0, "distance_m", "a distance of at least 0 m", "Correct it, or leave out the row.")
    unnamed = np.array([not name for name in table.columns["sender"]])
    table.refuse(unnamed, "sender", "the name of the car that sent", "Name it, or leave out the row.")
    sender = np.unique(table.columns["sender"], return_inverse=True)[1]
    follows = _find_successors(table, sender)
    received = _read_received(table)
    errors = {name: _read_errors(table, name, received) for name in QUANTITIES}
    return ChannelLog(sender, follows, distance_m, received, _read_latency(table, received), errors)


def _number(cell: str) -> float:
    """Returns a cell's number, 1 for true and 0 for false; NaN for an empty one, infinity for one that is no number."""
    try:
        return float(TRUTHS.get(cell.lower(), cell.replace(",", ".") or "nan"))
    except ValueError:
        return math.inf


def _read_table(path: Path) -> _Table:
    try:
        lines = decode(path.read_bytes())[0].split("\n")
    except OSError as error:
        raise InputError(f"Expected a CSV file of messages, got {path}: {error}. Check the path.") from error
    head = find_head(lines)
    header = [name.lower() for name in head.names]
    rows = [
        (number, [cell.strip() for cell in fit(split(line, head.separator), len(header))])
        for number, line in enumerate(lines[head.place :], start=head.place + 1)
        if line.strip()
    ]
    if len(rows) < 2:
        raise InputError(f"Expected a line of column names and a row per message, got {len(rows)} lines in {path}.")
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise InputError(
                f"Expected {len(header)} cells, as many as column names, got {len(cells)} in line {line} of {path}. "
                "Leave a cell that is not known empty, between its separators."
            )
    rows.pop(0)
    if len(set(header)) < len(header):
        raise InputError(f"Expected each column once, got {header} in {path}. Rename or delete the double ones.")
    if "sender" in header:
        rows.sort(key=lambda row: row[1][header.index("sender")])
    columns = {name: [cells[index] for _, cells in rows] for index, name in enumerate(header)}
    return _Table(path, [line for line, _ in rows], columns)


def _check_columns(table: _Table) -> None:
    there = table.columns.keys()
    alternatives = [("sender",), ("distance_m",), ("sequence", "sent_s"), ("received", "received_s")]
    missing = [" or ".join(names) for names in alternatives if not there & set(names)]
    for name in QUANTITIES:
        pair = {f"true_{name}", f"heard_{name}"}
        missing += sorted(pair - there) if pair & there else []
    if missing:
        raise InputError(
            f"Expected a column {', and a column '.join(missing)}, got {list(there)} in {table.path}. "
            "Columns are named as in roadsense/envs/radio/log.py."
        )


def _find_successors(table: _Table, sender: np.ndarray) -> np.ndarray:
    """Returns whether the row before holds the same sender's previous message, by `sequence`, or else by `sent_s`."""
    same = np.diff(sender, prepend=-1) == 0
    steps = {}
    for name in [name for name in ("sequence", "sent_s") if name in table.columns]:
        values = table.numbers(name, complete=True)
        steps[name] = np.diff(values, prepend=0.0)
        remedy = "Sort the log, name each sender differently, and let no counter start anew."
        table.refuse(same & (steps[name] <= 0), name, f"{name} to rise from row to row of a sender", remedy)
        if name == "sequence":
            table.refuse(values % 1 != 0, name, "a whole number", "Number a sender's messages 0, 1, 2, ...")
    if "sequence" in steps:
        return same & (steps["sequence"] == 1)
    usual_s = np.ones(len(sender))
    for car in np.unique(sender[same]):
        usual_s[sender == car] = np.median(steps["sent_s"][same & (sender == car)])
    return same & (steps["sent_s"] <= PAUSE * usual_s)


def _read_received(table: _Table) -> np.ndarray:
    if "received" not in table.columns:
        return ~np.isnan(table.numbers("received_s"))
    values = table.numbers("received", complete=True)
    table.refuse((values != 0) & (values != 1), "received", "1 for heard or 0 for lost", "Correct the cell.")
    if "received_s" in table.columns:
        timed = ~np.isnan(table.numbers("received_s"))
        remedy = "A heard message has a time of hearing, a lost one has none; delete the column that is not right."
        table.refuse(timed != (values == 1), "received_s", "received and received_s to agree", remedy)
    return values == 1


def _read_latency(table: _Table, received: np.ndarray) -> np.ndarray:
    if not {"sent_s", "received_s"} <= table.columns.keys():
        return np.empty(0)
    latency_s = table.numbers("received_s") - table.numbers("sent_s")
    remedy = "Set both clocks by the same time, or delete the column received_s and log received instead."
    table.refuse(latency_s < 0, "received_s", "a time of hearing not before sent_s", remedy)
    return latency_s[received]


def _read_errors(table: _Table, name: str, received: np.ndarray) -> np.ndarray:
    if f"true_{name}" not in table.columns:
        return np.empty(0)
    errors = (table.numbers(f"heard_{name}") - table.numbers(f"true_{name}"))[received]
    errors = errors[~np.isnan(errors)]
    return (errors + 180) % 360 - 180 if name == "heading_deg" else errors
