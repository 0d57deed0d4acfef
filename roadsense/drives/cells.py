"""Numbers in a log's cells: decimal commas, units, degree signs, hemispheres, dates and times of day."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EMPTY = frozenset({"", "-", "--", "nan", "null", "none", "n/a", "na", "#n/a", "inf", "-inf", "+inf", "infinity"})
"""Cells, in small letters, that say there is no figure."""
DAY_S = 86_400.0

_FIGURE = re.compile(r"([-+]?)([\d.,]*\d[.,]?)((?:[eE][-+]?\d+)?)\s*(\D.*)?")
_PARTED = re.compile(r"\d{1,3}(?:([.,])\d{3})(?:\1\d{3})*(?:(?!\1)[.,]\d*)?")
"""A figure with a sign between thousands; one sign alone is a decimal one."""
_DATE = re.compile(r"(\d{4}-\d\d-\d\d[T ]|\d{8}T)\d.*")
_CLOCK = re.compile(r"(?:(\d{1,2}):)?(\d{1,2}):(\d{2}(?:[.,:]\d+)?)\s*([AaPp])?\.?[Mm]?\b")
_WHOLE = re.compile(r"^(\d+)\.0+$")
_SIDES = {"n": 1.0, "e": 1.0, "s": -1.0, "w": -1.0}


def read_numbers(cells: Sequence[str], factor: float, units: Mapping[str, float]) -> tuple[Floats, int]:
    """Returns the numbers of cells, NaN where there is none, and how many of them needed more than plain reading.

    Args:
        cells: the cells of one column.
        factor: factor of a number without a unit.
        units: factors of units that may stand behind a number.
    """
    numbers = np.asarray(pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce"), float) * factor
    count = 0
    for row in np.flatnonzero(np.isnan(numbers)).tolist():
        text = cells[row].strip(' "')
        if text.lower() not in EMPTY:
            numbers[row] = _read_figure(text, factor, units)
            count += bool(np.isfinite(numbers[row]))
    return np.where(np.isinf(numbers), np.nan, numbers), count


def read_names(cells: Sequence[str]) -> NDArray[np.str_]:
    """Returns names; a number that a script wrote as `3.0`, because other cells are empty, is the name `3`."""
    return np.array([_WHOLE.sub(r"\1", cell.strip(' "')) for cell in cells], np.str_)


def read_times(cells: Sequence[str], factor: float, units: Mapping[str, float]) -> tuple[Floats, int]:
    """Returns times as `read_numbers`; dates become seconds since 1970, times of day seconds that go on at midnight."""
    numbers, count = read_numbers(cells, factor, units)
    missing = np.flatnonzero(np.isnan(numbers))
    texts = [cells[row].strip(' "') for row in missing.tolist()]
    dated = [place for place, text in enumerate(texts) if _DATE.fullmatch(text)]
    if dated:
        plain = pd.Series([texts[place].replace(",", ".") for place in dated])
        found = pd.to_datetime(plain, utc=True, errors="coerce", format="ISO8601")
        numbers[missing[dated]] = (found - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
        return numbers, count + int(found.notna().sum())
    clocks = np.array([_read_clock(text) for text in texts])
    numbers[missing] = _past_midnight(clocks) if len(clocks) else clocks
    return numbers, count + int(np.isfinite(clocks).sum())


def from_nmea(values: Floats) -> Floats:
    """Returns degrees of NMEA's `dddmm.mmmm`: hundreds of degrees, then minutes."""
    degrees = np.trunc(values / 100.0)
    return degrees + (values - 100.0 * degrees) / 60.0


def _read_figure(text: str, factor: float, units: Mapping[str, float]) -> float:
    match = _FIGURE.fullmatch(text)
    if not match:
        return np.nan
    sign, figure, power, unit = match[1], match[2], match[3], (match[4] or "").strip(" °º[]()").lower()
    known = {name.lower(): value for name, value in units.items()}
    if unit in known:
        factor = known[unit]
    elif "deg" in known and unit in _SIDES:
        factor *= _SIDES[unit]
    elif unit:
        return np.nan
    try:
        return factor * float(f"{sign}{_with_point(figure)}{power}")
    except ValueError:
        return np.nan


def _with_point(figure: str) -> str:
    """Returns a figure with a decimal point and nothing between thousands."""
    parted = _PARTED.fullmatch(figure)
    if parted and len(set(figure) & {".", ","}) + (figure.count(parted[1]) > 1) > 1:
        figure = figure.replace(parted[1], "")
    return figure.replace(",", ".")


def _read_clock(text: str) -> float:
    match = _CLOCK.search(text)
    if not match:
        return np.nan
    hours = int(match[1] or 0)
    if match[4]:
        hours = hours % 12 + 12 * (match[4] in "pP")
    return hours * 3600.0 + int(match[2]) * 60.0 + float(re.sub("[,:]", ".", match[3]))


def _past_midnight(clocks: Floats) -> Floats:
    known = np.flatnonzero(np.isfinite(clocks))
    days = np.cumsum(np.diff(clocks[known], prepend=clocks[known][:1]) < -DAY_S / 2)
    clocks[known] += DAY_S * days
    return clocks
