"""Two ways to SUMO, one trajectory; and a child process that starts at once and is never left behind."""

import contextlib
import hashlib
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.sumo import in_process
from roadsense.envs.sumo import over_socket as sumo_traci
from roadsense.envs.sumo.connection import SPEED_MODE_DRIVER_DECIDES, SumoConnection
from roadsense.errors import InputError, SimulationError

ROOT = Path(__file__).parents[3]
URBAN, HIGHWAY, ROUNDABOUT = (
    ROOT / "scenarios" / "base" / name / "scenario.sumocfg"
    for name in ("urban_intersection", "highway_fast", "urban_roundabout")
)
CONVOY = ("V001", "V002", "V003", "nobody")
EGO = CONVOY[0]
LINUX = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")


@pytest.fixture
def libsumo():
    connection = SumoConnection()
    yield connection
    connection.close()


@pytest.fixture
def traci():
    connection = SumoConnection(backend="traci")
    yield connection
    connection.close()


@pytest.fixture
def broken(tmp_path):
    """A scenario with a route over an edge that is not there."""
    shutil.copytree(URBAN.parent, tmp_path / "broken")
    routes = tmp_path / "broken" / "routes.rou.xml"
    routes.write_text(routes.read_text().replace('edges="', 'edges="no_such_edge ', 1))
    return tmp_path / "broken" / URBAN.name


def pid_of(connection):
    return connection._backend.pid


def lives(pid):
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pid, limit_s=5.0):
    limit_s += time.monotonic()
    while lives(pid) and time.monotonic() < limit_s:
        time.sleep(0.01)
    return not lives(pid)


def observe(connection):
    """Everything that can be read of the simulation."""
    ids = sorted(connection.vehicle_ids())
    convoy = [name for name in ids if name in CONVOY]
    return (
        ids,
        sorted(connection.colliding_ids()),
        connection.time_s,
        connection.read_states(ids),
        connection.read_states(CONVOY),
        [connection.find_leader(name) for name in convoy],
        [connection.look_ahead(name) for name in convoy],
        [connection.planned_speed_mps(name) for name in convoy],
    )


def watch(connection, config_path, n_steps=100, start_s=10.0):
    """What is observed before the first step and in each of some steps."""
    connection.reload(config_path, 7)
    seen = [observe(connection)]
    connection.run_until(start_s)
    for _ in range(n_steps):
        connection.step()
        seen.append(observe(connection))
    return seen


def digest(seen):
    return hashlib.sha256(repr(seen).encode()).hexdigest()


def drive(connection, config_path):
    """The same with the ego commanded: taken over, driven in waves, pushed into its leader, given back."""
    connection.reload(config_path, 3)
    connection.run_until(12.0)
    connection.set_speed_mode(EGO, SPEED_MODE_DRIVER_DECIDES)
    connection.expect_quick_reaction(EGO)
    cruise_mps = connection.read_states([EGO])[0][2]
    seen = []
    for step in range(130):
        if step < 110:
            connection.command_speed(EGO, cruise_mps + 4.0 * math.sin(step / 7) if step < 30 else 40.0)
        elif step == 110:
            connection.release(EGO)
        connection.step()
        seen.append(observe(connection))
    return seen


def test_both_ways_show_the_same_to_the_last_bit_over_reloads_and_a_failure(libsumo, traci, broken):
    expected = {path: watch(libsumo, path) for path in (URBAN, HIGHWAY, ROUNDABOUT)}
    assert expected[URBAN] != expected[HIGHWAY]
    for path in (URBAN, HIGHWAY, URBAN, ROUNDABOUT):
        assert watch(traci, path) == expected[path]
    for connection in (traci, libsumo):
        with pytest.raises(SimulationError, match="no_such_edge"):
            connection.reload(broken, 0)
        assert not connection.is_open
        assert watch(connection, URBAN) == expected[URBAN]


@pytest.mark.parametrize("config_path", [URBAN, HIGHWAY], ids=lambda path: path.parent.name)
def test_both_ways_obey_the_same(libsumo, traci, config_path):
    expected = drive(libsumo, config_path)
    assert drive(traci, config_path) == expected
    assert any(EGO in seen[1] for seen in expected), "no collision: the commands did not bind"


def test_both_ways_see_cars_leave(libsumo, traci):
    expected = watch(libsumo, ROUNDABOUT, n_steps=200, start_s=60.0)
    assert set(expected[1][0]) - set(expected[-1][0])
    assert watch(traci, ROUNDABOUT, n_steps=200, start_s=60.0) == expected


def rollout(backend):
    """Observations, rewards and outcomes of two short episodes."""
    results = []
    with ConvoyEnv([URBAN, HIGHWAY], config=EnvConfig(n_steps=120, backend=backend)) as env:
        for seed in (3, 4):
            env.reset(seed=seed, options={"hazard": True})
            for step in range(120):
                brake = np.full(1, 0.6 if step % 40 < 5 else 0.0, np.float32)
                observation, reward, terminated, truncated, info = env.step(brake)
                results.append((reward, str(info), *(values.tobytes() for values in observation.values())))
                if terminated or truncated:
                    break
    return results


def test_an_environment_earns_the_same_over_both():
    expected = rollout("libsumo")
    assert len(expected) > 100
    assert rollout("traci") == expected


def test_a_start_sleeps_in_short_pauses_and_a_reload_neither_sleeps_nor_starts(traci, monkeypatch):
    pauses_s, sleep = [], time.sleep
    monkeypatch.setattr(time, "sleep", lambda pause_s: (pauses_s.append(pause_s), sleep(pause_s)))
    traci.reload(URBAN, 0)
    pid = pid_of(traci)
    assert max(pauses_s) <= sumo_traci.CONNECT_PAUSE_S
    pauses_s.clear()
    traci.reload(HIGHWAY, 0)
    assert not pauses_s
    assert pid_of(traci) == pid


@LINUX
def test_closing_ends_the_child_and_frees_the_port(traci):
    traci.reload(URBAN, 0)
    pid = pid_of(traci)
    command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    port = int(command[command.index(b"--remote-port") + 1])
    assert lives(pid)
    traci.close()
    traci.close()
    assert not lives(pid)
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("", port))
        again.listen()
    with pytest.raises(SimulationError, match="reload"):
        traci.step()
    with pytest.raises(SimulationError, match="reload"):
        traci.read_states(CONVOY)


def test_several_run_at_once_beside_libsumo_of_which_there_is_one(libsumo, traci):
    expected = watch(libsumo, URBAN, n_steps=20)
    with contextlib.closing(SumoConnection(backend="traci")) as second:
        for connection in (libsumo, traci, second):
            connection.reload(URBAN, 7)
            connection.run_until(10.0)
        for seen in expected[1:]:
            for connection in (libsumo, traci, second):
                connection.step()
                assert observe(connection) == seen
    with pytest.raises(SimulationError, match="already open"):
        SumoConnection().reload(URBAN, 0)
    assert traci.is_open
    assert libsumo.is_open


@LINUX
@pytest.mark.parametrize("ask", [SumoConnection.step, SumoConnection.vehicle_ids], ids=lambda ask: ask.__name__)
def test_a_killed_child_is_an_error_and_the_next_reload_works(traci, ask):
    traci.reload(URBAN, 0)
    os.kill(pid_of(traci), signal.SIGKILL)
    with pytest.raises(SimulationError, match="ended with -9"):
        ask(traci)
    assert not traci.is_open
    traci.reload(URBAN, 0)
    pid = pid_of(traci)
    os.kill(pid, signal.SIGKILL)
    assert wait_until_gone(pid)
    traci.reload(URBAN, 0)
    traci.step()
    os.kill(pid_of(traci), signal.SIGKILL)
    traci.close()


def test_sumo_stopping_on_the_way_says_why(traci, tmp_path):
    shutil.copytree(URBAN.parent, tmp_path / "late")
    routes = tmp_path / "late" / "routes.rou.xml"
    late = '<vehicle id="late" type="car" depart="400"><route edges="nowhere"/></vehicle></routes>'
    routes.write_text(routes.read_text().replace("</routes>", late))
    traci.reload(tmp_path / "late" / URBAN.name, 0)
    with pytest.raises(SimulationError, match="nowhere"):
        traci.run_until(500.0)
    assert not traci.is_open


@LINUX
def test_an_interrupted_question_ends_the_child(traci):
    def interrupt(*_):
        raise KeyboardInterrupt

    traci.reload(HIGHWAY, 0)
    pid, before = pid_of(traci), signal.signal(signal.SIGUSR1, interrupt)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            traci.run_until(1e7)
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
    assert not lives(pid)
    assert not traci.is_open
    traci.reload(HIGHWAY, 0)
    assert traci.time_s == 0.0


@LINUX
@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "sys.exit()", "connection.run_until(1e5)"])
def test_no_child_outlives_its_parent(end):
    code = (
        "import os, sys; from pathlib import Path; from roadsense.envs.sumo.connection import SumoConnection;"
        "connection = SumoConnection(backend='traci'); connection.reload(Path(sys.argv[1]), 0); connection.step();"
        f"print(connection._backend.pid, flush=True); {end}"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(HIGHWAY)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with parent:
        pid = int(parent.stdout.readline())
        if "run_until" in end:  # SUMO is on its way, and sees that nobody waits when it is there
            time.sleep(0.2)
            assert lives(pid)
            parent.kill()
    assert wait_until_gone(pid, 10.0)


@pytest.mark.parametrize(("backend", "gui"), [("telepathy", False), ("libsumo", True)])
def test_another_backend_or_a_window_inside_the_process_is_refused(backend, gui):
    with pytest.raises(InputError, match="backend"):
        SumoConnection(backend=backend, gui=gui)


def test_a_window_without_a_display_is_an_error(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":4242")
    with pytest.raises(SimulationError, match="before it could be reached"):
        SumoConnection(backend="traci", gui=True).reload(HIGHWAY, 0)


@pytest.mark.skipif(not shutil.which("xvfb-run"), reason="needs xvfb-run, a display in memory")
def test_the_window_shows_the_same_in_its_own_time(libsumo):
    code = (
        "import time; from tests.envs.sumo.test_backends import *;"
        "connection = SumoConnection(backend='traci', gui=True); watch(connection, URBAN, n_steps=1);"
        "begun_s = time.monotonic(); print(digest(watch(connection, HIGHWAY, n_steps=10)), flush=True);"
        "print(time.monotonic() - begun_s > 0.9); pid = pid_of(connection); connection.close(); print(lives(pid))"
    )
    command = ["xvfb-run", "-a", sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split() == [digest(watch(libsumo, HIGHWAY, n_steps=10)), "True", "False"], done.stderr


def test_the_compiled_reader_serves_only_the_libsumo_that_it_was_written_for(monkeypatch):
    monkeypatch.setattr(in_process, "why_plain_python", lambda: "")
    monkeypatch.setitem(sys.modules, "roadsense.envs.sumo.states", ModuleType("states"))
    find_reader = in_process.find_reader.__wrapped__  # without its cache
    assert find_reader() is not None
    monkeypatch.setattr(in_process.libsumo, "__version__", "1.99.0")
    assert find_reader() is None
