"""Evaluations on real roads: pairing, what the figures mean, what is written, and what is refused."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from gymnasium import spaces
from stable_baselines3 import PPO

from roadsense import evaluate as evaluation_module
from roadsense.envs.observation import Observation, observation_space
from roadsense.episodes import MUTED, POLICIES, POLICY, Plan, Worker
from roadsense.errors import InputError, RunError, ScenarioError, SimulationError
from roadsense.evaluate import EvalConfig, Evaluation, evaluate, open_evaluation, plan_episodes
from roadsense.policies.deep_sets import DeepSetsExtractor
from roadsense.policies.trained import load_controller

BASE_DIR = Path(__file__).parents[1] / "scenarios" / "base"
MAKE_TFLITE = """
import sys, tensorflow as tf
shapes = dict(ego=(1, 4), peers=(1, 8, 6), peer_mask=(1, 8))
class HalfBrakeIfHeard(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name=name) for name, shape in shapes.items()])
    def __call__(self, ego, peers, peer_mask):
        return 0.5 * tf.reduce_max(peer_mask, axis=1, keepdims=True) + 0 * (ego[:, :1] + peers[:, 0, :1])
module = HalfBrakeIfHeard()
converter = tf.lite.TFLiteConverter.from_concrete_functions([module.__call__.get_concrete_function()], module)
open(sys.argv[1], "wb").write(converter.convert())
"""


class SpacesOnly(gym.Env):
    """What PPO needs of an environment to be made."""

    def __init__(self, observation_space: spaces.Dict):
        self.observation_space = observation_space
        self.action_space = spaces.Box(0.0, 1.0, (1,), np.float32)


def save_untrained(path: Path, space: spaces.Dict) -> PPO:
    model = PPO(
        "MultiInputPolicy",
        SpacesOnly(space),
        policy_kwargs={"features_extractor_class": DeepSetsExtractor},
        seed=0,
        device="cpu",
    )
    model.save(path)
    return model


@pytest.fixture(scope="module")
def dataset_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("eval")
    for name in ("highway_fast", "urban_intersection"):
        shutil.copytree(BASE_DIR / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def config(dataset_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> EvalConfig:
    run_dir = tmp_path_factory.mktemp("run")
    save_untrained(run_dir / "model.zip", observation_space())
    return EvalConfig(
        str(run_dir), str(dataset_dir), episodes_per_scenario=2, calm_share=0.5, n_steps=60, workers=2, seed=3
    )


@pytest.fixture(scope="module")
def evaluation(config: EvalConfig) -> Evaluation:
    return evaluate(config)


@pytest.fixture(scope="module")
def tflite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tflite") / "policy.tflite"
    subprocess.run([sys.executable, "-c", MAKE_TFLITE, path], check=True, capture_output=True)
    return path


def test_every_policy_has_the_same_episodes(evaluation: Evaluation) -> None:
    table = evaluation.episodes
    assert list(evaluation.summary["policy"]) == list(POLICIES)
    assert len(table) == len(POLICIES) * 2 * 2
    assert set(table["error"]) == {""}
    drawn = ["sumo_seed", "hazard_forced", "hazard_car", "hazard_planned_s", "hazard_deceleration_mps2"]
    for _, rows in table.groupby(["scenario", "seed"]):
        assert len(rows) == len(POLICIES)
        assert (rows[drawn].nunique(dropna=False) == 1).all()
    drivers = table[table["policy"] != "perfect_driver"].groupby(["scenario", "seed"])["driver_reaction_time_s"]
    assert (drivers.nunique() == 1).all()
    assert table["seed"].nunique() == 4  # no seed is used for two scenarios


def test_hazards_are_forced_for_all_but_the_stated_share(config: EvalConfig, evaluation: Evaluation) -> None:
    assert evaluation.episodes.groupby("policy")["hazard_forced"].sum().eq(2).all()
    calm = evaluation.episodes[~evaluation.episodes["hazard_forced"]]
    assert not calm["hazard"].any()
    plans = plan_episodes(list(Path(config.dataset_dir).rglob("*.sumocfg")), replace(config, episodes_per_scenario=15))
    assert len(plans) == 2 * 15 * len(POLICIES)
    default = plan_episodes([plans[0].config_path], EvalConfig(config.run_dir))
    assert sum(plan.hazard for plan in default) == 12 * len(POLICIES)


def test_muted_policy_and_perfect_driver_are_what_they_say(evaluation: Evaluation) -> None:
    perfect = evaluation.episodes.query("policy == 'perfect_driver'")
    assert (perfect["driver_reaction_time_s"] == 0).all()
    always = evaluation.summary.set_index("policy").loc["always_brake"]
    assert always["false_braking_share"] == 1.0
    assert always["distance_m"] < evaluation.summary["distance_m"].max() / 2


def test_rows_do_not_depend_on_the_number_of_workers(config: EvalConfig, evaluation: Evaluation) -> None:
    again = evaluate(replace(config, workers=1))
    pd.testing.assert_frame_equal(again.episodes, evaluation.episodes)
    pd.testing.assert_frame_equal(again.summary, evaluation.summary)
    assert again.folder.name.startswith("evaluation_")  # what was there is kept


def test_another_seed_gives_other_episodes(config: EvalConfig) -> None:
    paths = sorted(Path(config.dataset_dir).rglob("*.sumocfg"))
    seeds = [{plan.seed for plan in plan_episodes(paths, replace(config, seed=seed))} for seed in (3, 3, 4)]
    assert seeds[0] == seeds[1]
    assert not seeds[0] & seeds[2]


def test_evaluation_is_written_whole_and_read_back(config: EvalConfig, evaluation: Evaluation) -> None:
    assert sorted(path.name for path in evaluation.folder.iterdir()) == [
        "claims.csv", "collision_rate.png", "config.json", "episodes.csv", "minimum_ttc.png",
        "outcomes_by_scenario.png", "summary.csv", "summary.md",
    ]  # fmt: skip
    read = open_evaluation(evaluation.folder)
    pd.testing.assert_frame_equal(read.episodes, evaluation.episodes, check_dtype=False)
    pd.testing.assert_frame_equal(read.summary, evaluation.summary, check_dtype=False)
    assert json.loads((evaluation.folder / "config.json").read_text())["seed"] == config.seed
    assert not list(Path(config.run_dir).glob(".*"))


def test_an_existing_evaluation_is_kept(evaluation: Evaluation, config: EvalConfig, tmp_path: Path) -> None:
    config = replace(config, run_dir=str(tmp_path))
    (tmp_path / "evaluation").mkdir()
    folders = [evaluation_module.write_evaluation(evaluation.episodes, config).folder for _ in range(2)]
    assert [folder.name for folder in folders] == ["evaluation", "evaluation_2"]  # an empty folder is nothing to lose


def test_command_prints_the_summary_and_judges_a_tflite(
    config: EvalConfig, tflite: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["--run_dir", str(tmp_path), "--dataset-dir", config.dataset_dir, "--policy", str(tflite)]
    numbers = {"episodes_per_scenario": 1, "calm_share": 0, "n_steps": 20, "workers": 1}
    arguments += [text for name, value in numbers.items() for text in (f"--{name}", str(value))]
    assert evaluation_module.main(arguments) == 0
    assert f"{tmp_path / 'evaluation'}" in capsys.readouterr().out
    rows = open_evaluation(tmp_path / "evaluation").summary.set_index("policy")
    assert rows.loc[POLICY, "false_braking_share"] > 0.5  # it brakes for whatever it hears,
    assert rows.loc[MUTED, "false_braking_share"] == 0.0  # and without a radio it hears nothing


def test_command_ends_with_one_line_and_the_code_of_the_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert evaluation_module.main(["--run_dir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: Expected a run with model.zip")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"episodes_per_scenario": 0}, {"n_steps": 0}, {"workers": -1}, {"seed": -1}, {"calm_share": 1.5},
        {"v2v": "telepathy"}, {"policy": "model.onnx"},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match="xpected"):
        EvalConfig("run", **wrong)


def test_missing_inputs_are_refused_before_anything_runs(config: EvalConfig, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="at least one"):
        evaluate(replace(config, dataset_dir=str(tmp_path)))
    with pytest.raises(RunError, match=r"model\.zip"):
        evaluate(replace(config, run_dir=str(tmp_path)))
    with pytest.raises(InputError, match="not there"):
        evaluate(replace(config, policy=str(tmp_path / "no.tflite")))
    with pytest.raises(RunError, match=r"episodes\.csv"):
        open_evaluation(tmp_path)


def test_files_that_are_no_policy_are_refused(tmp_path: Path) -> None:
    for name, error in {"model.zip": RunError, "policy.tflite": InputError}.items():
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(error, match="expected a"):
            load_controller(tmp_path / name)
    other = spaces.Dict({**observation_space(), "ego": spaces.Box(-5, 5, (3,), np.float32)})
    save_untrained(tmp_path / "model.zip", other)
    with pytest.raises(RunError, match="expected a policy over"):
        load_controller(tmp_path / "model.zip")


def test_loaded_policy_acts_as_it_predicts(tmp_path: Path) -> None:
    model = save_untrained(tmp_path / "model.zip", observation_space())
    model.policy.action_net.bias.data += 0.5  # into the middle of the actions, away from the clipping
    model.save(tmp_path / "model.zip")
    observation = Observation(**{name: np.stack([values] * 4) for name, values in observation_space().sample().items()})
    expected = model.predict(observation, deterministic=True)[0]
    np.testing.assert_allclose(load_controller(tmp_path / "model.zip")(observation), expected, atol=1e-6)


def test_workers_that_run_baselines_stay_without_torch(dataset_dir: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from roadsense.episodes import Plan, Worker, EnvConfig;"
        "row = Worker(EnvConfig(n_steps=2, step_info=False)).run(Plan('unassisted', Path(sys.argv[1]), 0, False));"
        "assert row['duration_s'] > 0; print(sorted({'torch', 'pandas', 'matplotlib', 'scipy'} & set(sys.modules)))"
    )
    path = dataset_dir / "highway_fast" / "scenario.sumocfg"
    done = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_worker_without_a_policy_says_so(dataset_dir: Path) -> None:
    with pytest.raises(SimulationError, match="file of a policy"):
        Worker(EvalConfig("run").env_config()).run(Plan(POLICY, next(dataset_dir.rglob("*.sumocfg")), 0, False))
