"""Pictures of a road: what is drawn, and where."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from roadsense.errors import InputError
from roadsense.pictures.road import DrawnVehicle, RoadMap, draw_vehicles, plot_scenario, take_snapshot

BASE = Path(__file__).parents[2] / "scenarios" / "base"
HIGHWAY = BASE / "highway_fast" / "scenario.sumocfg"


@pytest.fixture(scope="module")
def figure() -> Figure:
    return plot_scenario(HIGHWAY, 30.0)


def polygons(axes: Axes, label: str) -> list[np.ndarray]:
    found = [item for item in axes.collections if isinstance(item, PolyCollection) and item.get_label() == label]
    return [path.vertices for item in found for path in item.get_paths()]


def test_a_car_points_where_it_drives():
    east = DrawnVehicle("car", x=10.0, y=0.0, angle_deg=90.0, length_m=4.0, width_m=2.0).outline()
    assert east.min(axis=0) == pytest.approx([6.0, -1.0])
    assert east.max(axis=0) == pytest.approx([10.0, 1.0])


def test_an_enlarged_car_keeps_its_middle():
    car = DrawnVehicle("car", 3.0, 4.0, 30.0)
    small, large = car.outline(), car.outline(5.0)
    np.testing.assert_allclose(small[[2, 3]].mean(axis=0) + small[[0, 5]].mean(axis=0),
                               large[[2, 3]].mean(axis=0) + large[[0, 5]].mean(axis=0))  # fmt: skip


@pytest.mark.parametrize(("name", "is_convoy"), [("V001", True), ("V012", True), ("Van", False), ("car.1", False)])
def test_the_convoy_is_known_by_name(name, is_convoy):
    assert DrawnVehicle(name, 0.0, 0.0, 0.0).is_convoy is is_convoy


def test_lanes_are_drawn_at_their_width():
    road = RoadMap.read(HIGHWAY.parent / "network.net.xml")
    first = road.surfaces[0]
    assert np.hypot(*(first[0] - first[-1])) == pytest.approx(3.2, abs=0.05)
    assert len(road.surfaces) > 16
    assert len(road.markings) > 500


def test_snapshot_holds_the_convoy_at_that_time():
    cars = {car.name: car for car in take_snapshot(HIGHWAY, 10.1)}
    assert {name for name, car in cars.items() if car.is_convoy} == {f"V00{i}" for i in range(1, 7)}
    assert cars["V001"].speed_mps == pytest.approx(25.0, abs=1.0)
    assert cars["V002"].length_m == 4.6


def test_no_cars_at_that_time_is_said():
    with pytest.raises(InputError, match="Choose another time"):
        take_snapshot(HIGHWAY, 500.0)


def test_figure_has_lanes_and_cars_in_both_views(figure):
    overview, zoom = figure.axes[:2]
    for axes, n_lanes in ((overview, 17), (zoom, 3)):  # near the convoy, the road has three lanes
        assert len(axes.collections[0].get_paths()) >= n_lanes
        assert len(polygons(axes, "convoy")) == 6
        assert len(polygons(axes, "traffic")) > 5


def test_every_convoy_car_near_the_ego_has_its_number(figure):
    numbers = {text.get_text() for text in figure.axes[1].texts}
    assert numbers >= {"1", "2", "3", "4", "5", "6"}


def test_the_near_view_holds_the_ego(figure):
    zoom = figure.axes[1]
    ego = next(car for car in take_snapshot(HIGHWAY, 30.0) if car.name == "V001")
    assert zoom.get_xlim()[0] < ego.x < zoom.get_xlim()[1]
    assert zoom.get_ylim()[0] < ego.y < zoom.get_ylim()[1]


def test_traffic_alone_can_be_drawn():
    axes = Figure().add_subplot()
    draw_vehicles(axes, [DrawnVehicle("car", 0.0, 0.0, 0.0)])
    assert len(polygons(axes, "traffic")) == 1
    assert not axes.texts


@pytest.mark.parametrize("folder", sorted(BASE.iterdir()), ids=lambda folder: folder.name)
def test_the_picture_in_each_folder_is_small(folder):
    assert 10_000 < (folder / "road.png").stat().st_size < 150_000
