"""The road from above: lanes, traffic coloured by its speed, the convoy with its numbers, and this step's messages."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.frames.canvas import ASPHALT, CONVOY, EDGE, GROUND, HEARD, INK, LOST, TAG, WHITE, Canvas, Point
from roadsense.envs.frames.moment import Car, Moment
from roadsense.scenarios.road_shape import RoadShape
from roadsense.scenarios.scenario import EGO_ID

VIRIDIS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""Colours of speeds, from standing to the top speed."""
TOP_MPS = 35.0
NARROWEST_M, WIDEST_M, TOGETHER_M, MARGIN_M = 160.0, 480.0, 420.0, 70.0
"""The view's width: at least, at most; a convoy longer than `TOGETHER_M` came apart, and the ego alone is followed."""


class Scene:
    """Draws the road around the convoy into the upper part of a canvas.

    Args:
        road: shape of the road.
        size: width and height of that part in pixels.
    """

    def __init__(self, road: RoadShape, size: tuple[int, int]):
        self._road, self._size = road, size
        lines = [*road.lanes, *road.junctions]
        self._lows = np.array([line.min(axis=0) for line in lines]).reshape(-1, 2)
        self._highs = np.array([line.max(axis=0) for line in lines]).reshape(-1, 2)

    def draw(self, canvas: Canvas, moment: Moment) -> None:
        """Draws a moment."""
        width, height = self._size
        convoy = [car for car in moment.cars if car.is_convoy]
        (x0, y0), metres = _aim(convoy or moment.cars)
        scale = width / metres

        def place(x_m: float, y_m: float) -> Point:
            return width / 2 + (x_m - x0) * scale, height / 2 - (y_m - y0) * scale

        canvas.box((0, 0), (width, height), GROUND)
        self._draw_road(canvas, np.array([x0, y0]), scale)
        for car in sorted(moment.cars, key=lambda car: car.is_convoy):
            corners = [place(x, y) for x, y in _outline(car, scale)]
            canvas.polygon(corners, CONVOY if car.is_convoy else _speed_colour(car.speed_mps), WHITE)
        middles = {car.name: place(*_middle(car)) for car in convoy}
        _draw_messages(canvas, moment, middles)
        for car in convoy:
            _draw_tag(canvas, middles[car.name], car)
        _draw_scale_bar(canvas, height, scale)

    def _draw_road(self, canvas: Canvas, centre: NDArray[np.float64], scale: float) -> None:
        size = np.array(self._size)
        reach_m = size / scale / 2 + 10
        is_near = (self._highs >= centre - reach_m) & (self._lows <= centre + reach_m)
        seen = np.atleast_1d(is_near.all(axis=1))
        pixels = [
            [tuple(point) for point in size / 2 + (line - centre) * (scale, -scale)] if is_seen else []
            for line, is_seen in zip([*self._road.lanes, *self._road.junctions], seen, strict=True)
        ]
        lanes, junctions = pixels[: len(self._road.lanes)], pixels[len(self._road.lanes) :]
        for colour, more_m in ((EDGE, 0.1), (ASPHALT, -0.12)):
            for line, width_m in zip(lanes, self._road.lane_width_m, strict=True):
                if line:
                    canvas.line(line, colour, (float(width_m) + more_m) * scale)
        for outline in junctions:
            if outline:
                canvas.polygon(outline, ASPHALT)


def _aim(cars: Sequence[Car]) -> tuple[Point, float]:
    """Returns the middle of the view and its width in m."""
    if not cars:
        return (0.0, 0.0), NARROWEST_M
    xs, ys = [car.x_m for car in cars], [car.y_m for car in cars]
    reach = max(max(xs) - min(xs), 3 * (max(ys) - min(ys)))
    if reach > TOGETHER_M:
        ego = next((car for car in cars if car.name == EGO_ID), cars[0])
        return (ego.x_m, ego.y_m), NARROWEST_M + MARGIN_M
    centre = ((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2)
    return centre, max(NARROWEST_M, min(reach + MARGIN_M, WIDEST_M))


def _middle(car: Car) -> Point:
    half = car.length_m / 2
    return car.x_m - math.cos(car.heading_rad) * half, car.y_m - math.sin(car.heading_rad) * half


def _outline(car: Car, scale: float) -> list[Point]:
    """Returns the corners of the body in m, its nose tapered; narrow cars are drawn at least 5 pixels wide."""
    side = max(car.width_m, 5 / scale) / 2
    ahead, left = (
        (math.cos(car.heading_rad), math.sin(car.heading_rad)),
        (-math.sin(car.heading_rad), math.cos(car.heading_rad)),
    )
    shape = ((0, 0.6), (-side / 2, 1), (-car.length_m, 0.9), (-car.length_m, -0.9), (-side / 2, -1), (0, -0.6))
    return [
        (car.x_m + along * ahead[0] + side * across * left[0], car.y_m + along * ahead[1] + side * across * left[1])
        for along, across in shape
    ]


def _speed_colour(speed_mps: float) -> str:
    at = max(0.0, min(0.999, speed_mps / TOP_MPS)) * (len(VIRIDIS) - 1)
    low, high = VIRIDIS[int(at)], VIRIDIS[int(at) + 1]
    return "#" + "".join(f"{round(a + (b - a) * (at - int(at))):02x}" for a, b in zip(low, high, strict=True))


def _draw_messages(canvas: Canvas, moment: Moment, middles: dict[str, Point]) -> None:
    """Draws an arc from each sender: blue to the ego if it is heard, else orange, dashed, ending in a cross."""
    to = middles.get(EGO_ID)
    for rank, (sender, is_heard) in enumerate(moment.messages):
        start = middles.get(sender)
        if start is None or to is None:
            continue
        bend = ((start[0] + to[0]) / 2, (start[1] + to[1]) / 2 - 24 - 10 * rank)
        arc = [_on_arc(start, bend, to, step / 16) for step in range(17)]
        if is_heard:
            canvas.line(arc, HEARD, 1.5)
            canvas.disc(to, 3, HEARD)
            continue
        canvas.line(arc[:7], LOST, 1.5, (3, 4))
        x, y = arc[6]
        for slope in (-4, 4):
            canvas.line([(x - 4, y - slope), (x + 4, y + slope)], LOST, 2)


def _on_arc(start: Point, bend: Point, end: Point, share: float) -> Point:
    a, b, c = (1 - share) ** 2, 2 * share * (1 - share), share**2
    return a * start[0] + b * bend[0] + c * end[0], a * start[1] + b * bend[1] + c * end[1]


def _draw_tag(canvas: Canvas, middle: Point, car: Car) -> None:
    place = middle[0] + math.sin(car.heading_rad) * 22, middle[1] + math.cos(car.heading_rad) * 22
    canvas.line([middle, place], TAG)
    canvas.disc(place, 8.5, TAG)
    canvas.text(place, car.tag, WHITE, 11, "mm")


def _draw_scale_bar(canvas: Canvas, height: int, scale: float) -> None:
    metres = next(length for length in (200.0, 100.0, 50.0, 20.0, 10.0) if length * scale <= 170 or length == 10)
    canvas.box((14, height - 14), (14 + metres * scale, height - 11), INK)
    canvas.text((14, height - 19), f"{metres:.0f} m")
