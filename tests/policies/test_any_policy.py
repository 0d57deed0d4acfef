"""Whatever is named as a policy becomes one function of observations, or is refused with a reason."""

import json
import pickle
import subprocess
import sys
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import sb3_contrib
import stable_baselines3
import torch
from gymnasium import spaces

from roadsense.envs.observation import KNOWN_VERSIONS, OBSERVATION_VERSION, observation_space
from roadsense.errors import InputError, RunError
from roadsense.policies.guard import take_alone
from roadsense.policies.models import as_model_input, load_model
from roadsense.policies.rules import BASELINES
from roadsense.policies.source import find_policy
from roadsense.policies.trained import load_policy
from tests.exporting.models import FlatSpaces, OtherSpaces, Spaces, draw

ALGORITHMS = {
    "PPO": (Spaces, {}),
    "A2C": (Spaces, {}),
    "TRPO": (Spaces, {}),
    "SAC": (Spaces, {"buffer_size": 10}),
    "TQC": (FlatSpaces, {"buffer_size": 10}),
    "TD3": (Spaces, {"buffer_size": 10}),
    "DDPG": (FlatSpaces, {"buffer_size": 10}),
    "CrossQ": (FlatSpaces, {"buffer_size": 10}),
    "ARS": (FlatSpaces, {}),
}


class SortedSpaces(Spaces):
    observation_space = spaces.Dict(**dict(sorted(observation_space().items())))


class SpacesOf2(Spaces):
    observation_space = observation_space(2)


class StepsOfBraking(Spaces):
    action_space = spaces.Discrete(5)


class BothPedals(Spaces):
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)


def build(name, env=None, policy=None, **changes):
    """A model as the library makes it by itself, with nothing of this project."""
    kind = getattr(stable_baselines3, name, None) or getattr(sb3_contrib, name)
    space, settings = ALGORITHMS.get(name, (Spaces, {"buffer_size": 10} if "DQN" in name else {}))
    space = env or space
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        default = "MlpPolicy" if issubclass(space, FlatSpaces) else "MultiInputPolicy"
        return kind(policy or default, space(), seed=0, device="cpu", **settings, **changes)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_acts_as_its_library_does_without_trust(tmp_path, name):
    model = build(name)
    model.save(tmp_path / "model.zip")
    observations = draw(12)
    expected = model.predict(as_model_input(model, observations), deterministic=True)[0]
    loaded = load_policy(tmp_path / "model.zip")
    np.testing.assert_allclose(loaded(observations), expected, atol=1e-6)
    again = pickle.loads(pickle.dumps(loaded))
    np.testing.assert_array_equal(again(observations), loaded(observations))
    np.testing.assert_allclose(load_policy(model)(observations), expected, atol=1e-6)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(load_policy(model)))(observations), expected, atol=1e-6)


def test_trust_opens_a_policy_whose_class_is_the_users(tmp_path, capsys):
    class Mine(stable_baselines3.sac.policies.MultiInputPolicy):
        pass

    model = build("SAC", policy=Mine)
    model.save(tmp_path / "model.zip")
    loaded = load_policy(tmp_path / "model.zip", trust=True)
    expected = model.predict(draw(5), deterministic=True)[0]
    np.testing.assert_allclose(loaded(draw(5)), expected, atol=1e-6)
    assert "sha256" in capsys.readouterr().err


def test_a_policy_with_a_memory_is_refused_by_name(tmp_path):
    model = build("RecurrentPPO", policy="MultiInputLstmPolicy")
    model.save(tmp_path / "model.zip")
    for given in (tmp_path / "model.zip", model):
        with pytest.raises(RunError, match="RecurrentPPO"):
            load_policy(given)


@contextmanager
def edited_settings(path, other):
    """The settings in a policy's zip, to edit; the rest is written into another zip as it is."""
    with zipfile.ZipFile(path) as given, zipfile.ZipFile(other, "w") as written:
        settings = json.loads(given.read("data"))
        yield settings
        for name in given.namelist():
            written.writestr(name, json.dumps(settings) if name == "data" else given.read(name))


def test_an_algorithm_with_other_actions_is_refused_with_those_that_fit(tmp_path):
    model = build("PPO")
    model.save(tmp_path / "model.zip")
    with edited_settings(tmp_path / "model.zip", tmp_path / "dqn.zip") as settings:
        settings["policy_class"]["__module__"] = "stable_baselines3.dqn.policies"
    with pytest.raises(RunError, match=r"as of PPO, .*, got one of stable_baselines3\.dqn\.policies"):
        load_policy(tmp_path / "dqn.zip")


def test_the_spaces_tell_another_observation(tmp_path):
    model = build("PPO", OtherSpaces)
    model.save(tmp_path / "model.zip")
    with pytest.raises(RunError, match="expected a policy over"):
        load_policy(tmp_path / "model.zip")
    with pytest.raises(RunError, match=f"observation version {OBSERVATION_VERSION}"):
        load_policy(model)


FOREIGN = {
    "other activation": ("PPO", None, None, {"activation_fn": torch.nn.ELU, "net_arch": [10, 20, 30]}),
    "no hidden layer": ("PPO", None, None, {"net_arch": []}),
    "own layers for the value": ("PPO", None, None, {"net_arch": {"pi": [8], "vf": [16, 16]}}),
    "layers of old": ("PPO", None, None, {"net_arch": [{"pi": [8], "vf": [16, 16]}]}),
    "no shared extractor": ("PPO", None, None, {"share_features_extractor": False, "ortho_init": False}),
    "shared extractor": ("SAC", None, None, {"share_features_extractor": True, "clip_mean": 1.0}),
    "fewer critics": ("TQC", None, None, {"n_critics": 1, "n_quantiles": 7}),
    "linear": ("ARS", None, "LinearPolicy", {}),
    "no bias": ("ARS", None, None, {"net_arch": [16], "with_bias": False}),
    "other order": ("PPO", SortedSpaces, None, {}),
    "version 2": ("PPO", SpacesOf2, None, {}),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_networks_of_others_act_as_in_their_library_without_trust(tmp_path, name):
    algorithm, env, policy, kwargs = FOREIGN[name]
    model = build(algorithm, env, policy, policy_kwargs=kwargs)
    with torch.no_grad():
        for weight in model.policy.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    model.save(tmp_path / "model.zip")
    observations = draw(50)
    expected = model.predict(as_model_input(model, observations), deterministic=True)[0]
    assert expected.std() > 0.01
    np.testing.assert_allclose(load_policy(tmp_path / "model.zip")(observations), expected, atol=1e-5)


def test_a_zip_of_an_older_gymnasium_is_opened_in_its_own_order_of_inputs(tmp_path):
    model = build("PPO", SortedSpaces)
    model.save(tmp_path / "new.zip")
    with edited_settings(tmp_path / "new.zip", tmp_path / "old.zip") as settings:
        pairs = [f"('{part}', {space})" for part, space in SortedSpaces.observation_space.items()]
        settings["observation_space"]["spaces"] = f"OrderedDict([{', '.join(pairs)}])"
    expected = model.predict(draw(20), deterministic=True)[0]
    np.testing.assert_allclose(load_policy(tmp_path / "old.zip")(draw(20)), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "env", "words"),
    [
        ("PPO", StepsOfBraking, "the action Discrete"),
        ("A2C", BothPedals, r"the action Box of shape \(1,\) from .-1.. to .1.."),
        ("PPO", OtherSpaces, r"got one over \{'ego': Box\(-5.0, 5.0, \(3,\)"),
        ("DQN", StepsOfBraking, r"as of PPO, .* got one of stable_baselines3\.dqn"),
        ("QRDQN", StepsOfBraking, r"got one of sb3_contrib\.qrdqn"),
    ],
)
def test_other_spaces_are_named_and_trust_is_not_advised(tmp_path, name, env, words):
    build(name, env).save(tmp_path / "model.zip")
    with pytest.raises(RunError, match=words) as caught:
        load_policy(tmp_path / "model.zip")
    assert "--trust" not in str(caught.value)


def test_a_folder_that_states_no_version_is_judged_by_the_spaces(tmp_path):
    build("PPO").save(tmp_path / "model.zip")
    assert find_policy(tmp_path).path == tmp_path / "model.zip"
    load_policy(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"observation_version": OBSERVATION_VERSION + 1}))
    with pytest.raises(RunError, match=f"observation version {KNOWN_VERSIONS}, got {OBSERVATION_VERSION + 1}"):
        load_policy(tmp_path)


@pytest.mark.parametrize("name", BASELINES)
def test_a_batch_gives_a_batch_and_one_gives_one(name):
    policy = load_policy(name)
    batch = draw(6)
    one = {key: values[2] for key, values in batch.items()}
    assert policy(batch).shape == (6, 1)
    assert policy(one).shape == (1,)
    np.testing.assert_array_equal(policy(one), policy(batch)[2])
    action, state = policy.predict(one, deterministic=True)
    np.testing.assert_array_equal(action, policy(one))
    assert state is None
    assert take_alone(one)["ego"].shape == (1, *one["ego"].shape)


OWN = """
import numpy as np

def brake(observation):
    return 0.5 if observation["ego"].shape == (observation["ego"].size,) and observation["ego"][0] > 0 else 0.0

class Steady:
    def predict(self, observation, deterministic=False):
        return np.array([0.25 if deterministic else 0.0]), None

class Remembers:
    def predict(self, observation):
        return [0.1], "state"

too_much = lambda observation: 1.5
nothing = 3
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return name


def test_a_function_and_a_class_of_ones_own(own_module):
    batch = draw(8)
    expected = np.where(batch["ego"][:, :1] > 0, np.float32(0.5), np.float32(0.0))
    policy = load_policy(f"{own_module}:brake")
    np.testing.assert_array_equal(policy(batch), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(policy))(batch), expected)
    assert (load_policy(f"{own_module}:Steady")(batch) == 0.25).all()
    assert (load_policy(lambda observation: np.float32(0.75))(batch) == 0.75).all()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("too_much", "from 0 to 1, got 1.5"),
        ("Remembers", "recurrent"),
        ("nothing", "function"),
        ("gone", "as module:name"),
    ],
)
def test_what_is_no_policy_says_so(own_module, name, words):
    with pytest.raises(InputError, match=words):
        load_policy(f"{own_module}:{name}")(draw(1))


def test_own_code_is_found_in_another_process(own_module):
    content = pickle.dumps(load_policy(f"{own_module}:Steady"))
    code = "import pickle, sys; print(type(pickle.load(sys.stdin.buffer)).__name__)"
    done = subprocess.run([sys.executable, "-c", code], input=content, capture_output=True, check=False)
    assert not done.stderr.decode()
    assert done.stdout.decode().strip() == "OwnPolicy"


@pytest.mark.parametrize("given", ["nobody", "model.onnx", "runs/none", 3, "no_such_module:name"])
def test_what_cannot_be_found_names_what_can(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="xpected"):
        load_policy(given)


def test_digests_follow_what_acts(own_module, tmp_path):
    build("PPO").save(tmp_path / "model.zip")
    assert find_policy("model.zip").digest() == find_policy(tmp_path / "model.zip").digest()
    rules = {find_policy(name).digest() for name in BASELINES}
    assert len(rules) == len(BASELINES)
    before = find_policy(f"{own_module}:brake").digest()
    Path(f"{own_module}.py").write_text(OWN + "# changed\n")
    assert find_policy(f"{own_module}:brake").digest() != before
    with pytest.raises(InputError, match="pickled"):
        find_policy(lambda observation: 0.0).digest()


def test_without_the_library_a_zip_says_what_to_install(tmp_path, monkeypatch):
    build("PPO").save(tmp_path / "model.zip")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"roadsense\[train\]"):
        load_model(tmp_path / "model.zip")
