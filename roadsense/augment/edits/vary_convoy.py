"""Writes a draw into the convoy: number of cars, distances, departure time, speeds and radio."""

import copy
import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from roadsense.augment.draws.variations import Variation
from roadsense.augment.edits.edits import Edit, set_attribute, set_param, shift_seconds
from roadsense.envs.surroundings import Surroundings, format_surroundings
from roadsense.errors import ScenarioError

MAX_CARS = 20
END_MARGIN_M = 1.0
V2V_KEY, SURROUNDINGS_KEY, SENSORS_KEY = "v2v", "surroundings", "sensors"
CAR_ID = "V{:03d}"
_POSITION_DECIMALS = 2


def vary_convoy(roots: Sequence[ET.Element], cars: Sequence[ET.Element], variation: Variation) -> list[Edit]:
    """Writes a draw into the convoy's cars; returns what differs.

    Cars are removed at the front, or copies of the first one are added there. The ego's position stays.

    Args:
        roots: root elements of the route files that hold the cars.
        cars: elements of the convoy's cars, from the ego to the first.
        variation: draw to write.
    """
    levels = variation.levels
    size = int(levels.get("convoy_size", len(cars)))
    edits = [_drop(roots, car) for car in cars[size:]]
    added, additions = _add(roots, cars, size - len(cars))
    left = [*cars[:size], *added]
    edits += [*additions, *_space(left, levels.get("convoy_spacing", 1.0))]
    edits += [shift_seconds(car, "depart", levels["convoy_shift_s"]) for car in left]
    if variation.v2v is not None:
        edits.append(set_param(cars[0], V2V_KEY, variation.v2v))
    if variation.surroundings:
        text = format_surroundings(Surroundings(**variation.surroundings))  # type: ignore[arg-type]
        edits.append(set_param(cars[0], SURROUNDINGS_KEY, text))
    if variation.sensors is not None:
        edits.append(set_param(cars[0], SENSORS_KEY, variation.sensors))
    return edits


def measure_room(cars: Sequence[ET.Element], edge_length_m: float) -> dict[int, float]:
    """Returns the largest factor on the convoy's distances that fits on its edge, by possible number of cars.

    Args:
        cars: elements of the cars from the ego to the first, all on one edge, with numeric positions.
        edge_length_m: length of that edge.
    """
    positions = read_positions(cars)
    ego_m, step_m = positions[0], _mean_spacing_m(positions)
    room = {}
    for size in range(2, MAX_CARS + 1):
        front_m = positions[size - 1] if size <= len(cars) else positions[-1] + (size - len(cars)) * step_m
        most = (edge_length_m - END_MARGIN_M - ego_m) / (front_m - ego_m)
        if most >= 1.0 or size <= len(cars):
            room[size] = max(most, 1.0)
    return room


def read_positions(cars: Sequence[ET.Element]) -> list[float]:
    """Returns the departPos of each car, in m.

    Raises:
        ScenarioError: if a position isn't a number, or is not ahead of the one before.
    """
    try:
        positions = [float(car.get("departPos", "base")) for car in cars]
    except ValueError as error:
        raise ScenarioError("expected every departPos of the convoy as a number.") from error
    if not all(math.isfinite(place) and place >= 0.0 for place in positions) or sorted(set(positions)) != positions:
        raise ScenarioError(f"expected the convoy's departPos from 0 and each ahead of the one before, got {positions}")
    return positions


def _mean_spacing_m(positions: Sequence[float]) -> float:
    return (positions[-1] - positions[0]) / (len(positions) - 1)


def _drop(roots: Sequence[ET.Element], car: ET.Element) -> Edit:
    next(root for root in roots if car in list(root)).remove(car)
    return Edit(car.tag, car.get("id", ""), "id", car.get("id", ""), None)


def _add(roots: Sequence[ET.Element], cars: Sequence[ET.Element], n: int) -> tuple[list[ET.Element], list[Edit]]:
    if n <= 0:
        return [], []
    positions = read_positions(cars)
    root = next(root for root in roots if cars[-1] in list(root))
    added = []
    for i in range(1, n + 1):
        car = copy.deepcopy(cars[-1])
        car.set("id", CAR_ID.format(len(cars) + i))
        car.set("departPos", str(round(positions[-1] + i * _mean_spacing_m(positions), _POSITION_DECIMALS)))
        root.append(car)
        added.append(car)
    return added, [Edit(car.tag, car.get("id", ""), "id", None, car.get("id")) for car in added]


def _space(cars: Sequence[ET.Element], factor: float) -> list[Edit]:
    if factor == 1.0:
        return []
    positions = read_positions(cars)
    return [
        set_attribute(car, "departPos", str(round(positions[0] + factor * (place - positions[0]), _POSITION_DECIMALS)))
        for car, place in zip(cars[1:], positions[1:], strict=True)
    ]
