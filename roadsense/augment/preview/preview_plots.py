"""The picture of a chosen draw: its road and cars, and its flows and desired speeds beside the base's."""

import io
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from roadsense.augment.bases.base import Base
from roadsense.augment.draws.ranges import VariationRanges
from roadsense.augment.draws.variations import Variation
from roadsense.augment.edits.vehicles import SpeedFactor, read_speed_factor
from roadsense.augment.preview.expected_traffic import ExpectedTraffic
from roadsense.pictures.road import OVERVIEW_CAR_IN, ZOOM_CAR_SCALE, RoadMap
from roadsense.pictures.style import BLUE, GREEN, GREY, INK, PURPLE, SKY, clean_axes
from roadsense.pictures.vehicles import CAR_LENGTH_M, CONVOY, TAG, draw_vehicles, find_convoy_box
from roadsense.scenarios.flows import read_rate_vph

WIDTH_IN, ZOOM_IN, CHARTS_IN, TITLE_IN, GUTTER_IN = 10.0, 1.9, 3.3, 0.58, 0.06
MAX_OVERVIEW_IN, DPI = 3.2, 96
FACTORS = np.linspace(0.55, 1.45, 361)
"""Multiples of the speed limit at which desired speeds are drawn."""

TYPE_COLOURS = (SKY, "#f0e442", PURPLE, "#ffffff", GREEN, BLUE, GREY)
"""Colours of the traffic's types, in the order of their names; light colours are easy to see on asphalt."""

MAX_FLOWS, MAX_TYPES = 16, 8
VALUES = {
    "tau": "tau", "accel": "accel", "decel": "decel", "min_gap": "minGap", "heavy_share": "heavy share",
    "convoy_spacing": "convoy spacing",
}  # fmt: skip
LEAST_DEVIATION = 0.004
"""Drawn width of a type whose drivers all want the same speed."""


@dataclass(frozen=True)
class DrawnDraw:
    """The parts of a draw that the picture shows.

    Attributes:
        name: name of its base.
        variation: draw to show.
        traffic: its vehicles at their expected positions.
        after_s: time after the convoy's departure [s].
    """

    name: str
    variation: Variation
    traffic: ExpectedTraffic
    after_s: float


class PreviewPicture:
    """The picture of the draws of one base. Fixed parts are painted once, so painting a draw takes well under 0.3 s.

    Args:
        base: base of the draws.
        road: road network of the base.
        ranges: ranges of the draws; they set the scale of the flows.
    """

    def __init__(self, base: Base, road: RoadMap, ranges: VariationRanges):
        self._base, self._road, whole = base, road, road.box
        self._colours = choose_colours(base)
        upper = min(WIDTH_IN * whole.get_height() / whole.get_width(), MAX_OVERVIEW_IN)
        height = TITLE_IN + upper + ZOOM_IN + CHARTS_IN + 2 * GUTTER_IN
        self._car_scale = OVERVIEW_CAR_IN / CAR_LENGTH_M
        self._car_scale *= max(whole.get_width() / WIDTH_IN, whole.get_height() / upper)
        self.figure = Figure(figsize=(WIDTH_IN, height), dpi=DPI, facecolor="white")
        self._canvas = FigureCanvasAgg(self.figure)
        below, chart = CHARTS_IN + GUTTER_IN, (0.62 / height, (CHARTS_IN - 1.05) / height)
        self._flows = self.figure.add_axes((0.17, chart[0], 0.34, chart[1]))
        self._speeds = self.figure.add_axes((0.6, chart[0], 0.38, chart[1]))
        self._overview = self.figure.add_axes((0.0, (below + ZOOM_IN + GUTTER_IN) / height, 1.0, upper / height))
        self._road.draw(self._overview, with_markings=False)
        self._flow_rows = _frame_flows(self._flows, base, ranges)
        self._type_rows = _frame_speeds(self._speeds, base)
        self._canvas.draw()
        self._still = self._canvas.copy_from_bbox(self.figure.bbox)
        self._zoom = self.figure.add_axes((0.0, below / height, 1.0, ZOOM_IN / height))
        self._lines_at = (1 - 0.3 * TITLE_IN / height, 1 - 0.72 * TITLE_IN / height)
        self._moving: list[Artist] = []
        self._lock = threading.Lock()

    def show(self, draw: DrawnDraw) -> Figure:
        """Replaces the draw in the figure and returns the figure."""
        for artist in self._moving:
            artist.remove()
        before = set(self._fixed_artists())
        near = self._draw_near(draw)
        self._overview.add_patch(near)
        cars = _colour_by_name(draw.traffic, self._colours)
        draw_vehicles(self._overview, draw.traffic.vehicles, scale=self._car_scale, tags=False, colours=cars)
        _draw_flows(self._flows, self._flow_rows, draw.traffic)
        _draw_speeds(self._speeds, self._type_rows, draw, self._colours)
        style: dict[str, Any] = {"color": INK, "va": "center"}
        title = self.figure.text(0.012, self._lines_at[0], _title(draw), fontsize=11, fontweight="bold", **style)
        values = self.figure.text(0.012, self._lines_at[1], _list_values(draw), fontsize=7.5, **style)
        self._moving = [title, values, *(artist for artist in self._fixed_artists() if artist not in before)]
        return self.figure

    def paint(self, draw: DrawnDraw) -> bytes:
        """Returns a draw as a PNG picture; only moving parts are painted again."""
        with self._lock:  # sliders and cells run in different threads
            return self._paint(draw)

    def _paint(self, draw: DrawnDraw) -> bytes:
        self.show(draw)
        self._canvas.restore_region(self._still)
        renderer = self._canvas.get_renderer()
        for artist in (self._zoom, *sorted(self._moving, key=lambda artist: artist.get_zorder())):
            artist.draw(renderer)
        file = io.BytesIO()
        Image.fromarray(np.asarray(self._canvas.buffer_rgba())[..., :3]).save(file, "PNG", compress_level=1)
        return file.getvalue()

    def _fixed_artists(self) -> list[Artist]:
        return [artist for axes in (self._overview, self._flows, self._speeds) for artist in axes.get_children()]

    def _draw_near(self, draw: DrawnDraw) -> Rectangle:
        vehicles, axes = draw.traffic.vehicles, self._zoom
        near = find_convoy_box(vehicles, ZOOM_IN / WIDTH_IN) if vehicles else self._road.box
        for artist in (*axes.collections, *axes.lines, *axes.texts):  # axes.clear() takes four times as long
            artist.remove()
        self._road.draw(axes, near)
        cars = _colour_by_name(draw.traffic, self._colours)
        draw_vehicles(axes, vehicles, scale=ZOOM_CAR_SCALE, colours=cars)
        note = "free flow, without interaction; 1 is the ego"
        axes.text(0.99, 0.93, note, transform=axes.transAxes, ha="right", va="top", fontsize=7.5, color=INK)
        return near


def choose_colours(base: Base) -> dict[str, str]:
    """Returns a colour for each vehicle type: orange for the convoy's, one of `TYPE_COLOURS` for every other."""
    convoy = base.traffic.convoy_types
    others = [name for name in base.traffic.types if name not in convoy]
    colours = {name: TYPE_COLOURS[place % len(TYPE_COLOURS)] for place, name in enumerate(others)}
    return colours | dict.fromkeys(convoy, CONVOY)


def _colour_by_name(traffic: ExpectedTraffic, colours: Mapping[str, str]) -> dict[str, str]:
    pairs = zip(traffic.vehicles, traffic.types, strict=True)
    return {car.name: colours.get(kind, GREY) for car, kind in pairs}


def _title(draw: DrawnDraw) -> str:
    levels = draw.variation.levels
    wet = f", wet road (friction {levels['friction']:g})" if levels["friction"] < 1.0 else ""
    radio = f", radio {draw.variation.v2v}" if draw.variation.v2v else ""
    around = draw.variation.surroundings
    radio += f", {around['penetration']:.0%} of others with one" if around.get("penetration") else ""
    radio += f", {around['cars_behind']:g} behind" if around.get("cars_behind") else ""
    words = f"{draw.variation.density_word} traffic, {draw.variation.driver_word} drivers"
    return f"{draw.name}: {words}{wet}{radio}. {draw.after_s:g} s after the convoy's departure"


def _list_values(draw: DrawnDraw) -> str:
    # Values that no position or curve shows.
    levels, cars = draw.variation.levels, draw.variation.levels.get("convoy_size")
    factors = [f"{name} x {levels[key]:.2f}" for key, name in VALUES.items() if key in levels]
    size = [f"{cars:g} cars in the convoy"] if cars else []
    later = f"convoy {levels['convoy_shift_s']:+.1f} s"
    return ", ".join(
        [f"sigma {levels['sigma']:.2f}", *factors, later, *size, f"SUMO's seed {draw.variation.sumo_seed}"]
    )


def _frame_flows(axes: Axes, base: Base, ranges: VariationRanges) -> list[str]:
    # Returns the names of the flows that are drawn, from above, with their rates in the base.
    flows = [flow for _, root in base.read_routes() for flow in root.findall("flow")]
    rates = {flow.get("id", ""): read_rate_vph(flow) for flow in flows if flow.get("id") in base.traffic.headways_s}
    shown = sorted(rates, key=lambda name: rates[name], reverse=True)[:MAX_FLOWS]
    clean_axes(axes)
    axes.plot([rates[name] for name in shown], range(len(shown)), "|", color=INK, markersize=9, markeredgewidth=1.6)
    axes.set_yticks(range(len(shown)), shown, fontsize=7)
    top = max(rates.values(), default=1.0) * max(ranges.density[1], 1.0) * 1.08
    axes.set(ylim=(len(shown) - 0.4, -0.6), xlim=(0, top), xlabel="vehicles an hour")
    hidden = f"; {len(rates) - len(shown)} smaller left out" if len(rates) > len(shown) else ""
    axes.set_title(f"flows: base (bar), this draw (dot){hidden}", fontsize=9.5, loc="left", color=INK)
    return shown


def _draw_flows(axes: Axes, rows: Sequence[str], traffic: ExpectedTraffic) -> None:
    found = {flow.name: flow for flow in traffic.flows}
    places = [place for place, name in enumerate(rows) if name in found]
    drawn = [found[rows[place]] for place in places]
    axes.hlines(places, [flow.base_vph for flow in drawn], [flow.vph for flow in drawn], color=SKY, linewidth=2.2)
    axes.plot([flow.vph for flow in drawn], places, "o", color=BLUE, markersize=5, clip_on=False)


def _frame_speeds(axes: Axes, base: Base) -> list[str]:
    kinds = {kind.get("id", ""): kind for _, root in base.read_routes() for kind in root.iter("vType")}
    names = sorted(base.traffic.types, key=lambda name: (name not in base.traffic.convoy_types, name))[:MAX_TYPES]
    clean_axes(axes)
    for place, name in enumerate(names):
        then = _bell(read_speed_factor(kinds[name].get("speedFactor"), kinds[name].get("speedDev")))
        axes.plot(FACTORS, place - 0.8 * then, color=INK, linewidth=1.0, linestyle=(0, (2, 2)), zorder=4)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=(len(names) - 0.9, -1.05), xlim=(FACTORS[0], FACTORS[-1]))
    axes.set_xlabel("desired speed, as a multiple of the speed limit [-]")
    axes.set_title("desired speeds: base (broken), this draw (filled)", fontsize=9.5, loc="left", color=INK)
    return names


def _draw_speeds(axes: Axes, rows: Sequence[str], draw: DrawnDraw, colours: Mapping[str, str]) -> None:
    for place, name in enumerate(rows):
        own, cut = draw.variation.types[name], draw.variation.speed_cut
        now = _bell(SpeedFactor(own.speed_mean, own.speed_dev, own.speed_mean - cut, own.speed_mean + cut))
        fill = axes.fill_between(FACTORS, place, place - 0.8 * now, facecolor=colours[name], zorder=3)
        fill.set(edgecolor=TAG if colours[name] == CONVOY else INK, linewidth=0.8, alpha=0.85)


def _bell(factor: SpeedFactor) -> np.ndarray:
    # Scaled to a height of 1: only its position and width matter.
    bell = np.exp(-0.5 * np.square((FACTORS - factor.mean) / max(factor.dev, LEAST_DEVIATION)))
    bell[(FACTORS < factor.low) | (FACTORS > factor.high)] = 0.0
    return bell
