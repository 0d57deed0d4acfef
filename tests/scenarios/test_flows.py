"""A flow's rate, read and scaled in each of the ways a route file can state it."""

import xml.etree.ElementTree as ET

import pytest

from roadsense.errors import ScenarioError
from roadsense.scenarios.flows import (
    count_until,
    find_rate_attribute,
    format_scaled_rate,
    is_random,
    read_rate_vph,
    read_seconds,
    why_uncountable,
)

WAYS = {
    "vehsPerHour": 'vehsPerHour="360"',
    "perHour": 'perHour="360"',
    "period": 'period="10"',
    "exponential": 'period="exp(0.1)"',
    "probability": 'probability="0.1"',
    "number": 'number="10" end="100"',
}


def flow(attributes: str) -> ET.Element:
    return ET.fromstring(f'<flow id="f" begin="0" {attributes}/>')


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_each_way_says_the_same_rate_and_scales_it(way: str) -> None:
    one = flow(way)
    assert read_rate_vph(one) == pytest.approx(360.0)
    one.set(find_rate_attribute(one), format_scaled_rate(one, 1.3))
    assert read_rate_vph(one) == pytest.approx(468.0, rel=1e-4)


def test_a_probability_is_never_scaled_above_one() -> None:
    assert format_scaled_rate(flow('probability="0.9"'), 1.3) == "1.0"


@pytest.mark.parametrize(
    ("attributes", "until_s", "expected"),
    [
        ('vehsPerHour="360"', 95.0, 10),
        ('vehsPerHour="360" end="45"', 95.0, 5),
        ('vehsPerHour="360" number="3"', 95.0, 3),
        ('probability="0.1"', 95.0, 9.5),
        ('vehsPerHour="360" begin="100"', 95.0, 0),
    ],
)
def test_vehicles_asked_for_by_a_time(attributes: str, until_s: float, expected: float) -> None:
    text = attributes if "begin" in attributes else f'begin="0" {attributes}'
    assert count_until(ET.fromstring(f'<flow id="f" {text}/>'), until_s) == pytest.approx(expected)


def test_flows_by_chance_are_told_from_regular_ones() -> None:
    assert {name: is_random(flow(way)) for name, way in WAYS.items() if is_random(flow(way))} == {
        "exponential": True,
        "probability": True,
    }


@pytest.mark.parametrize("attributes", ['vehsPerHour="many"', 'vehsPerHour="0"', 'period="0"', "", 'number="3"'])
def test_a_flow_that_cannot_be_varied_is_refused_by_id(attributes: str) -> None:
    with pytest.raises(ScenarioError, match="flow id='f'"):
        read_rate_vph(flow(attributes))


def test_times_are_seconds_or_clock_times() -> None:
    assert read_seconds(ET.fromstring('<vehicle id="v" depart="00:01:05"/>'), "depart") == 65.0
    with pytest.raises(ScenarioError, match="id='v'>: expected depart as a time in seconds, got 'triggered'"):
        read_seconds(ET.fromstring('<vehicle id="v" depart="triggered"/>'), "depart")


def test_a_vehicle_counts_once_it_departs() -> None:
    car = ET.fromstring('<trip id="t" depart="00:00:30"/>')
    assert [count_until(car, until_s) for until_s in (29.0, 30.0)] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('<flow id="f" number="3"/>', "a number without an end has no rate"),
        ('<flow id="f" period="9" begin="triggered"/>', "expected begin"),
        ('<flow id="f" period="often"/>', "not a rate"),
        ('<vehicle id="v" depart="triggered"/>', "expected depart"),
        ('<flow id="f" period="9"/>', None),
        ('<vehicle id="v" depart="0"/>', None),
    ],
)
def test_what_cannot_be_counted_is_told_with_the_reason(text: str, reason: str | None) -> None:
    found = why_uncountable(ET.fromstring(text))
    assert reason in found if reason else found is None
