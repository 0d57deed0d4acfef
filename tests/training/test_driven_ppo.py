"""PPO with workers that drive by themselves: the same steps, the same numbers to learn from, deaths in the middle."""

import copy
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from roadsense.envs.config import EnvConfig
from roadsense.errors import InputError, SimulationError
from roadsense.policies.actor import read_actor
from roadsense.policies.actor_policy import ActorPolicy
from roadsense.training.algorithms import FIRST_ROWS, _join, build_model
from roadsense.training.train_config import TrainConfig
from roadsense.training.vec.env import ConvoyVecEnv
from roadsense.training.vec.shared import MAX_ROWS

BASES = sorted((Path(__file__).parents[2] / "scenarios" / "base").glob("*/scenario.sumocfg"))
SHORT = EnvConfig(n_steps=40, step_info=False)
N = 2


@pytest.fixture
def make_env():
    made = []

    def make(n_workers=N, config=SHORT, **keywords):
        made.append(ConvoyVecEnv(BASES, config, n_workers, **keywords))
        return made[-1]

    yield make
    for env in made:
        env.close()


def make_model(env, **changes):
    settings = {"n_workers": env.num_envs, "rollout_steps": 100, "batch_size": 50, "n_units": 8, "net_width": 16}
    return build_model(env, TrainConfig(**{**settings, **changes}))


def keep_drives(env):
    """Keeps what an environment returns from each drive in the list that is returned."""
    kept, drive_itself = [], env.drive
    env.drive = lambda *arguments: kept.append(drive_itself(*arguments)) or kept[-1]
    return kept


def draw(n_rows, n_workers=N, seed=0):
    return np.random.default_rng(seed).normal(0.2, 0.3, (n_rows, n_workers, 1)).astype(np.float32)


def test_driving_is_stepping_many_times(make_env):
    env, actions = make_env(), draw(100)
    first = env.restart(3)
    stepped = [env.step(np.clip(row, 0, 1)) for row in actions]
    env.restart(3)
    drives = [env.drive(actions[:70]), env.drive(actions[70:])]
    seen = {key: np.concatenate([drive.observations[key][:-1] for drive in drives]) for key in first}
    for key, value in first.items():
        np.testing.assert_array_equal(seen[key], [value, *(step[0][key] for step in stepped[:-1])])
        np.testing.assert_array_equal(drives[1].observations[key][-1], stepped[-1][0][key])
    np.testing.assert_array_equal(np.concatenate([drive.actions for drive in drives]), actions)
    np.testing.assert_array_equal(np.concatenate([drive.rewards for drive in drives]), [step[1] for step in stepped])
    np.testing.assert_array_equal(np.concatenate([drive.dones for drive in drives]), [step[2] for step in stepped])
    told = drives[0].infos | {(row + 70, worker): info for (row, worker), info in drives[1].infos.items()}
    ends = {(row, worker) for row, step in enumerate(stepped) for worker in range(N) if step[2][worker]}
    assert told.keys() == ends
    assert len(ends) >= 4
    for row, worker in ends:
        np.testing.assert_equal(told[row, worker]["outcome"], stepped[row][3][worker]["outcome"])
    after = env.step(actions[0])[0]
    assert all(np.isfinite(value).all() for value in after.values())


def test_with_a_policy_each_action_is_its_mean_for_what_was_seen_and_the_noise(make_env):
    env = make_env()
    model = make_model(env)
    env.restart(1)
    noise = draw(90)
    drive = env.drive(noise, read_actor(model))
    with torch.no_grad():
        seen = {key: torch.from_numpy(value[:-1]).flatten(0, 1) for key, value in drive.observations.items()}
        means = model.policy.get_distribution(seen).distribution.mean.view(90, N, 1).numpy()
    np.testing.assert_allclose(drive.actions, means + noise, atol=1e-6)
    env.restart(1)
    again = env.drive(drive.actions)
    np.testing.assert_array_equal(again.rewards, drive.rewards)


class Recorded(VecEnv):
    """Gives back, step by step, what was driven."""

    def __init__(self, env, drive):
        super().__init__(env.num_envs, env.observation_space, env.action_space)
        self._drive, self._row = drive, 0

    def reset(self):
        return {key: value[0] for key, value in self._drive.observations.items()}

    def step_async(self, actions):
        np.testing.assert_array_equal(actions, np.clip(self._drive.actions[self._row], 0, 1))

    def step_wait(self):
        row, drive = self._row, self._drive
        self._row += 1
        infos = [drive.infos.get((row, worker), {}) for worker in range(self.num_envs)]
        observation = {key: value[row + 1] for key, value in drive.observations.items()}
        return observation, drive.rewards[row].copy(), drive.dones[row], infos

    def close(self):
        pass

    env_is_wrapped = env_method = get_attr = set_attr = lambda self, *_, **__: [None] * self.num_envs


def test_it_learns_from_the_numbers_that_ppo_of_sb3_makes_of_the_same_steps(make_env):
    env = make_env()
    model = make_model(env, rollout_steps=150)
    weights = copy.deepcopy(model.policy.state_dict())
    kept = keep_drives(env)
    model.learn(150 * N)
    drive = _join(kept)
    assert len(kept) > 1
    assert drive.dones.sum() >= 6

    theirs = PPO(
        "MultiInputPolicy",
        Recorded(env, drive),
        n_steps=150,
        batch_size=150,
        device="cpu",
        policy_kwargs=model.policy_kwargs,
    )
    theirs.gamma, theirs.rollout_buffer.gamma = model.gamma, model.gamma
    theirs.rollout_buffer.gae_lambda = model.gae_lambda
    theirs.policy.load_state_dict(weights)
    acts = iter(torch.from_numpy(drive.actions))

    def forward(observations):
        actions = next(acts)
        values, log_probs, _ = theirs.policy.evaluate_actions(observations, actions)
        return actions, values, log_probs

    theirs.policy.forward = forward
    theirs.learn(150 * N)
    for name in ("actions", "rewards", "episode_starts", "values", "log_probs", "advantages", "returns"):
        ours, wanted = getattr(model.rollout_buffer, name), getattr(theirs.rollout_buffer, name)
        np.testing.assert_allclose(ours, wanted, atol=2e-4, rtol=1e-5, err_msg=name)
    for key, wanted in theirs.rollout_buffer.observations.items():
        np.testing.assert_array_equal(model.rollout_buffer.observations[key], wanted, err_msg=key)
    assert model.num_timesteps == theirs.num_timesteps
    np.testing.assert_array_equal(model._last_episode_starts, theirs._last_episode_starts)


class RowCallback(BaseCallback):
    """Records the rows it is called for, and stops the training at one of them."""

    def __init__(self, last_row=None):
        super().__init__()
        self.rows, self._last_row = [], last_row

    def _on_step(self):
        self.rows.append((self.num_timesteps, self.locals["clipped_actions"].copy(), self.locals["dones"].copy()))
        return len(self.rows) != self._last_row


def test_actions_spread_as_the_policy_says_and_differ_between_workers(make_env):
    env = make_env(config=EnvConfig(n_steps=500, step_info=False))
    model = make_model(env, log_std_init=-2.0, rollout_steps=MAX_ROWS)
    actor, kept = read_actor(model), keep_drives(env)
    model.learn(MAX_ROWS * N)
    drive = _join(kept)
    env.restart(0)
    means = [
        ActorPolicy(actor)({key: value[place] for key, value in drive.observations.items()})
        for place in np.ndindex(MAX_ROWS, N)
    ]
    noise = drive.actions - np.reshape(means, (MAX_ROWS, N, 1))
    assert noise.std() == pytest.approx(np.exp(-2.0), rel=0.1)
    assert abs(np.corrcoef(noise[:, 0, 0], noise[:, 1, 0])[0, 1]) < 0.2


def test_long_rollouts_are_driven_in_parts_and_given_up_at_any_row(make_env):
    env = make_env()
    n_rows = MAX_ROWS + 40
    model = make_model(env, rollout_steps=n_rows, batch_size=48)
    whole, kept = RowCallback(), keep_drives(env)
    model.learn(n_rows * N, whole)
    assert [row[0] for row in whole.rows] == [N * (row + 1) for row in range(n_rows)]
    clipped = np.clip(np.concatenate([drive.actions for drive in kept]), 0, 1)
    np.testing.assert_array_equal([row[1] for row in whole.rows], clipped)
    model.learn(n_rows * N, RowCallback(7), reset_num_timesteps=False)
    assert model.num_timesteps == N * (n_rows + 7)


def test_slow_machines_drive_fewer_rows_at_a_time_and_learn_the_same(make_env):
    weights, sizes = [], []
    for pace in (None, lambda *_: None):
        env = make_env(seed=4)
        model = make_model(env, seed=4, rollout_steps=150)
        if pace:
            model._pace = pace
        drive_itself = env.drive
        env.drive = lambda noise, actor, itself=drive_itself: sizes.append(len(noise)) or itself(noise, actor)
        model.learn(300 * N)
        weights.append(model.policy.state_dict())
        sizes.append(None)
        env.close()
    assert sizes[sizes.index(None) + 1 : -1] == [*[FIRST_ROWS] * 9, 6] * 2
    assert sizes.index(None) < 10
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    model = make_model(make_env())
    rows = []
    for elapsed_s in (0.1, 1.0, 60.0):
        model._pace(100, elapsed_s)
        rows.append(model._n_rows)
    assert rows == [MAX_ROWS, 200, FIRST_ROWS]


@pytest.mark.parametrize("n_rows", [0, MAX_ROWS + 1])
def test_no_rows_or_too_many_are_refused(make_env, n_rows):
    env = make_env()
    env.reset()
    with pytest.raises(InputError, match=f"1 to {MAX_ROWS} rows"):
        env.drive(draw(n_rows))


def kill_at(env, worker, row, number=signal.SIGKILL):
    """Sends a worker a signal when it has driven so many rows."""

    def _kill(pid):
        end_s = time.monotonic() + 30
        while env._shared.n_rows[worker] < row and time.monotonic() < end_s:
            time.sleep(0.0005)
        os.kill(pid, number)

    env._shared.n_rows[:] = 0
    threading.Thread(target=_kill, args=(env.pids[worker],), daemon=True).start()


def test_a_worker_that_dies_while_it_drives_is_replaced_in_that_row_and_its_rows_are_kept(make_env):
    env = make_env(config=EnvConfig(n_steps=100, step_info=False))
    model, noise = make_model(env), draw(300)
    actor = read_actor(model)
    env.restart(2)
    whole = env.drive(noise, actor)
    env.restart(2)
    kill_at(env, 1, 130)
    drive = env.drive(noise, actor)
    (death,) = env.deaths
    ((row, worker),) = [place for place, info in drive.infos.items() if "error" in info]
    assert worker == 1
    assert 130 <= row < 300
    assert "SIGKILL" in death.reason
    assert drive.infos[row, 1]["TimeLimit.truncated"]
    assert (drive.rewards[row, 1], drive.dones[row, 1]) == (0.0, True)
    for key, value in drive.observations.items():
        np.testing.assert_array_equal(value[: row + 1, 1], whole.observations[key][: row + 1, 1])
        np.testing.assert_array_equal(drive.infos[row, 1]["terminal_observation"][key], value[row, 1])
        np.testing.assert_array_equal(value[:, 0], whole.observations[key][:, 0])
    np.testing.assert_array_equal(drive.actions[: row + 1, 1], whole.actions[: row + 1, 1])
    np.testing.assert_array_equal(drive.rewards[:, 0], whole.rewards[:, 0])
    # Every whole episode before and after it is told, also those whose end the dead worker told.
    assert {place for place in drive.infos if place[1] == 1} == {(row, 1)} | {
        (int(end), 1) for end in np.flatnonzero(drive.dones[:, 1])
    }
    steps = np.diff([-1, *np.flatnonzero(whole.dones[: row + 1, 1]), row])
    assert death.n_steps in (steps[-1] - 1, steps[-1])
    clipped = np.clip(drive.actions[row - death.n_steps + (death.n_steps == steps[-1]) : row + 1, 1, 0], 0, 1)
    np.testing.assert_array_equal(death.last_actions, clipped[: death.n_steps][-50:])


def test_a_worker_that_is_stuck_while_it_drives_is_killed_in_time(make_env, monkeypatch):
    monkeypatch.setattr("roadsense.training.vec.pipe.ANSWER_LIMIT_S", 3.0)
    env = make_env()
    env.restart(0)
    kill_at(env, 0, 20, signal.SIGSTOP)
    drive = env.drive(draw(200))
    assert "stuck" in env.deaths[0].reason
    assert sum("error" in info for info in drive.infos.values()) == 1


def test_too_many_deaths_while_driving_stop_everything(make_env):
    env = make_env(max_deaths=0)
    env.restart(0)
    kill_at(env, 0, 20)
    with pytest.raises(SimulationError, match="at most 0 dead workers"):
        env.drive(draw(400))
    with pytest.raises(SimulationError, match="have ended"):
        env.drive(draw(1))


def test_learning_goes_on_after_a_death(make_env):
    env = make_env(config=EnvConfig(n_steps=100, step_info=False))
    model = make_model(env, rollout_steps=200)
    model.learn(200 * N)
    kill_at(env, 1, 50)
    model.learn(400 * N, reset_num_timesteps=False)
    assert len(env.deaths) == 1
    assert np.isfinite(model.rollout_buffer.returns).all()
    assert model.num_timesteps == 600 * N
