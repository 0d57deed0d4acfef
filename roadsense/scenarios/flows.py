"""The demand of a SUMO <flow>, in every form that a route file allows."""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

from sumolib.miscutils import parseTime

from roadsense.errors import ScenarioError

HOUR_S = 3600.0
_DECIMALS = 4
_SMALL_DECIMALS = 6  # rates per second are small numbers
EXPONENTIAL = re.compile(r"exp\((.+)\)")
"""A period of random vehicles: `exp(rate per second)`."""


def read_seconds(element: ET.Element, attribute: str) -> float:
    """Returns a time of a vehicle or flow in s; a flow without `begin` begins at 0, without `end` it never ends.

    Raises:
        ScenarioError: if it is missing or not a time, for example `triggered`.
    """
    if element.tag == "flow" and attribute not in element.attrib:
        return 0.0 if attribute == "begin" else math.inf
    text = element.get(attribute, "")
    try:
        return float(parseTime(text))
    except (TypeError, ValueError, IndexError) as error:
        raise ScenarioError(
            f"<{element.tag} id={element.get('id')!r}>: expected {attribute} as a time in seconds, got {text!r}."
        ) from error


def find_rate_attribute(flow: ET.Element) -> str:
    """Returns the name of the attribute that sets a flow's rate.

    Raises:
        ScenarioError: if there is none that can be varied.
    """
    for attribute in _RATE_READERS:
        if attribute in flow.attrib:
            return attribute
    raise ScenarioError(
        f"<flow id={flow.get('id')!r}>: expected one of {', '.join(_RATE_READERS)}; "
        f"got {sorted(flow.attrib)}. Give the flow a vehsPerHour."
    )


def read_rate_vph(flow: ET.Element) -> float:
    """Returns a flow's rate in vehicles per hour.

    Raises:
        ScenarioError: if it has no rate, or none that can be varied.
    """
    try:
        rate = _RATE_READERS[find_rate_attribute(flow)](flow)
    except (ValueError, ZeroDivisionError) as error:
        given = {name: flow.attrib[name] for name in _RATE_READERS if name in flow.attrib}
        raise ScenarioError(f"<flow id={flow.get('id')!r}>: not a rate: {given}. Correct it.") from error
    if not 0.0 < rate < math.inf:
        raise ScenarioError(f"<flow id={flow.get('id')!r}>: expected a rate above 0, got {rate:g} vehicles an hour.")
    return rate


def why_uncountable(element: ET.Element) -> str | None:
    """Returns why the vehicles of a flow, vehicle or trip can't be counted up to a time; None if they can."""
    try:
        if element.tag == "flow":
            for attribute in ("begin", "end"):
                read_seconds(element, attribute)
            read_rate_vph(element)
        else:
            read_seconds(element, "depart")
    except ScenarioError as error:
        return str(error)
    return None


def format_scaled_rate(flow: ET.Element, factor: float) -> str:
    """Returns the value of a flow's rate attribute that asks for `factor` times as many vehicles."""
    attribute = find_rate_attribute(flow)
    text = flow.attrib[attribute]
    exponential = EXPONENTIAL.fullmatch(text)
    if exponential:
        return f"exp({round(float(exponential[1]) * factor, _SMALL_DECIMALS)})"
    if attribute == "number":
        return str(max(1, round(float(text) * factor)))
    if attribute == "period":
        return str(round(float(parseTime(text)) / factor, _DECIMALS))
    if attribute == "probability":
        return str(min(1.0, round(float(text) * factor, _SMALL_DECIMALS)))
    return str(round(float(text) * factor, _DECIMALS))


def count_until(flow: ET.Element, until_s: float) -> float:
    """Returns the mean number of vehicles of a flow up to a time; 1 or 0 for a vehicle or trip."""
    if flow.tag != "flow":
        return float(read_seconds(flow, "depart") <= until_s)
    begin_s = read_seconds(flow, "begin")
    window_s = min(until_s, read_seconds(flow, "end")) - begin_s
    if window_s <= 0.0:
        return 0.0
    expected = window_s * read_rate_vph(flow) / HOUR_S
    regular = math.ceil(expected) if not is_random(flow) else expected  # its first vehicle departs at its begin
    return min(regular, float(flow.get("number", math.inf)))


def is_random(flow: ET.Element) -> bool:
    """Returns whether a flow's vehicles depart at random times, so that their number is only a mean."""
    return "probability" in flow.attrib or bool(EXPONENTIAL.fullmatch(flow.get("period", "")))


def _read_period_rate(flow: ET.Element) -> float:
    text = flow.attrib["period"]
    exponential = EXPONENTIAL.fullmatch(text)
    return float(exponential[1]) * HOUR_S if exponential else HOUR_S / float(parseTime(text))


def _read_number_rate(flow: ET.Element) -> float:
    if "end" not in flow.attrib:
        raise ScenarioError(f"<flow id={flow.get('id')!r}>: a number without an end has no rate. Give it an end.")
    return float(flow.attrib["number"]) * HOUR_S / (read_seconds(flow, "end") - read_seconds(flow, "begin"))


_RATE_READERS: dict[str, Callable[[ET.Element], float]] = {
    "vehsPerHour": lambda flow: float(flow.attrib["vehsPerHour"]),
    "perHour": lambda flow: float(flow.attrib["perHour"]),
    "period": _read_period_rate,
    "probability": lambda flow: float(flow.attrib["probability"]) * HOUR_S,
    "number": _read_number_rate,
}
