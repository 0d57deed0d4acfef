"""ConvoyVecEnv on real SUMO in real processes: the same episodes as SB3's own, and every way a worker can end."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sb3_contrib import TQC
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.vec_env import SubprocVecEnv, VecMonitor

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.errors import InputError, SimulationError
from roadsense.training.vec import pipe
from roadsense.training.vec.env import ConvoyVecEnv
from tests.worker_faults import DivideByZero, ExitAfter

ROOT = Path(__file__).parents[3]
BASES = sorted((ROOT / "scenarios" / "base").glob("*/scenario.sumocfg"))
QUIET = EnvConfig(n_steps=40, step_info=False)


@pytest.fixture
def make_env():
    made = []

    def make(paths=BASES, config=QUIET, n_workers=2, **keywords):
        made.append(ConvoyVecEnv(paths, config, n_workers, **keywords))
        return made[-1]

    yield make
    for env in made:
        env.close()


def pids(env):
    return env.pids


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone_within(pids, limit_s):
    end_s = time.monotonic() + limit_s
    while any(runs(pid) for pid in pids) and time.monotonic() < end_s:
        time.sleep(0.05)
    return not any(runs(pid) for pid in pids)


def drive(env, n_steps, seed=0):
    """Drives with drawn actions; returns the observations, rewards, ends and infos of all steps."""
    rng = np.random.default_rng(seed)
    return [env.step(rng.uniform(0, 1, (env.num_envs, 1)).astype(np.float32)) for _ in range(n_steps)]


def no_braking(env):
    return np.zeros((env.num_envs, 1), np.float32)


def assert_same(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_same(left, right)
    else:
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("step_info", [True, False])
def test_it_drives_the_same_episodes_as_the_vec_env_of_sb3(make_env, step_info):
    config = EnvConfig(n_steps=40, step_info=step_info)
    theirs = SubprocVecEnv([lambda: ConvoyEnv(BASES, config=config)] * 2, start_method="forkserver")
    ours = make_env(config=config, seed=5)
    try:
        theirs.seed(5)
        assert_same(ours.reset(), theirs.reset())
        driven, wanted = drive(ours, 100), drive(theirs, 100)
        assert ours.reset_infos == list(theirs.reset_infos)
    finally:
        theirs.close()
    ends = 0
    for (*found, infos), (*expected, their_infos) in zip(driven, wanted, strict=True):
        assert_same(found, expected)
        for info, their_info in zip(infos, their_infos, strict=True):
            if "outcome" in info:
                ends += 1
                assert info.pop("scenario") == info["outcome"]["scenario"]
                assert BASES[info.pop("scenario_index")].parent.name == info["outcome"]["scenario"]
            assert_same(info, their_info)
    assert ends >= 4


def test_what_it_returned_stays_as_it_was(make_env):
    env = make_env()
    first = env.reset()
    kept = {key: value.copy() for key, value in first.items()}
    drive(env, 5)
    assert_same(first, kept)


def test_after_a_restart_only_the_seed_and_the_actions_count(make_env):
    env, other = make_env(seed=1), make_env(seed=2)
    env.reset()
    drive(env, 13)
    other.reset()
    os.kill(pids(other)[0], signal.SIGKILL)
    drive(other, 50)
    assert_same(env.restart(7), other.restart(7))
    assert_same(drive(env, 90), drive(other, 90))
    assert not np.array_equal(env.restart(7)["ego"], env.restart(8)["ego"])


def test_weights_choose_the_scenarios_of_later_episodes(make_env):
    env = make_env(config=EnvConfig(n_steps=3, step_info=False))
    env.set_weights(np.array([0, 0, 0.5, 0.5, 0]))
    env.restart(0)
    found = [info["scenario_index"] for *_, infos in drive(env, 60) for info in infos if "outcome" in info]
    assert set(found) == {2, 3}
    env.set_weights(None)
    drive(env, 3)
    assert {info["scenario_index"] for *_, infos in drive(env, 90) for info in infos if "outcome" in info} == set(
        range(5)
    )


def test_weighted_episodes_depend_on_the_seed_alone(make_env):
    env = make_env()
    env.set_weights(np.array([0.1, 0.2, 0.3, 0.2, 0.2]))
    env.restart(3)
    first = drive(env, 90)
    env.restart(3)
    assert_same(drive(env, 90), first)


@pytest.mark.parametrize("weights", [[0.5, 0.5], [1, 1, 0, 0, 0], [1.5, -0.5, 0, 0, 0], [np.nan, 1, 0, 0, 0]], ids=str)
def test_weights_that_are_no_probabilities_are_refused(make_env, weights):
    with pytest.raises(InputError, match="5 weights"):
        make_env().set_weights(weights)


@pytest.mark.parametrize("wrong", [{"paths": []}, {"n_workers": 0}, {"max_deaths": -1}], ids=str)
def test_wrong_settings_are_refused(make_env, wrong):
    with pytest.raises(InputError, match="Expected scenarios"):
        make_env(**wrong)


@pytest.mark.parametrize("algorithm", [PPO, SAC, TQC])
def test_the_algorithms_of_sb3_learn_in_it(make_env, algorithm):
    env = VecMonitor(make_env())
    more = {"n_steps": 60, "batch_size": 60} if algorithm is PPO else {"learning_starts": 50}
    model = algorithm("MultiInputPolicy", env, device="cpu", **more)
    assert model.learn(120).num_timesteps >= 120
    assert len(model.ep_info_buffer) >= 2


def test_environments_answer_and_their_errors_are_raised_here(make_env):
    env = make_env(n_workers=3)
    env.reset()
    before = pids(env)
    assert env.get_attr("config", indices=[0, 2]) == [QUIET] * 2
    env.set_attr("label", "here", indices=1)
    assert env.get_attr("label", 1) == ["here"]
    assert env.has_attr("label") is False
    assert env.env_is_wrapped(VecMonitor) == [False] * 3
    assert env.env_method("get_wrapper_attr", "render_mode", indices=0) == [None]
    with pytest.raises(AttributeError, match="no_such"):
        env.get_attr("no_such")
    with pytest.raises(InputError, match="0 to 1"):
        env.env_method("step", np.full(1, 7.0))
    drive(env, 5)
    assert (pids(env), env.deaths) == (before, [])


def test_options_of_a_reset_reach_the_environments(make_env):
    env = make_env()
    env.set_options({"hazard": True, "scenario": BASES[1]})
    env.reset()
    assert all(info["hazard"] and info["scenario"] == BASES[1].parent.name for info in env.reset_infos)


def assert_buried(env, worker, step, before):
    """Checks that a worker's episode was cut and a new one begun in another process, and all others went on."""
    observation, rewards, dones, infos = step
    assert (dones[worker], rewards[worker]) == (True, 0.0)
    assert infos[worker]["TimeLimit.truncated"] is True
    assert "outcome" not in infos[worker]
    assert_same(infos[worker]["terminal_observation"], {key: value[worker] for key, value in before.items()})
    assert not dones[np.arange(env.num_envs) != worker].any()
    assert all(env.observation_space[key].contains(value[worker]) for key, value in observation.items())
    after = drive(env, 45)
    assert sum(step[2][worker] for step in after) >= 1
    assert any("outcome" in step[3][worker] for step in after)


def test_a_worker_killed_is_replaced_and_reported(make_env):
    reports = []
    env = make_env(n_workers=3, on_death=reports.append)
    env.reset()
    before = drive(env, 12)[-1][0]
    os.kill(pids(env)[1], signal.SIGKILL)
    step = env.step(np.full((3, 1), 0.5, np.float32))
    assert_buried(env, 1, step, before)
    (death,) = reports
    assert (death.worker, death.n_steps) in {(1, 12), (1, 13)}
    assert "SIGKILL" in death.reason
    assert death.reason == step[3][1]["error"]
    assert death.scenario in BASES
    actions = np.random.default_rng(0).uniform(0, 1, (12, 3)).astype(np.float32)[:, 1]
    np.testing.assert_array_equal(death.last_actions[:12], actions)
    assert "python -m roadsense.replay" in death.command


def test_a_worker_that_exits_is_replaced(make_env):
    env = make_env()
    env.reset()
    env.set_attr("step_into", ExitAfter(4), indices=0)
    before = drive(env, 3)[-1][0]
    assert_buried(env, 0, env.step(no_braking(env)), before)
    assert "exit code 3" in env.deaths[0].reason


def test_a_worker_that_fails_tells_its_traceback(make_env):
    env = make_env()
    before = env.reset()
    env.set_attr("step_into", DivideByZero(), indices=1)
    assert_buried(env, 1, env.step(no_braking(env)), before)
    assert "ZeroDivisionError" in env.deaths[0].reason
    assert "worker_faults.py" in env.deaths[0].reason


def test_a_worker_that_is_stuck_is_killed_in_time(make_env, monkeypatch):
    monkeypatch.setattr(pipe, "ANSWER_LIMIT_S", 2.5)
    env = make_env()
    before = env.reset()
    stuck = pids(env)[0]
    os.kill(stuck, signal.SIGSTOP)
    begin_s = time.monotonic()
    step = env.step(no_braking(env))
    assert 2 < time.monotonic() - begin_s < 30
    assert not runs(stuck)
    assert_buried(env, 0, step, before)
    assert "stuck" in env.deaths[0].reason


def late_breakdown(folder):
    """Copies a scenario that loads, and that SUMO gives up 20 s later: a car departs on a lane that is not there."""
    folder = shutil.copytree(BASES[0].parent, folder)
    routes = folder / "routes.rou.xml"
    text = routes.read_text()
    route = text.split('<route id="')[1].split('"')[0]
    car = f'<vehicle id="nowhere" type="car" route="{route}" depart="20.00" departLane="9" departPos="0"/>'
    routes.write_text(text.replace("</routes>", car + "</routes>"))
    return folder / "scenario.sumocfg"


def repeat(command):
    """Types the command of a report; returns what it says."""
    line = command.replace("python", sys.executable, 1)
    return subprocess.run(line, shell=True, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_a_simulation_that_fails_ends_its_episode_and_can_be_repeated_by_one_line(make_env, tmp_path):
    path = late_breakdown(tmp_path / "late breakdown")
    env = make_env([path, BASES[1]], EnvConfig(n_steps=150, step_info=False), seed=3)
    env.reset()
    steps = drive(env, 300)
    errors = [info for *_, infos in steps for info in infos if "error" in info]
    assert errors
    assert all("departLane" in info["error"] and info["TimeLimit.truncated"] for info in errors)
    assert [death.reason for death in env.deaths] == [info["error"] for info in errors]
    death = env.deaths[-1]
    assert death.scenario == path
    assert len(death.last_actions) == 50
    said = repeat(death.command)
    assert f"{death.n_steps} of {death.n_steps} steps replayed" in said
    assert f"reward {errors[-1]['outcome']['reward']:.9g}" in said
    assert "departLane" in said


def test_the_line_repeats_an_episode_that_was_killed_with_weights_in_force(make_env):
    env = make_env()
    env.set_weights(np.array([0, 0.5, 0, 0, 0.5]))
    env.restart(1)
    drive(env, 55)
    rewards = sum(rewards[0] for _, rewards, _, _ in drive(env, 10))
    env.close()
    env = make_env()
    env.set_weights(np.array([0, 0.5, 0, 0, 0.5]))
    env.restart(1)
    steps = drive(env, 55)[40:]
    steps += drive(env, 10)
    os.kill(pids(env)[0], signal.SIGKILL)
    env.step(no_braking(env))
    n_steps = env.deaths[0].n_steps
    assert n_steps in (25, 26)
    assert sum(step[1][0] for step in steps[-10:]) == pytest.approx(rewards)
    said = repeat(env.deaths[0].command)
    assert f"{n_steps} of {n_steps} steps replayed" in said
    if n_steps == 25:
        assert f"reward {sum(step[1][0] for step in steps):.9g}" in said


def test_too_many_deaths_stop_everything_with_the_reasons(make_env):
    env = make_env(max_deaths=2)
    env.reset()
    workers = []
    for _ in range(2):
        workers += pids(env)
        os.kill(pids(env)[0], signal.SIGKILL)
        env.step(no_braking(env))
    workers += pids(env)
    os.kill(pids(env)[1], signal.SIGKILL)
    with pytest.raises(SimulationError, match=r"at most 2 dead workers, got 3(.|\n)*worker 0(.|\n)*SIGKILL"):
        env.step(no_braking(env))
    assert gone_within(workers, 10)
    with pytest.raises(SimulationError, match="have ended"):
        env.step(no_braking(env))


def test_a_scenario_that_cannot_be_opened_stops_everything_with_the_reason(make_env, tmp_path):
    env = make_env([tmp_path / "nowhere.sumocfg"], max_deaths=2)
    with pytest.raises(SimulationError, match=r"nowhere\.sumocfg"):
        env.reset()
    assert len(env.deaths) == 3


def test_the_end_of_a_job_and_an_interrupt_leave_the_workers_to_the_training(make_env):
    env = make_env()
    env.reset()
    for pid in pids(env):
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
    drive(env, 10)
    assert env.deaths == []


def test_closing_ends_all_workers(make_env):
    env = make_env(n_workers=3)
    env.reset()
    workers = pids(env)
    os.kill(workers[0], signal.SIGSTOP)
    env.close()
    env.close()
    assert gone_within(workers, 1)


TRAINING = """
import os, signal, sys, time
import torch
from roadsense.envs.config import EnvConfig
from roadsense.training.vec.env import ConvoyVecEnv
if __name__ == "__main__":
    env = ConvoyVecEnv(sys.argv[2:], EnvConfig(step_info=False), 3)
    env.reset()
    pids = env.pids
    maps = [open(f"/proc/{pid}/maps").read() for pid in pids]
    print(*pids, any("torch" in text for text in maps), all("sumo" in text for text in maps), flush=True)
    if sys.argv[1] == "wait":
        os.kill(pids[0], signal.SIGSTOP)
        time.sleep(60)
"""


def start_training(tmp_path, what):
    """Starts a program with three workers; returns it, and what it says of itself."""
    script = tmp_path / "training.py"
    script.write_text(TRAINING)
    command = [sys.executable, script, what, *BASES]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    *workers, has_torch, has_sumo = process.stdout.readline().split()
    return process, [int(pid) for pid in workers], (has_torch, has_sumo)


def test_nothing_is_left_of_a_training_that_is_killed(tmp_path):
    process, workers, _ = start_training(tmp_path, "wait")
    assert all(runs(pid) for pid in workers)
    process.kill()
    process.wait()
    assert gone_within(workers, 10)


def test_a_program_ends_without_closing_and_its_workers_never_load_what_it_learns_with(tmp_path):
    process, workers, loaded = start_training(tmp_path, "end")
    assert process.wait(20) == 0
    assert loaded == ("False", "True")
    assert gone_within(workers, 1)
