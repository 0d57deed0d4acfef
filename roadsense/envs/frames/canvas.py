"""A canvas with smooth edges, because everything is drawn larger than it is shown. Places are those of the frame."""

import math
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Point = tuple[float, float]
Frame = NDArray[np.uint8]
"""A picture, (height, width, 3)."""

FINENESS = 2
"""Drawn pixels for each shown one, along a side."""
SHORTEST = 1e-6
"""Length below which a dash has ended, in pixels."""
GROUND, ASPHALT, EDGE, INK, GRID, WHITE = "#e9ede4", "#6b7177", "#c7cbc8", "#2b3036", "#e4e4e4", "#ffffff"
CONVOY, TAG, HEARD, LOST, LEADER, HAZARD = "#ff7f0e", "#b34700", "#0072b2", "#d55e00", "#8c8c8c", "#f9e9df"
"""The player's colours."""


class Canvas:
    """A frame that is being drawn, white at first.

    Args:
        width: width of the frame in pixels.
        height: height of the frame in pixels.
    """

    def __init__(self, width: int, height: int):
        self._image = Image.new("RGB", (width * FINENESS, height * FINENESS), WHITE)
        self._draw = ImageDraw.Draw(self._image)

    def finish(self) -> Frame:
        """Returns the frame."""
        return np.asarray(self._image.reduce(FINENESS))

    def box(self, low: Point, high: Point, colour: str, outline: str | None = None) -> None:
        """Fills a rectangle from its upper left to its lower right corner."""
        self._draw.rectangle([*_fine([low, high])], colour if colour else None, outline, FINENESS)

    def polygon(self, points: Sequence[Point], colour: str, outline: str | None = None) -> None:
        """Fills a polygon."""
        self._draw.polygon(_fine(points), colour, outline, FINENESS)

    def line(self, points: Sequence[Point], colour: str, width: float = 1.0, dash: Point | None = None) -> None:
        """Draws a line through points, whole or in dashes, given their length and that of the space between them."""
        for piece in [points] if dash is None else _cut(points, *dash):
            if len(piece) > 1:
                self._draw.line(_fine(piece), colour, max(round(width * FINENESS), 1), "curve")

    def disc(self, middle: Point, radius: float, colour: str) -> None:
        """Fills a circle."""
        x, y = middle
        self._draw.ellipse([*_fine([(x - radius, y - radius), (x + radius, y + radius)])], colour)

    def text(self, place: Point, text: str, colour: str = INK, size: float = 11, anchor: str = "ls") -> None:
        """Writes text; the anchor is Pillow's, as `ls` for left and on the line, `mm` for the middle."""
        self._draw.text(_fine([place])[0], text, colour, _font(size), anchor)


@cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * FINENESS)


def _fine(points: Sequence[Point]) -> list[Point]:
    return [(x * FINENESS, y * FINENESS) for x, y in points]


def _cut(points: Sequence[Point], dash: float, space: float) -> list[list[Point]]:
    """Returns a line's dashes; each follows the line's bends roughly, by its two ends."""
    pieces, left, drawing = [], dash, True
    for (x0, y0), (x1, y1) in pairwise(points):
        length, at = math.hypot(x1 - x0, y1 - y0), 0.0
        while at < length:
            end = min(at + left, length)
            if drawing:
                pieces.append([(x0 + (x1 - x0) * t / length, y0 + (y1 - y0) * t / length) for t in (at, end)])
            left -= end - at
            at = end
            if left <= SHORTEST:  # not 0: what rounding leaves of a dash would never end
                drawing = not drawing
                left = dash if drawing else space
    return pieces
