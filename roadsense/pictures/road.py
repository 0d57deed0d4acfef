"""Pictures of a road and its cars: lanes, markings, traffic coloured by speed, the convoy numbered."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sumolib
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from roadsense.errors import InputError
from roadsense.pictures.vehicles import (
    CAR_LENGTH_M,
    CAR_WIDTH_M,
    INK,
    MARGIN_M,
    SPEED_COLOURS,
    DrawnVehicle,
    Points,
    draw_vehicles,
    find_convoy_box,
)
from roadsense.scenarios.checks import read_xml
from roadsense.scenarios.route_files import read_route_files
from roadsense.scenarios.scenario import open_scenario
from roadsense.scenarios.sumo_program import run_sumo
from roadsense.utils.scratch import scratch_folder

GROUND, ASPHALT, MARKING = "#e9ede4", "#6b7177", "#f6f6f0"
DASH_M, DASH_PERIOD_M, MARKING_M, INSET_M, ZOOM_CAR_SCALE = 4.0, 12.0, 0.2, 0.3, 1.25
FIGURE_IN, TITLE_IN, GUTTER_IN, OVERVIEW_CAR_IN = 10.0, 0.45, 0.06, 0.065


@dataclass(frozen=True)
class RoadMap:
    """The drawn parts of a network, as polygons in metres; made by `RoadMap.read`."""

    surfaces: tuple[Points, ...]
    markings: tuple[Points, ...]

    @classmethod
    def read(cls, network_path: str | Path) -> "RoadMap":
        """Reads a `.net.xml` file."""
        net = sumolib.net.readNet(str(network_path), withInternal=True)
        lanes = [lane for edge in net.getEdges(withInternal=True) for lane in edge.getLanes()]
        surfaces = [_ribbon(lane.getShape(), 0.0, lane.getWidth()) for lane in lanes]
        surfaces += [np.array(node.getShape())[:, :2] for node in net.getNodes() if len(node.getShape()) > 2]
        markings = [line for edge in net.getEdges(withInternal=False) for line in _edge_markings(edge)]
        return cls(tuple(surfaces), tuple(markings))

    @property
    def box(self) -> Rectangle:
        """The rectangle around the whole road with a margin [m]."""
        points = np.concatenate(self.surfaces)
        low, high = points.min(axis=0) - MARGIN_M, points.max(axis=0) + MARGIN_M
        return Rectangle(tuple(low), *(high - low))

    def draw(self, axes: Axes, box: Rectangle | None = None, with_markings: bool = True) -> None:
        """Draws the road, or the part of it in `box`; leave out the markings at a small scale."""
        surfaces, markings = _touching(self.surfaces, box), _touching(self.markings, box) if with_markings else ()
        axes.add_collection(PolyCollection(surfaces, facecolor=ASPHALT, edgecolor=ASPHALT, linewidth=0.5))
        axes.add_collection(PolyCollection(markings, facecolor=MARKING, edgecolor="none", snap=False))
        (x0, y0), (x1, y1) = (box or self.box).get_bbox().get_points()
        axes.set(xlim=(x0, x1), ylim=(y0, y1), xticks=[], yticks=[], aspect="equal", facecolor=GROUND)
        axes.spines[:].set_visible(False)
        _draw_scale_bar(axes, (x1 - x0) / 8)


def take_snapshot(config_path: str | Path, time_s: float) -> list[DrawnVehicle]:
    """Runs a scenario to `time_s` in a separate process and returns the cars on the road at that time.

    Raises:
        InputError: if there is no car at that time.
    """
    scenario = open_scenario(config_path)
    routes = [root for _, root in read_route_files(scenario.route_paths, scenario.additional_paths)[0]]
    types = {kind.get("id"): kind for root in routes for kind in root.iter("vType")}
    with scratch_folder("roadsense_snapshot_") as folder:
        output, window = (
            folder / "fcd.xml",
            ["--device.fcd.begin", f"{time_s}", "--end", f"{time_s + 1}"],
        )
        run_sumo(scenario.config_path, ["--fcd-output", str(output), *window])
        step = read_xml(output, "fcd-export").find("timestep")
    if step is None or not len(step):
        raise InputError(f"{config_path}: expected cars at {time_s:g} s, found none. Choose another time.")
    return [_read_vehicle(element, types.get(element.get("type"))) for element in step.iter("vehicle")]


def plot_scenario(config_path: str | Path, time_s: float = 45.0) -> Figure:
    """Draws a scenario at one moment: the whole road with enlarged cars, and below it the convoy enlarged."""
    road, vehicles = RoadMap.read(open_scenario(config_path).network_path), take_snapshot(config_path, time_s)
    top_mps = 5.0 * np.ceil(max(car.speed_mps for car in vehicles) / 5 + 0.1)
    whole, near = road.box, find_convoy_box(vehicles)
    upper, lower = (FIGURE_IN * box.get_height() / box.get_width() for box in (whole, near))
    figure = Figure(figsize=(FIGURE_IN, upper + lower + GUTTER_IN + TITLE_IN), facecolor="white")
    height = figure.get_figheight()
    overview = figure.add_axes((0.0, (lower + GUTTER_IN) / height, 1.0, upper / height))
    zoom = figure.add_axes((0.0, 0.0, 1.0, lower / height))
    road.draw(overview, with_markings=False)
    scale = OVERVIEW_CAR_IN / FIGURE_IN * whole.get_width() / CAR_LENGTH_M
    draw_vehicles(overview, vehicles, top_mps, scale, tags=False)
    overview.add_patch(near)
    road.draw(zoom, near)
    draw_vehicles(zoom, vehicles, top_mps, ZOOM_CAR_SCALE)
    _draw_legend(zoom, top_mps)
    title = f"{Path(config_path).resolve().parent.name}  at {time_s:g} s"
    figure.text(0.02, 1 - TITLE_IN / 2 / height, title, fontsize=12, fontweight="bold", color=INK, va="center")
    return figure


def _draw_scale_bar(axes: Axes, wanted_m: float) -> None:
    power = 10.0 ** np.floor(np.log10(wanted_m))
    length_m = max(step * power for step in (1, 2, 5) if step * power <= wanted_m)
    x, y = axes.transLimits.inverted().transform((0.02, 0.07))
    (bar,) = axes.plot([x, x + length_m], [y, y], color=INK, linewidth=2.5, solid_capstyle="butt", zorder=6)
    place: dict[str, Any] = {"xytext": (0, 3), "textcoords": "offset points", "ha": "center", "va": "bottom"}
    text = axes.annotate(f"{length_m:.0f} m", (x + length_m / 2, y), fontsize=8, color=INK, zorder=6, **place)
    for part in (bar, text):
        part.set_path_effects([withStroke(linewidth=4, foreground=GROUND)])  # it may lie over a lane


def _draw_legend(axes: Axes, top_mps: float) -> None:
    bar = axes.inset_axes((0.8, 0.1, 0.18, 0.035))
    axes.figure.colorbar(ScalarMappable(Normalize(0, top_mps), SPEED_COLOURS), cax=bar, orientation="horizontal")
    bar.tick_params(labelsize=7, length=2, colors=INK)
    bar.set_title("traffic by speed [m/s]; 1 is the ego", fontsize=7.5, color=INK, pad=3)


def _read_vehicle(element: ET.Element, kind: ET.Element | None) -> DrawnVehicle:
    x, y, angle_deg, speed_mps = (float(element.get(key, "0")) for key in ("x", "y", "angle", "speed"))
    shape = {} if kind is None else kind.attrib
    length_m, width_m = float(shape.get("length", CAR_LENGTH_M)), float(shape.get("width", CAR_WIDTH_M))
    return DrawnVehicle(element.get("id", ""), x, y, angle_deg, speed_mps, length_m, width_m)


def _touching(polygons: Sequence[Points], box: Rectangle | None) -> Sequence[Points]:
    """The polygons that may overlap a box; all of them without a box."""
    if box is None:
        return polygons
    low, high = box.get_bbox().get_points()
    return [one for one in polygons if (one.max(axis=0) >= low).all() and (one.min(axis=0) <= high).all()]


def _ribbon(shape: Iterable[Iterable[float]], left_m: float, width_m: float) -> Points:
    """A strip along a line, its middle moved to the left."""
    line = [tuple(point)[:2] for point in shape]
    sides = [sumolib.geomhelper.move2side(line, offset) for offset in (-left_m - width_m / 2, -left_m + width_m / 2)]
    return np.array(sides[0] + sides[1][::-1])


def _edge_markings(edge: sumolib.net.edge.Edge) -> Iterator[Points]:
    """Solid lines at both borders of an edge, dashes between its lanes."""
    lanes = edge.getLanes()
    yield _ribbon(lanes[0].getShape(), INSET_M - lanes[0].getWidth() / 2, MARKING_M)
    yield _ribbon(lanes[-1].getShape(), lanes[-1].getWidth() / 2 - INSET_M, MARKING_M)
    for lane in lanes[:-1]:
        for start in np.arange(0.0, lane.getLength() - DASH_M, DASH_PERIOD_M):
            at = (start, start + DASH_M / 2, start + DASH_M)
            dash = [sumolib.geomhelper.positionAtShapeOffset(lane.getShape(), distance) for distance in at]
            yield _ribbon(dash, lane.getWidth() / 2, MARKING_M)
