"""The ego's figures over time, below the road: gap, time to collision, speed, action, and what was heard of whom."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from roadsense.envs.frames.canvas import GRID, HAZARD, HEARD, INK, LEADER, LOST, Canvas, Point
from roadsense.envs.frames.moment import Moment

LABEL_PX, VALUE_PX, STRIP_PX, SPACE_PX, ROW_PX, AXIS_PX = 92, 58, 40, 8, 11, 18
MAX_SENDERS = 8
CRITICAL_S = 1.5
"""A time to collision below this is a near miss."""


class Strip(NamedTuple):
    """One figure over time: label, its name among the figures, unit, upper end of its axis, colour, a second line."""

    label: str
    name: str
    high: float
    colour: str
    dashed: str = ""
    mark: float | None = None


STRIPS = (
    Strip("gap [m]", "gap_m", 60.0, HEARD),
    Strip("TTC [s]", "ttc_s", 6.0, HEARD, mark=CRITICAL_S),
    Strip("speed [m/s]", "speed_mps", 35.0, HEARD, "leader_speed_mps"),
    Strip("action", "action", 1.0, LOST),
)
HEIGHT_PX = len(STRIPS) * (STRIP_PX + SPACE_PX) + MAX_SENDERS * ROW_PX + 2 * SPACE_PX + AXIS_PX


class Strips:
    """Draws the figures of an episode so far into the lower part of a canvas.

    Args:
        width: width of the frame in pixels.
        top: where the part begins, in pixels.
        end_s: time at the right end of the axis.
        step_s: time between two moments.
    """

    def __init__(self, width: int, top: int, end_s: float, step_s: float):
        self._left, self._right, self._top = LABEL_PX, width - VALUE_PX, top
        self._end_s, self._step_s = max(end_s, step_s), step_s

    def draw(self, canvas: Canvas, moments: Sequence[Moment]) -> None:
        """Draws the moments from the start of the episode to the last of them."""
        y: float = self._top + SPACE_PX
        figures = [moment.figures for moment in moments]
        for strip in STRIPS:
            self._draw_strip(canvas, strip, y, figures)
            y += STRIP_PX + SPACE_PX
        y = self._draw_radio(canvas, y, moments) + SPACE_PX
        for second in range(0, math.floor(self._end_s + 1e-6) + 1, 10 if self._end_s > 25 else 5):
            canvas.text((self._x(second), y + AXIS_PX - 6), f"{second} s", anchor="ms", size=10)
        now = self._x((len(moments) - 1) * self._step_s)
        canvas.line([(now, self._top + 2), (now, y)], INK)

    def _x(self, time_s: float) -> float:
        return self._left + (self._right - self._left) * min(time_s / self._end_s, 1.0)

    def _draw_strip(self, canvas: Canvas, strip: Strip, top: float, figures: Sequence[Mapping[str, float]]) -> None:
        low, step = top + STRIP_PX, self._step_s
        for row, found in enumerate(figures):
            if found.get("hazard_active"):
                canvas.box((self._x((row - 1) * step), top), (self._x(row * step), low), HAZARD)
        canvas.line(
            [(self._left, top), (self._right, top), (self._right, low), (self._left, low), (self._left, top)], GRID
        )
        if strip.mark is not None:
            at = low - STRIP_PX * strip.mark / strip.high
            canvas.line([(self._left, at), (self._right, at)], LOST, 1, (2, 3))
        if strip.dashed:
            self._draw_line(canvas, strip, strip.dashed, top, figures, LEADER, (4, 3))
        self._draw_line(canvas, strip, strip.name, top, figures, strip.colour)
        canvas.text((6, top + 14), strip.label)
        canvas.text((6, top + 32), f"0 to {strip.high:g}", LEADER, 10)
        value = figures[-1].get(strip.name, math.nan)
        shown = "" if math.isnan(value) else f"> {strip.high:g}" if value > strip.high else f"{value:.1f}"
        canvas.text((self._right + 6, top + STRIP_PX / 2 + 4), shown, INK, 12)

    def _draw_line(
        self,
        canvas: Canvas,
        strip: Strip,
        name: str,
        top: float,
        figures: Sequence[Mapping[str, float]],
        colour: str,
        dash: Point | None = None,
    ) -> None:
        """Draws a series; the line is broken where there is no value, or a value above the axis."""
        piece: list[Point] = []
        for row, found in enumerate([*figures, {}]):
            value = found.get(name, math.nan)
            if 0 <= value <= strip.high:
                piece.append((self._x(row * self._step_s), top + STRIP_PX * (1 - value / strip.high)))
                continue
            canvas.line(piece, colour, 1.2 if dash else 1.8, dash)
            piece = []

    def _draw_radio(self, canvas: Canvas, top: float, moments: Sequence[Moment]) -> float:
        """Draws a row for each sender, in the order in which they were met; returns where the rows end."""
        senders = list(dict.fromkeys(name for moment in moments for name, _ in moment.messages))[:MAX_SENDERS]
        rows = {name: top + place * ROW_PX for place, name in enumerate(senders)}
        for place, (name, y) in enumerate(rows.items()):
            tag = name.lstrip("V0") if name.startswith("V0") else name
            canvas.text((6, y + 9), f"{'' if place else 'radio: '}car {tag}"[:16], INK, 10)
        for step, moment in enumerate(moments):
            x0, x1 = self._x(step * self._step_s), self._x((step + 1) * self._step_s)
            for name, is_heard in moment.messages:
                if name in rows:
                    y = rows[name]
                    canvas.box(
                        (x0, y + (1 if is_heard else 4)), (x1, y + (9 if is_heard else 7)), HEARD if is_heard else LOST
                    )
        if senders:
            canvas.text((self._right + 6, top + 9), "heard", HEARD, 10)
            canvas.text((self._right + 6, top + 20), "lost", LOST, 10)
        return top + MAX_SENDERS * ROW_PX
