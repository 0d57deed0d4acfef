"""Brings the rows of a log in order: wrong times, restarts, order, duplicates, gaps, positions that are none."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import medfilt

from roadsense.drives.findings import Findings
from roadsense.drives.mapping import LogMapping
from roadsense.drives.table import Table
from roadsense.utils.csv_lines import find_column

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

RESTART_S = 5.0
"""A clock that jumps back further began anew; a smaller step back is a row out of order."""
GAP_S, SLEPT_S = 0.5, 5.0
ZERO_CLOCK_S = 3600.0
"""A clock that reads less than this at its first row counts the seconds since its start."""
STUCK_S, STUCK_MPS = 2.0, 2.0
"""A position that stays exactly the same for longer, at more than this speed, is stuck. A fix a second is not."""
MOST_SPEED_MPS, MOST_ACCELERATION_MPS2 = 100.0, 160.0
"""Beyond these no car drives, and no usual sensor measures."""


def order_rows(table: Table, findings: Findings) -> Table:
    """Returns the rows of the longest start of the board, in order of time, and notes what is left out."""
    table = _drop_wrong_times(table, findings)
    table = _keep_longest_start(table, findings)
    time_s = table.get("time")
    late = time_s < np.maximum.accumulate(time_s)
    findings.note("out_of_order", table.file, int(late.sum()), "sorted", _first(table, late))
    table = table.take(np.argsort(time_s, kind="stable"))
    findings.note("zero_clock", table.file, int(table.get("time")[0] < ZERO_CLOCK_S), "set by the ego's clock")
    return table


def drop_duplicates(table: Table, findings: Findings) -> Table:
    """Returns rows of a car's own sensors without those that are there twice."""
    names = [name for name in ("time", "sequence", "sent", "latitude", "longitude", "speed") if name in table.numbers]
    twice = _repeats(np.column_stack([table.numbers[name] for name in names]))
    findings.note("duplicate", table.file, int(twice.sum()), "the first is kept", _first(table, twice))
    return table.take(~twice)


def note_gaps(table: Table, findings: Findings) -> None:
    """Notes the gaps between a car's own rows."""
    steps_s = np.diff(table.get("time"))
    usual_s = float(np.median(steps_s)) if len(steps_s) else 0.0
    slept = steps_s > SLEPT_S
    gaps = (steps_s > max(GAP_S, 3 * usual_s)) & ~slept
    for kind, mask in (("gap", gaps), ("slept", slept)):
        line = int(table.lines[1:][np.argmax(mask)]) if mask.any() else 0
        findings.note(kind, table.file, int(mask.sum()), "nothing is judged there", line, float(steps_s[mask].sum()))


def note_unused(
    headers: Mapping[str, list[str]], mapping: LogMapping, others_heard: Sequence[str], findings: Findings
) -> None:
    """Notes the columns that are not used, once for all files that have them, and the files of what others heard.

    Args:
        headers: column names of each file, by its name.
        mapping: mapping of the columns.
        others_heard: files of what other cars than the ego heard.
        findings: gets the notes.
    """
    if others_heard:
        findings.note("others_heard", ", ".join(others_heard), len(others_heard), "only what the ego heard counts")
    files: dict[tuple[str, ...], list[str]] = {}
    for file, header in headers.items():
        if role := mapping.role_of(header):
            used = {find_column(header, column.name) for column in mapping.used(role).values()}
            rest = tuple(name for place, name in enumerate(header) if place not in used)
            files.setdefault(rest, []).append(file)
    for columns, names in files.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        findings.note("unused_column", f"{names[0]}{more}", len(columns), ", ".join(columns)[:200])


def blank_positions(table: Table, findings: Findings) -> Table:
    """Returns the rows with NaN in place of positions that are none."""
    latitude, longitude = table.get("latitude"), table.get("longitude")
    none = ~np.isfinite(latitude) | ~np.isfinite(longitude) | ((np.abs(latitude) < 1e-6) | (np.abs(longitude) < 1e-9))
    none |= (np.abs(latitude) > 90) | (np.abs(longitude) > 180)
    findings.note("no_fix", table.file, int(none.sum()), "their position is not used", _first(table, none))
    positions = {name: np.where(none, np.nan, table.get(name)) for name in ("latitude", "longitude")}
    return replace(table, numbers={**table.numbers, **positions})


def blank_impossible(table: Table, findings: Findings) -> Table:
    """Returns the rows with NaN in place of speeds and accelerations that no car can have."""
    speed = table.get("speed")
    bad = (speed < -1) | (speed > MOST_SPEED_MPS) | ~np.isfinite(speed)
    axes = [name for name in table.numbers if name.startswith("acceleration")]
    for name in axes:
        bad |= np.abs(table.get(name)) > MOST_ACCELERATION_MPS2
    findings.note("impossible", table.file, int(bad.sum()), "they are not used", _first(table, bad))
    numbers = {name: np.where(bad, np.nan, table.get(name)) for name in axes}
    return replace(table, numbers={**table.numbers, **numbers, "speed": np.where(bad, np.nan, np.maximum(speed, 0.0))})


def find_stuck(table: Table, findings: Findings) -> Mask:
    """Returns in which rows the position stands still although the car moves, and notes them."""
    time_s, speed = table.get("time"), table.get("speed")
    position = np.column_stack([table.get("latitude"), table.get("longitude")])
    starts = np.flatnonzero(np.r_[True, (np.diff(position, axis=0) != 0).any(axis=1)])
    ends = np.r_[starts[1:], len(time_s)]
    long = time_s[ends - 1] - time_s[starts] > STUCK_S
    stuck = np.zeros(len(time_s), bool)
    n_spans = 0
    for first, last in zip(starts[long].tolist(), ends[long].tolist(), strict=True):
        known = speed[first:last][np.isfinite(speed[first:last])]
        if len(known) and np.median(known) > STUCK_MPS and np.isfinite(position[first]).all():
            stuck[first + 1 : last] = True
            n_spans += 1
    times = "once" if n_spans == 1 else f"{n_spans} times"
    done = f"{times}; seen by the policy as the box saw them, but no gap is worked out there"
    findings.note("stuck", table.file, int(stuck.sum()), done, _first(table, stuck))
    return stuck


def drop_repeated_messages(table: Table, hearer: str, findings: Findings) -> Table:
    """Returns what a car heard without its own messages and without those it heard before."""
    own = table.words["sender"] == hearer
    findings.note("own_frame", table.file, int(own.sum()), "left out", _first(table, own))
    table = table.take(~own)
    if not len(table):
        return table
    sender = np.unique(table.words["sender"], return_inverse=True)[1]
    key = "sequence" if "sequence" in table.numbers else "sent" if "sent" in table.numbers else "time"
    twice = _repeats(np.column_stack([sender, table.get(key)]))
    hops = np.nan_to_num(table.get("hops"))
    same = _repeats(np.column_stack([sender, table.get(key), table.get("time"), hops]))
    relayed = twice & ~same & (hops > 0)
    again = twice & ~relayed
    findings.note("relayed_again", table.file, int(relayed.sum()), "the first is used", _first(table, relayed))
    findings.note("duplicate", table.file, int(again.sum()), "the first is used", _first(table, again))
    return table.take(~twice)


def _drop_wrong_times(table: Table, findings: Findings) -> Table:
    time_s = table.get("time")
    if len(time_s) < 5:
        return table
    padded = np.pad(time_s, 2, mode="edge")
    wrong = np.abs(time_s - medfilt(padded, 5)[2:-2]) > RESTART_S
    findings.note("wrong_time", table.file, int(wrong.sum()), "left out", _first(table, wrong))
    return table.take(~wrong)


def _keep_longest_start(table: Table, findings: Findings) -> Table:
    time_s = table.get("time")
    start = np.cumsum(np.diff(time_s, prepend=time_s[:1]) < -RESTART_S)
    if not start[-1]:
        return table
    lengths = [np.ptp(time_s[start == number]) for number in range(start[-1] + 1)]
    kept = start == int(np.argmax(lengths))
    findings.note("restarted", table.file, int((~kept).sum()), "the longest start is used", _first(table, ~kept))
    return table.take(kept)


def _repeats(values: Floats) -> Mask:
    """Returns which rows are there before already; a row with NaN is none of them."""
    _, first, inverse = np.unique(values, axis=0, return_index=True, return_inverse=True)
    repeats = first[inverse.reshape(-1)] != np.arange(len(values))
    return repeats & np.isfinite(values).all(axis=1)


def _first(table: Table, mask: Mask) -> int:
    return int(table.lines[np.argmax(mask)]) if mask.any() else 0
