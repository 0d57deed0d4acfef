"""Values of settings are read as people write them, on the command line, in files, notebooks and Python."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from roadsense.augment.config import GenConfig
from roadsense.envs.config import EnvConfig, RewardWeights
from roadsense.errors import InputError
from roadsense.evaluation.config import EvalConfig
from roadsense.exporting.config import ExportConfig
from roadsense.training.train_config import TrainConfig
from roadsense.utils.command import parse_options
from roadsense.utils.words import take_pairs

TAKEN = [
    ({"total_timesteps": 1e6}, 1_000_000),
    ({"total_timesteps": "1e6"}, 1_000_000),
    ({"total_timesteps": "1,000,000"}, 1_000_000),
    ({"seed": np.int64(3)}, 3),
    ({"gamma": "0.9"}, 0.9),
    ({"gamma": np.float32(0.5)}, 0.5),
    ({"v2v_randomised": "false"}, False),
    ({"v2v_randomised": np.bool_(False)}, False),
    ({"run_dir": Path("runs/a")}, "runs/a"),
    ({"run_dir": "None"}, None),
    ({"hazard": None}, ""),
    ({"seeds": 3}, (3,)),
    ({"seeds": "1, 2"}, (1, 2)),
    ({"seeds": "[1, 2]"}, (1, 2)),
    ({"seeds": np.arange(2)}, (0, 1)),
    ({"seeds": None}, ()),
    ({"log": "mlflow"}, ("mlflow",)),
    ({"log": "none"}, ()),
    ({"algorithm": "PPO"}, "ppo"),
]


@pytest.mark.parametrize(("given", "value"), TAKEN, ids=str)
def test_a_setting_takes_what_means_its_value(given, value):
    (name,) = given
    found = getattr(TrainConfig(**given), name)
    assert found == value
    assert type(found) is type(value)


REFUSED = [
    ({"total_timesteps": "2M"}, "total_timesteps to be a whole number of at least 1, got '2M'"),
    ({"total_timesteps": 2.5}, "got 2.5"),
    ({"seed": True}, "seed to be a whole number from 0 to 4294967295, got True"),
    ({"gamma": "0,98"}, "gamma to be a number from 0 to 1, got '0,98'"),
    ({"v2v_randomised": "perhaps"}, "true or false, got 'perhaps'"),
    ({"seeds": "a,b"}, "seeds to be a whole number each, got 'a,b'"),
    ({"reward": len}, "module:name"),
    ({"v2v": 3}, "v2v to be a text, got 3"),
]


@pytest.mark.parametrize(("given", "said"), REFUSED, ids=str)
def test_what_means_no_value_is_refused_by_name(given, said):
    with pytest.raises(InputError, match=said):
        TrainConfig(**given)


def test_settings_inside_settings_may_be_a_mapping():
    assert EnvConfig(weights={"jerk": -1}).weights == RewardWeights(jerk=-1)
    with pytest.raises(InputError, match=r"RewardWeights, .*got \['jerky'\]"):
        EnvConfig(weights={"jerky": -1})
    with pytest.raises(InputError, match="weights to be a RewardWeights or a mapping"):
        EnvConfig(weights=3)


def test_a_generation_and_an_evaluation_take_the_same():
    assert (GenConfig(n_train="10", convoy=None).n_train, GenConfig(base_dir="scenarios/base").base_dir[0].name) == (
        10,
        "base",
    )
    assert ExportConfig(formats="tflite,onnx").formats == ("tflite", "onnx")
    assert EvalConfig(beside="default", episodes_per_scenario=2.0).beside == ("default",)


WORDS = [
    (["--total_timesteps", "1e6"], {"total_timesteps": 1_000_000}),
    (["--Total-Timesteps=2_000"], {"total_timesteps": 2000}),
    (["--N_WORKERS=3"], {"n_workers": 3}),
    (["--v2v_randomised", "false"], {"v2v_randomised": False}),
    (["--v2v-randomised=0", "--seed", "4"], {"v2v_randomised": False, "seed": 4}),
    (["--no-v2v-randomised", "False"], {"v2v_randomised": True}),
    (["--seeds", "1,2"], {"seeds": (1, 2)}),
    (["--seeds=[1, 2]"], {"seeds": (1, 2)}),
    (["--seeds", "1", "2"], {"seeds": (1, 2)}),
    (["--log", "mlflow,wandb"], {"log": ("mlflow", "wandb")}),
    (["--eval_dir", "none"], {"eval_dir": None}),
    (["--learning_rate", "1e-3"], {"learning_rate": 1e-3}),
    (["--run_dir", "a=b c,d"], {"run_dir": "a=b c,d"}),
]


@pytest.mark.parametrize(("words", "changed"), WORDS, ids=str)
def test_options_are_read_as_people_write_them(words, changed):
    assert parse_options(TrainConfig, "roadsense train", words) == dataclasses.replace(TrainConfig(), **changed)


def test_a_range_may_be_one_word():
    for words in (["--sigma", "0.1", "0.2"], ["--sigma", "0.1,0.2"], ["--sigma=(0.1, 0.2)"]):
        assert parse_options(GenConfig, "roadsense gen-scenarios", words).ranges.sigma == (0.1, 0.2)


def test_a_truth_behind_a_flag_is_no_policy():
    config = parse_options(EvalConfig, "roadsense evaluate", ["--trust", "true", "--beside=a,b"])
    assert (config.trust, config.beside, config.policy, config.run_dir) == (True, ("a", "b"), None, "")


UNKNOWN = [
    (["--dataset", "a"], "Expected an option of roadsense train, got --dataset. Did you mean --dataset_dir"),
    (["--gama=0.9"], "got --gama. Did you mean --gamma"),
    (["--total_timesteps", "2M"], "Expected total_timesteps to be a whole number, got '2M'"),
    (["--seeds", "0..4"], "Expected seeds to be a whole number, got '0..4'"),
]


@pytest.mark.parametrize(("words", "said"), UNKNOWN, ids=str)
def test_an_option_or_a_number_that_is_none_is_one_sentence(words, said):
    with pytest.raises(InputError, match=said):
        parse_options(TrainConfig, "roadsense train", words)


def test_a_pair_may_be_one_word():
    assert take_pairs(["a", "-p", "n_steps=3", "-p", "name", "-x=1"]) == ({"n_steps": "3", "name": "-x=1"}, ["a"])
