"""Pictures of cars on a road: traffic coloured, the convoy orange and numbered; and the road around it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from roadsense.scenarios.scenario import CONVOY_ID, EGO_ID

Points = NDArray[np.float64]

INK, CONVOY, TAG = "#2b3036", "#ff7f0e", "#b34700"
SPEED_COLOURS = colormaps["viridis"]
CAR_LENGTH_M, CAR_WIDTH_M = 4.5, 1.8
ZOOM_WIDTH_M, ZOOM_ASPECT, ZOOM_REACH_M, MARGIN_M, TAG_OFFSET_PT = 240.0, 0.28, 300.0, 50.0, 19.0
TAG_STYLE: dict[str, Any] = {
    "bbox": {"boxstyle": "circle,pad=0.22", "facecolor": TAG, "edgecolor": "white", "linewidth": 0.7},
    "arrowprops": {"arrowstyle": "-", "color": TAG, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 1},
    "textcoords": "offset points", "ha": "center", "va": "center", "zorder": 5, "annotation_clip": True,
    "fontsize": 8, "fontweight": "bold", "color": "white",
}  # fmt: skip


@dataclass(frozen=True)
class DrawnVehicle:
    """One car of a snapshot.

    Attributes:
        name: id of the car in SUMO.
        x, y: position of the middle of the front bumper, eastward and northward [m].
        angle_deg: heading, 0 is north, clockwise, as SUMO gives it.
        speed_mps: speed [m/s].
        length_m, width_m: size of the body [m].
    """

    name: str
    x: float
    y: float
    angle_deg: float
    speed_mps: float = 0.0
    length_m: float = CAR_LENGTH_M
    width_m: float = CAR_WIDTH_M

    @property
    def is_convoy(self) -> bool:
        """Whether the car belongs to the convoy."""
        return CONVOY_ID.fullmatch(self.name) is not None

    @property
    def right(self) -> Points:
        """Unit vector to the right of the car."""
        return np.array([np.cos(np.radians(self.angle_deg)), -np.sin(np.radians(self.angle_deg))])

    def outline(self, scale: float = 1.0) -> Points:
        """Returns the corners of the body [m], its nose tapered, enlarged about its middle."""
        forward = np.array([-self.right[1], self.right[0]])
        half, side = scale * self.length_m / 2, scale * self.width_m / 2
        along = np.array([half, half - side / 2, -half, -half, half - side / 2, half])
        across = np.array([0.6, 1.0, 0.9, -0.9, -1.0, -0.6]) * side
        middle = np.array([self.x, self.y]) - forward * self.length_m / 2
        return middle + np.outer(along, forward) + np.outer(across, self.right)


def draw_vehicles(
    axes: Axes,
    vehicles: Iterable[DrawnVehicle],
    top_mps: float = 35.0,
    scale: float = 1.0,
    tags: bool = True,
    colours: Mapping[str, str] | None = None,
) -> None:
    """Draws cars over a road: traffic coloured by its speed, the convoy orange, over the rest.

    Args:
        axes: axes to draw on.
        vehicles: cars on the road.
        top_mps: speed at the bright end of the colours [m/s].
        scale: size of the drawn cars as a factor on their true size.
        tags: whether each convoy car has its number (1 is the ego) at its right, and cars have an outline.
        colours: colours of the traffic by a car's name, instead of by its speed.
    """
    groups: dict[bool, list[DrawnVehicle]] = {False: [], True: []}
    for car in vehicles:
        groups[car.is_convoy].append(car)
    for is_convoy, cars in groups.items():
        own = [colours[car.name] for car in cars] if colours else SPEED_COLOURS([c.speed_mps / top_mps for c in cars])
        outlines, paint = [car.outline(scale) for car in cars], CONVOY if is_convoy else own
        bodies = PolyCollection(outlines, facecolor=paint, zorder=3 + is_convoy)
        bodies.set(edgecolor="white" if is_convoy else INK, linewidth=0.6 if tags else 0.2)
        bodies.set_label("convoy" if is_convoy else "traffic")
        axes.add_collection(bodies)
    for car in groups[True] if tags else []:
        offset = tuple(TAG_OFFSET_PT * car.right)
        axes.annotate(car.name.lstrip("V0"), tuple(car.outline().mean(axis=0)), xytext=offset, **TAG_STYLE)


def find_convoy_box(vehicles: Sequence[DrawnVehicle], aspect: float | None = None) -> Rectangle:
    """Returns the part of the road to enlarge: around the ego and the convoy cars near it.

    Args:
        vehicles: cars on the road.
        aspect: ratio of height to width of the part; None: as it fits, at least `ZOOM_ASPECT`.
    """
    cars = [car for car in vehicles if car.is_convoy] or vehicles
    ego = next((car for car in cars if car.name == EGO_ID), cars[0])
    points = np.array([(car.x, car.y) for car in cars])
    points = points[np.hypot(*(points - (ego.x, ego.y)).T) < ZOOM_REACH_M]
    low, high = points.min(axis=0), points.max(axis=0)
    width, height = max(ZOOM_WIDTH_M, high[0] - low[0] + MARGIN_M), high[1] - low[1] + MARGIN_M
    if aspect is not None:
        width = max(width, height / aspect)
    height = max(ZOOM_ASPECT * width, height) if aspect is None else aspect * width
    x, y = (low + high) / 2 - (width / 2, height / 2)
    return Rectangle((x, y), width, height, fill=False, edgecolor=INK, linewidth=0.9, zorder=6)
