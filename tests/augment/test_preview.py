"""The preview of a draw: it shows at once what the files will say, and a crash of SUMO stays in its process."""

import io
import os
import signal
import time

import numpy as np
import pytest
from PIL import Image

from roadsense.augment.config import GenConfig
from roadsense.augment.preview.expected_traffic import RoadNetwork, expect_traffic
from roadsense.augment.preview.preview import DrawPreview
from roadsense.episodes.record import take_trajectory
from roadsense.errors import InputError, SimulationError

FAST = "fast_road"


@pytest.fixture(scope="module")
def preview(tiny_bases):
    opened = DrawPreview(GenConfig(base_dir=tiny_bases))
    yield opened
    opened.close()


def traffic(preview, after_s=0.0, **values):
    base = preview.bases[FAST]
    draw = preview.draw(FAST, preview.fit(FAST, **values))
    return draw, expect_traffic(base, RoadNetwork(base.scenario.network_path), draw, after_s)


def test_at_its_departure_the_convoy_stands_where_its_route_file_says(preview):
    _, seen = traffic(preview, convoy_size=3, convoy_spacing=1.0)
    convoy = {car.name: car for car in seen.vehicles if car.is_convoy}
    assert sorted(convoy) == ["V001", "V002", "V003"]
    places = [convoy[name].x for name in sorted(convoy)]
    assert places == pytest.approx([300, 340, 380], abs=1.0)
    assert convoy["V001"].angle_deg == pytest.approx(90, abs=1)


def test_cars_drive_at_their_desired_speed(preview):
    _, start = traffic(preview)
    _, later = traffic(preview, after_s=10.0)
    ego, mps = next((c, v) for c, v in zip(start.vehicles, start.desired_mps, strict=True) if c.name == "V001")
    then = next(car for car in later.vehicles if car.name == "V001")
    assert np.hypot(then.x - ego.x, then.y - ego.y) == pytest.approx(10 * mps, rel=0.01)
    assert 0.7 * 25 < mps < 1.3 * 25


def test_density_adds_cars_and_a_wet_road_slows_them(preview):
    sparse, dense = (traffic(preview, 60.0, density=density)[1] for density in (0.7, 1.3))
    assert len(dense.vehicles) > len(sparse.vehicles)
    assert all(flow.vph > flow.base_vph for flow in dense.flows)
    dry, wet = (traffic(preview, friction=friction)[1] for friction in (1.0, 0.7))
    assert np.mean(wet.desired_mps) < np.mean(dry.desired_mps)


def test_rates_are_those_that_the_draw_writes(preview):
    draw, seen = traffic(preview, density=1.1)
    for flow in seen.flows:
        drawn = draw.flows[flow.name]
        assert flow.vph == pytest.approx(flow.base_vph * drawn.density * drawn.share, abs=0.01)


def test_another_value_is_another_picture_and_the_same_value_the_same(preview):
    pictures = [preview.paint(FAST, preview.fit(FAST, density=density), 15.0) for density in (1.0, 1.2, 1.0)]
    assert pictures[0] == pictures[2]
    assert pictures[0] != pictures[1]
    picture = Image.open(io.BytesIO(pictures[0]))
    assert picture.size[0] == 960
    assert np.asarray(picture).std() > 20


def test_the_figure_and_the_picture_show_the_same(preview):
    chosen = preview.fit(FAST, density=1.2)
    figure = preview.plot(FAST, chosen, 15.0)
    assert "dense" in figure.texts[0].get_text()
    file = io.BytesIO()
    figure.savefig(file, dpi=96)
    whole, painted = (np.asarray(Image.open(io.BytesIO(png)).convert("L"), float)
                      for png in (file.getvalue(), preview.paint(FAST, chosen, 15.0)))  # fmt: skip
    assert np.abs(whole - painted).mean() < 3


def test_what_is_simulated_is_the_draw_with_its_radio(preview):
    chosen = preview.fit(FAST, convoy_size=3, seed=4)
    one, again = (preview.simulate(FAST, chosen, duration_s=3) for _ in range(2))
    assert one.n_rows == 31
    assert {"V001", "V002", "V003"} <= set(one.vehicle_ids)
    assert len(one.message_sender) > 20
    assert (one.x_m[np.isfinite(one.x_m)] == again.x_m[np.isfinite(again.x_m)]).all()


def test_a_simulation_that_dies_leaves_the_caller_unharmed(preview):
    chosen = preview.fit(FAST)
    future = preview.start_simulation(FAST, chosen, duration_s=60)
    while not preview._pool._processes:
        time.sleep(0.01)
    for pid in preview._pool._processes:
        os.kill(pid, signal.SIGSEGV)
    with pytest.raises(SimulationError, match="unharmed"):
        take_trajectory(future)
    assert preview.simulate(FAST, chosen, duration_s=1).n_rows == 11


def test_wrong_input_is_named(preview):
    with pytest.raises(InputError, match="fast_road, slow_road"):
        preview.fit("moon")
    with pytest.raises(InputError, match="duration_s"):
        preview.simulate(FAST, preview.fit(FAST), duration_s=0)
