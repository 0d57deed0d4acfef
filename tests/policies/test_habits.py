"""Policies as people have them: named without a suffix, in a folder, normalised, answering with any kind of number."""

import shutil
import zipfile

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from roadsense.errors import InputError, RunError
from roadsense.evaluation.config import EvalConfig
from roadsense.policies.source import find_policy
from roadsense.policies.trained import load_policy
from tests.exporting.models import FlatSpaces, Spaces, draw
from tests.policies.test_any_policy import build


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    build("PPO").save("mine.zip")
    shutil.copy("mine.zip", "COPY.ZIP")
    shutil.copy("mine.zip", "mine_v1.5")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "own.py").write_text("def brake(observation):\n    return 0.3\n")
    return tmp_path


@pytest.mark.parametrize("name", ["mine", "~/mine", "~/mine.zip", "COPY.ZIP", "mine_v1.5", "./mine.zip"])
def test_a_zip_is_found_by_the_names_people_give_it(saved, name):
    EvalConfig(policy=name)
    np.testing.assert_array_equal(load_policy(name)(draw(3)), load_policy("mine.zip")(draw(3)))


@pytest.mark.parametrize("name", ["rules.own:brake", "rules/own.py:brake", "./rules/own.py:brake"])
def test_a_function_may_be_named_by_its_file(saved, name):
    EvalConfig(policy=name)
    assert load_policy(name)(draw(1)).item() == pytest.approx(0.3)


def test_rules_are_known_in_any_spelling():
    assert find_policy("Cautious-Rule").text == "cautious_rule"


def unpacked(folder):
    zipfile.ZipFile("mine.zip").extractall(folder / "unpacked")
    return "unpacked"


def run_in_a_zip(folder):
    with zipfile.ZipFile("run.zip", "w") as archive:
        archive.write("mine.zip", "first/model.zip")
    return "run.zip"


def weights_alone(folder):
    torch.save(build("PPO").policy.state_dict(), "policy.pth")
    return "policy.pth"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: ".", "Name one of its files, as .*COPY.ZIP"),
        (unpacked, "Pack it"),
        (run_in_a_zip, "Unpack it and name its folder"),
        (weights_alone, "weights without a network"),
        (lambda folder: "rules/own.py", "as my_module:my_policy"),
    ],
)
def test_what_is_nearly_a_policy_says_what_to_do(saved, make, said):
    with pytest.raises((InputError, RunError), match=said):
        load_policy(make(saved))


class Masked(Spaces):
    def step(self, action):
        return self._see(), 0.0, False, False, {}

    def reset(self, *, seed=None, options=None):
        return self._see(), {}

    def _see(self):
        seen = self.observation_space.sample()
        seen["peer_mask"] = np.round(seen["peer_mask"])
        return seen


class FlatMasked(FlatSpaces):
    step, reset = Masked.step, Masked.reset

    def _see(self):
        seen = self.observation_space.sample()
        seen[-8:] = np.round(seen[-8:])
        return seen


@pytest.mark.parametrize("kind", [Masked, FlatMasked])
@pytest.mark.parametrize("norm_obs", [True, False])
def test_a_policy_over_scaled_observations_is_refused_and_scaled_rewards_are_not(tmp_path, kind, norm_obs):
    env = VecNormalize(DummyVecEnv([kind]), norm_obs=norm_obs)
    model = PPO(
        "MultiInputPolicy" if kind is Masked else "MlpPolicy", env, n_steps=8, batch_size=8, device="cpu"
    ).learn(16)
    model.save(tmp_path / "model.zip")
    for given in (tmp_path / "model.zip", model):
        if norm_obs:
            with pytest.raises(RunError, match="norm_obs=False"):
                load_policy(given)
        else:
            assert load_policy(given)(draw(1)).shape == (1, 1)


@pytest.mark.parametrize(("name", "network"), [("PPO", {}), ("PPO", {"squash_output": True}), ("SAC", {})])
def test_exploration_that_depends_on_the_state_does_not_change_how_a_policy_acts(tmp_path, name, network):
    model = build(name, use_sde=True, policy_kwargs=network)
    model.save(tmp_path / "model.zip")
    seen = draw(5)
    np.testing.assert_allclose(
        load_policy(tmp_path / "model.zip")(seen), model.predict(seen, deterministic=True)[0], atol=1e-6
    )


ANSWERS = [
    (torch.tensor([0.25], requires_grad=True) * 1, 0.25),
    (torch.tensor(0.25, dtype=torch.bfloat16), 0.25),
    (np.float32(1.0000001), 1.0),
    (-1e-9, 0.0),
    ((np.array([0.25]), [], {}), 0.25),  # as RLlib's compute_single_action
]


@pytest.mark.parametrize(("answer", "action"), ANSWERS, ids=str)
def test_an_answer_may_be_any_number(answer, action):
    assert load_policy(lambda observation: answer)(draw(1)).item() == action


class Needy:
    def __init__(self, path):
        """A policy that cannot be made without an argument."""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda observation: 1 / 0, r"ZeroDivisionError: division by zero \(.*test_habits.py, line \d+\)"),
        (lambda observation, info: 0.0, "missing 1 required positional argument"),
        (lambda observation: observation[0], "KeyError: 0"),
        (Needy, "Needy: .* missing 1 required positional argument: 'path'"),
    ],
)
def test_an_error_of_ones_own_code_names_itself_and_its_place(given, said):
    with pytest.raises(InputError, match=said):
        load_policy(given)(draw(1))


def test_a_module_that_cannot_be_imported_says_why(saved):
    (saved / "broken.py").write_text("brake = undefined\n")
    with pytest.raises(InputError, match=r"broken:brake.*NameError"):
        load_policy("broken:brake")


@pytest.mark.parametrize("seen", [np.zeros(76), {"ego": np.zeros(4)}, ({"ego": 0}, {})], ids=["flat", "part", "pair"])
def test_what_is_no_observation_says_what_one_has(seen):
    with pytest.raises(InputError, match="ego, peer_mask, peers, got"):
        load_policy("cautious_rule")(seen)
