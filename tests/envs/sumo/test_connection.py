"""The door to SUMO, on real roads: true distances, true repetition, and one simulation at a time."""

import functools
import hashlib
import math
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import sumolib

from roadsense.envs.sumo.connection import SIGHT_M, SPEED_MODE_DRIVER_DECIDES, SumoConnection
from roadsense.envs.sumo.in_process import find_reader
from roadsense.envs.world import NO_LEADER
from roadsense.errors import SimulationError

BASE_DIR = Path(__file__).parents[3] / "scenarios" / "base"
URBAN = BASE_DIR / "urban_intersection"
URBAN_CONFIG, HIGHWAY_CONFIG = (BASE_DIR / name / "scenario.sumocfg" for name in ("urban_intersection", "highway_fast"))
EGO = "V001"


@pytest.fixture
def connection():
    connection = SumoConnection()
    yield connection
    connection.close()


def read_array(connection, ids):
    """(n, 5) states; NaN in the row of a vehicle that is not on the road."""
    return np.array([state or (np.nan,) * 5 for state in connection.read_states(ids)])


def trajectory(connection, config_path, seed=7):
    """A digest of where every vehicle is over 100 steps from 10 s on."""
    connection.reload(config_path, seed)
    connection.run_until(10.0)
    digest = hashlib.sha256()
    for _ in range(100):
        connection.step()
        ids = sorted(connection.vehicle_ids())
        states = read_array(connection, ids)
        digest.update(repr(ids).encode() + states[:, :2].tobytes())
    return digest.hexdigest()


def trajectory_of_a_fresh_process(config_path, seed=7):
    code = (
        "from pathlib import Path; from tests.envs.sumo.test_connection import SumoConnection, trajectory;"
        f"print(trajectory(SumoConnection(), Path({str(config_path)!r}), {seed}))"
    )
    root = BASE_DIR.parents[1]
    return subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def broken(tmp_path):
    """A scenario with a route over an edge that is not there."""
    shutil.copytree(URBAN, tmp_path / "broken")
    routes = tmp_path / "broken" / "routes.rou.xml"
    routes.write_text(routes.read_text().replace('edges="', 'edges="no_such_edge ', 1))
    return tmp_path / "broken" / "scenario.sumocfg"


def test_a_reload_after_others_repeats_a_fresh_start(connection, broken):
    fresh = trajectory_of_a_fresh_process(URBAN_CONFIG)
    assert trajectory(connection, URBAN_CONFIG) == fresh
    assert trajectory(connection, HIGHWAY_CONFIG) != fresh
    assert trajectory(connection, URBAN_CONFIG) == fresh
    with pytest.raises(SimulationError, match="no_such_edge"):
        connection.reload(broken, 0)
    assert not connection.is_open
    assert trajectory(connection, URBAN_CONFIG) == fresh


def test_another_seed_drives_otherwise(connection):
    assert trajectory(connection, HIGHWAY_CONFIG, 1) != trajectory(connection, HIGHWAY_CONFIG, 2)


def test_a_missing_scenario_is_refused_by_name(connection, tmp_path):
    with pytest.raises(SimulationError, match="not_there"):
        connection.reload(tmp_path / "not_there.sumocfg", 0)


def test_a_second_connection_is_refused_and_the_first_is_untouched(connection):
    connection.reload(HIGHWAY_CONFIG, 0)
    connection.run_until(12.0)
    second = SumoConnection()
    with pytest.raises(SimulationError, match="already open"):
        second.reload(URBAN_CONFIG, 0)
    second.close()
    assert connection.is_open
    assert connection.time_s == pytest.approx(12.0)
    connection.close()
    second.reload(URBAN_CONFIG, 0)
    assert second.is_open
    second.close()


def test_nothing_starts_by_itself_and_nothing_goes_on_after_the_end(connection):
    with pytest.raises(SimulationError, match="reload"):
        connection.step()
    connection.reload(HIGHWAY_CONFIG, 0)
    connection.step()
    connection.close()
    connection.close()
    with pytest.raises(SimulationError, match="reload"):
        connection.step()
    with pytest.raises(SimulationError, match="reload"):
        connection.run_until(5.0)


def test_sumo_stopping_on_the_way_is_our_error_and_closes(connection, tmp_path):
    shutil.copytree(URBAN, tmp_path / "late")
    routes = tmp_path / "late" / "routes.rou.xml"
    late = '<vehicle id="late" type="car" depart="400"><route edges="nowhere"/></vehicle></routes>'
    routes.write_text(routes.read_text().replace("</routes>", late))
    connection.reload(tmp_path / "late" / "scenario.sumocfg", 0)
    with pytest.raises(SimulationError, match="nowhere"):
        connection.run_until(500.0)
    assert not connection.is_open


def test_a_step_is_as_long_as_asked_for():
    for step_length_s in (0.05, 0.2):
        connection = SumoConnection(step_length_s)
        connection.reload(HIGHWAY_CONFIG, 0)
        for _ in range(10):
            connection.step()
        assert connection.time_s == pytest.approx(10 * step_length_s)
        connection.close()


def vehicle_lengths():
    """Length of a vehicle of the urban scenario by its id or, for flows, the id before the dot."""
    root = ET.parse(URBAN / "routes.rou.xml").getroot()
    of_type = {item.get("id"): float(item.get("length")) for item in root.iter("vType")}
    return {item.get("id"): of_type[item.get("type")] for tag in ("vehicle", "flow") for item in root.iter(tag)}


@functools.cache
def arterial_lanes():
    """The straight lanes of the arterial eastwards: edge number, start and end point."""
    net = sumolib.net.readNet(str(URBAN / "network.net.xml"))
    lanes = []
    for number in range(6):
        for lane in net.getEdge(f"east{number}").getLanes():
            start, *_, end = lane.getShape()
            lanes.append((number, start, end))
    return lanes


def lane_at(x, y):
    """The arterial lane that runs through a point, or None."""
    for number, start, end in arterial_lanes():
        if start[0] <= x <= end[0]:
            share = (x - start[0]) / (end[0] - start[0])
            if abs(start[1] + share * (end[1] - start[1]) - y) < 0.3:
                return number, start, end
    return None


def test_the_gap_is_bumper_to_bumper_to_the_next_car_in_the_lane(connection):
    lengths, n_checked, names = vehicle_lengths(), 0, set()
    connection.reload(URBAN_CONFIG, 3)
    connection.run_until(11.0)
    for _ in range(700):
        connection.step()
        ids = list(connection.vehicle_ids())
        states = read_array(connection, ids)
        ego = states[ids.index(EGO)]
        lane = lane_at(*ego[:2])
        ahead = [
            (state[0], name, state)
            for name, state in zip(ids, states, strict=True)
            if lane and state[0] > ego[0] and lane_at(*state[:2]) == lane and abs(math.sin(state[4])) < 1e-3
        ]
        if not ahead:
            continue
        front_x, name, state = min(ahead, key=lambda found: found[0])
        leader = connection.find_leader(EGO)
        assert leader.gap_m == pytest.approx(front_x - lengths[name.split(".")[0]] - ego[0], abs=0.02)
        assert leader.speed_mps == state[2]
        assert leader.acceleration_mps2 == state[3]
        n_checked += 1
        names.add(name)
    assert n_checked > 300


def test_a_leader_out_of_sight_is_none(connection):
    connection.reload(HIGHWAY_CONFIG, 0)
    connection.run_until(12.0)
    gaps = [connection.find_leader(name) for name in connection.vehicle_ids()]
    assert NO_LEADER in gaps
    assert all(leader == NO_LEADER or leader.gap_m <= SIGHT_M + 5 for leader in gaps)


def light_at(light, time_s):
    """State of the arterial's straight link in a light's fixed programme, and seconds to the nearest change."""
    phases = [(float(phase.get("duration")), phase.get("state")[4]) for phase in light.iter("phase")]
    cycle_s = sum(duration for duration, _ in phases)
    place_s = (time_s - float(light.get("offset"))) % cycle_s
    begun_s = 0.0
    for duration, state in phases:
        if place_s < begun_s + duration:
            return state, min(place_s - begun_s, begun_s + duration - place_s)
        begun_s += duration
    raise ValueError(time_s)


def test_stop_lines_are_where_the_lanes_end_and_closed_when_the_light_says_so(connection):
    root = ET.parse(URBAN / "network.net.xml").getroot()
    lights = {light.get("id"): light for light in root.iter("tlLogic")}
    into = {
        (item.get("from"), item.get("to")): (item.get("tl"), int(item.get("linkIndex")))
        for item in root.iter("connection")
        if item.get("tl") and item.get("from").startswith("east")
    }
    seen = {"r": 0, "y": 0, "G": 0}
    connection.reload(URBAN_CONFIG, 3)
    connection.run_until(11.0)
    while connection.time_s < 110:
        connection.step()
        x, y = read_array(connection, [EGO])[0, :2]
        lane = lane_at(x, y)
        if not lane or (f"east{lane[0]}", f"east{lane[0] + 1}") not in into:
            continue
        distance_m = lane[2][0] - x
        name, index = into[f"east{lane[0]}", f"east{lane[0] + 1}"]
        state, margin_s = light_at(lights[name], connection.time_s)
        assert {phase.get("state")[4] == phase.get("state")[index] for phase in lights[name].iter("phase")} == {True}
        road = connection.look_ahead(EGO)
        assert road.limit_mps == pytest.approx(13.89, abs=0.01)
        if distance_m > SIGHT_M:
            assert road.stop_m == road.yellow_m == math.inf
        elif margin_s > 0.25:
            nearest = {"r": road.stop_m, "y": road.yellow_m, "G": math.inf}[state]
            assert nearest == pytest.approx(distance_m if state != "G" else math.inf, abs=0.05)
            assert min(road.stop_m, road.yellow_m) > distance_m + 1 or state != "G"
            seen[state] += 1
    assert min(seen.values()) > 10


def test_states_are_those_of_the_road(connection):
    connection.reload(URBAN_CONFIG, 0)
    connection.run_until(12.0)
    ids = ["V001", "V002", "nobody", "V003"]
    assert [state is None for state in connection.read_states(ids)] == [False, False, True, False]
    before = read_array(connection, ids)
    connection.step()
    after = read_array(connection, ids)
    present = [0, 1, 3]
    np.testing.assert_allclose(after[present, 3], (after - before)[present, 2] / 0.1, atol=1e-6)
    np.testing.assert_allclose((after - before)[present, 0], 0.1 * after[present, 2], atol=1e-3)
    np.testing.assert_allclose(np.sin(after[present, 4]), 0.0, atol=1e-3)
    np.testing.assert_allclose(np.cos(after[present, 4]), 1.0, atol=1e-3)


def test_headings_point_the_way_cars_go(connection):
    connection.reload(BASE_DIR / "urban_roundabout" / "scenario.sumocfg", 0)
    connection.run_until(15.0)
    ids = sorted(connection.vehicle_ids())
    before = read_array(connection, ids)
    connection.step()
    after = read_array(connection, ids)
    way = (after - before)[:, :2]
    moving = after[:, 2] > 3
    assert moving.sum() >= 3
    direction = np.arctan2(way[moving, 1], way[moving, 0])
    error = np.angle(np.exp(1j * (direction - after[moving, 4])))
    assert np.median(np.abs(error)) < 0.05


def test_a_commanded_speed_is_obeyed_to_the_collision_and_given_back(connection):
    connection.reload(URBAN_CONFIG, 0)
    connection.run_until(12.0)
    connection.set_speed_mode(EGO, SPEED_MODE_DRIVER_DECIDES)
    for speed_mps in (13.0, 5.0, 13.0, 0.0):
        connection.command_speed(EGO, speed_mps)
        connection.step()
        assert read_array(connection, [EGO])[0, 2] == pytest.approx(speed_mps)
    connection.release(EGO)
    for _ in range(20):
        connection.step()
    assert read_array(connection, [EGO])[0, 2] > 2.0


def test_a_scenario_written_anew_in_its_place_is_read_anew(connection, tmp_path):
    folder = tmp_path / "scenario"
    shutil.copytree(URBAN, folder)
    limits = []
    for _ in range(2):
        connection.reload(folder / "scenario.sumocfg", 0)
        connection.run_until(12.0)
        limits.append(connection.look_ahead(EGO).limit_mps)
        network = folder / "network.net.xml"
        network.write_text(network.read_text().replace('speed="13.89"', 'speed="10.00"'))
    assert limits == pytest.approx([13.89, 10.0])


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory as Linux tells it")
def test_reloading_does_not_fill_the_memory():
    code = """
import resource, sys
from pathlib import Path
from roadsense.envs.sumo.connection import SumoConnection

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6

connection, paths = SumoConnection(), [Path(path) for path in sys.argv[1:]]
for n in range(220):
    connection.reload(paths[n % len(paths)], n)
    connection.run_until(2.0)
    if n == 20:
        before = resident_mb()
print(resident_mb() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(URBAN_CONFIG), str(HIGHWAY_CONFIG)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 30


@pytest.mark.skipif(find_reader() is None, reason="it is not compiled")
@pytest.mark.parametrize("config", [URBAN_CONFIG, HIGHWAY_CONFIG])
def test_the_compiled_reader_reads_what_the_getters_do(connection, config):
    compiled = SumoConnection()
    connection._read_states_at_once = connection._read_leader_at_once = None
    connection.reload(config, 3)
    compiled._road, compiled._min_gaps = connection._road, connection._min_gaps
    for _ in range(600):
        connection.step()
        ids = [*connection.vehicle_ids(), EGO, "", "nobody"]  # the ego is not there yet at first
        assert compiled.read_states(ids) == connection.read_states(ids)
        for name in connection.vehicle_ids():
            assert compiled.find_leader(name) == connection.find_leader(name)
    assert None not in connection.read_states(["V001", "V002"])
    with pytest.raises(RuntimeError, match="nobody"):
        find_reader().read_leader("nobody", SIGHT_M)
    with pytest.raises(TypeError, match="got 1 arguments"):
        find_reader().read_leader(EGO)
    with pytest.raises(TypeError):
        find_reader().read_states([7])
