"""Evaluations on real roads: pairing, what the figures mean, what is written, and what is refused."""

import html
import json
import pickle
import re
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

from roadsense.cli import main
from roadsense.envs.observation import OBSERVATION_VERSION, Observation, observation_space
from roadsense.episodes.plan import MUTED, POLICY, Plan
from roadsense.episodes.run import Worker
from roadsense.episodes.trajectory import load_trajectory
from roadsense.errors import InputError, RunError, ScenarioError, SimulationError
from roadsense.evaluate import EvalConfig, Evaluation, evaluate_policy, open_evaluation, plan_episodes
from roadsense.evaluation.compare_runs import compare_runs
from roadsense.evaluation.conditions import CONDITIONS, HOME
from roadsense.evaluation.policies import POLICIES, RULES
from roadsense.evaluation.replay import replay_episode
from roadsense.evaluation.report import write_report
from roadsense.evaluation.writing import write_evaluation
from roadsense.policies.actor_policy import NumpyActor
from roadsense.policies.deep_sets import DeepSetsExtractor
from roadsense.policies.trained import load_policy
from roadsense.utils.files import hash_file

BASE_DIR = Path(__file__).parents[1] / "scenarios" / "base"
MAKE_TFLITE = """
import sys, tensorflow as tf
shapes = dict(ego=(1, 4), peers=(1, 8, 8), peer_mask=(1, 8))
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
    (run_dir / "manifest.json").write_text(json.dumps({"observation_version": OBSERVATION_VERSION}))
    return EvalConfig(
        str(run_dir), str(dataset_dir), episodes_per_scenario=2, calm_share=0.5, n_steps=60, workers=2, seed=3,
        split_episodes=1, curve_episodes=1, surroundings_episodes=1, gallery_size=2,
    )  # fmt: skip


@pytest.fixture(scope="module")
def evaluation(config: EvalConfig) -> Evaluation:
    return evaluate_policy(config)


@pytest.fixture(scope="module")
def tflite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tflite") / "policy.tflite"
    subprocess.run([sys.executable, "-c", MAKE_TFLITE, path], check=True, capture_output=True)
    return path


def test_every_policy_has_the_same_episodes(evaluation: Evaluation) -> None:
    table = evaluation.held_out
    assert list(evaluation.summary["policy"]) == list(POLICIES)
    assert len(table) == len(POLICIES) * 2 * 2
    assert set(evaluation.episodes["part"]) == {"held_out", "unseen", "checks_on", "condition", "loss", "latency"}
    assert set(table["error"]) == {""}
    drawn = ["sumo_seed", "hazard_forced", "hazard_car", "hazard_planned_s", "hazard_deceleration_mps2"]
    for _, rows in table.groupby(["scenario", "seed"]):
        assert len(rows) == len(POLICIES)
        assert (rows[drawn].nunique(dropna=False) == 1).all()
    drivers = table[table["policy"] != "perfect_driver"].groupby(["scenario", "seed"])["driver_reaction_time_s"]
    assert (drivers.nunique() == 1).all()
    assert table["seed"].nunique() == 4  # no seed is used for two scenarios


def test_hazards_are_forced_for_all_but_the_stated_share(config: EvalConfig, evaluation: Evaluation) -> None:
    assert evaluation.held_out.groupby("policy")["hazard_forced"].sum().eq(2).all()
    calm = evaluation.episodes[~evaluation.episodes["hazard_forced"]]
    assert not calm["hazard"].any()
    paths = sorted(Path(config.dataset_dir).rglob("*.sumocfg"))
    planned = plan_episodes(paths, EvalConfig(config.run_dir, config.dataset_dir))
    own = [one.plan for one in planned if one.part == "held_out"]
    assert len(own) == 2 * 15 * len(POLICIES)
    assert sum(plan.hazard for plan in own) == 2 * 12 * len(POLICIES)


def test_the_same_episodes_are_driven_with_sumos_checks_on(evaluation: Evaluation) -> None:
    off, on = (evaluation.episodes.query(f"part == '{part}'") for part in ("held_out", "checks_on"))
    drawn = ["policy", "scenario", "seed", "sumo_seed", "hazard_planned_s", "driver_reaction_time_s"]
    pd.testing.assert_frame_equal(off[drawn].reset_index(drop=True), on[drawn].reset_index(drop=True))
    assert on["sumo_checks"].all()
    assert not off["sumo_checks"].any()
    assert list(evaluation.checks_on["policy"]) == list(POLICIES)


def test_every_condition_is_driven_and_tabulated(evaluation: Evaluation) -> None:
    table, names = evaluation.conditions, [one.name for one in CONDITIONS]
    assert list(dict.fromkeys(table["condition"])) == [HOME, *names]
    assert set(table["policy"]) == {POLICY, "unassisted", *RULES}
    driven = evaluation.episodes.query("part == 'condition'")
    assert (driven["error"] == "").all()
    assert len(driven) == len(names) * (2 + len(RULES))
    assert driven["seed"].nunique() == 1  # all conditions have the same episodes
    by_name = driven[driven["policy"] == POLICY].set_index("condition")
    assert by_name.loc["all_equipped", "messages_heard"] > by_name.loc["convoy_only", "messages_heard"]
    assert (by_name.loc["radio_ideal", "messages_lost"], by_name.loc["radio_ideal", "radio_position_std_m"]) == (0, 0)
    said = [verdict for verdict in evaluation.verdicts if verdict.rule == "conditions"]
    assert len(said) == len(names)


def test_muted_policy_and_perfect_driver_are_what_they_say(evaluation: Evaluation) -> None:
    perfect = evaluation.held_out.query("policy == 'perfect_driver'")
    assert (perfect["driver_reaction_time_s"] == 0).all()
    muted = evaluation.held_out.query("policy == 'policy_muted'")
    assert (muted["messages_heard"] == 0).all()
    assert (muted["messages_lost"] > 0).all()
    always = evaluation.summary.set_index("policy").loc["always_brake"]
    assert always["false_braking_share"] == 1.0
    assert always["distance_m"] < evaluation.summary["distance_m"].max() / 2


def test_rows_do_not_depend_on_the_number_of_workers(config: EvalConfig, evaluation: Evaluation) -> None:
    less = {"curve_episodes": 0, "split_episodes": 0, "surroundings_episodes": 0, "gallery_size": 0}
    short = replace(config, workers=1, checks_column=False, **less)
    again = evaluate_policy(short)
    pd.testing.assert_frame_equal(again.episodes, evaluation.held_out.reset_index(drop=True))
    pd.testing.assert_frame_equal(again.summary, evaluation.summary)
    assert again.folder.name.startswith("evaluation_")  # what was there is kept


def test_another_seed_gives_other_episodes(config: EvalConfig) -> None:
    paths = sorted(Path(config.dataset_dir).rglob("*.sumocfg"))
    seeds = [{one.plan.seed for one in plan_episodes(paths, replace(config, seed=seed))} for seed in (3, 3, 4)]
    assert seeds[0] == seeds[1]
    assert not seeds[0] & seeds[2]


def test_evaluation_is_written_whole_and_read_back(config: EvalConfig, evaluation: Evaluation) -> None:
    assert sorted(path.name for path in evaluation.folder.iterdir()) == [
        "checks_on.csv", "collision_rate.png", "collision_rate.svg", "comparisons.csv", "conditions.csv", "config.json",
        "curves.csv",
        "degradation.png", "degradation.svg", "differences.png", "differences.svg", "episodes.parquet", "factors.csv",
        "factors.png", "factors.svg", "gallery", "minimum_ttc.png",
        "minimum_ttc.svg", "origin.json", "outcomes_by_scenario.png", "outcomes_by_scenario.svg", "report.html",
        "summary.csv", "summary.json", "summary.md", "trade_off.png", "trade_off.svg", "unseen.csv",
    ]  # fmt: skip
    read = open_evaluation(evaluation.folder)
    pd.testing.assert_frame_equal(read.episodes, evaluation.episodes)
    for name, table in evaluation.tables().items():
        pd.testing.assert_frame_equal(getattr(read, name), table)
    assert read.verdicts == evaluation.verdicts
    assert read.config == config
    summary = json.loads((evaluation.folder / "summary.json").read_text())
    assert summary["config"]["seed"] == config.seed
    assert summary["summary"][0]["collisions"] == evaluation.summary["collisions"][0]
    assert [verdict["text"] for verdict in summary["verdicts"]] == [verdict.text for verdict in evaluation.verdicts]
    assert summary["origin"]["policy_sha256"]["policy"] == hash_file(Path(config.run_dir) / "model.zip")
    assert not list(Path(config.run_dir).glob(".*"))


def test_the_report_stands_alone_and_escapes_what_it_shows(evaluation: Evaluation, tmp_path: Path) -> None:
    text = (evaluation.folder / "report.html").read_text()
    assert "<script" not in text
    assert not re.findall(r"""(?:src|href)=["'](?!data:image/png;base64,|#)""", text)
    assert text.count("data:image/png;base64,") == 7 + 2
    for verdict in evaluation.verdicts:
        assert html.escape(verdict.text).replace("&#x27;", "&#39;") in text
    assert evaluation.origin["policy_sha256"]["policy"] in text
    nasty = replace(evaluation, origin={"command": "<script>alert(1)</script>"})
    write_report(nasty, {}, [], tmp_path / "report.html")
    assert "<script>" not in (tmp_path / "report.html").read_text()


def test_the_gallery_holds_the_worst_and_each_is_replayed_exactly(
    evaluation: Evaluation, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    paths = sorted((evaluation.folder / "gallery").glob("episode_*.npz"))
    numbers = [int(path.stem.split("_")[1]) for path in paths]
    own = evaluation.held_out.query("policy == 'policy'")
    assert sorted(own.sort_values(["collision", "min_ttc_s"], ascending=[False, True]).index[:2]) == numbers
    trajectory = load_trajectory(evaluation.folder / "gallery" / f"episode_{numbers[0]:05d}.npz")
    row = evaluation.episodes.loc[numbers[0]]
    assert trajectory.facts["outcome"]["distance_m"] == row["distance_m"]
    assert f"roadsense replay {evaluation.folder} {numbers[0]}" in (evaluation.folder / "report.html").read_text()
    saved = tmp_path / "again.npz"
    assert main(["replay", str(evaluation.folder), str(numbers[0]), "--save", str(saved)]) == 0
    assert "the same as before in every figure" in capsys.readouterr().out
    again = load_trajectory(saved)
    for name in ("x_m", "y_m", "speed_mps", "message_heard_step"):
        np.testing.assert_array_equal(getattr(again, name), getattr(trajectory, name))


@pytest.mark.parametrize("where", ["part == 'checks_on'", "condition == 'noisy_own' and policy == 'policy'",
                                   "condition == 'decoys'", "condition == 'noisy_messages'",
                                   "condition == 'sensors_worst'", "part == 'latency' and curve_value == 0.5",
                                   "part == 'held_out' and policy == 'perfect_driver'",
                                   "part == 'held_out' and policy == 'policy_muted'"])  # fmt: skip
def test_any_row_of_the_table_is_replayed_exactly(evaluation: Evaluation, where: str) -> None:
    number = int(evaluation.episodes.query(where).index[-1])
    row, differs = replay_episode(evaluation, number)
    assert row["policy"] == evaluation.episodes.loc[number, "policy"]
    assert differs == []


def test_what_cannot_be_replayed_is_said(evaluation: Evaluation, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="number of an episode"):
        replay_episode(evaluation, len(evaluation.episodes))
    number = int(evaluation.held_out.query("policy == 'policy'").index[0])
    other = replace(evaluation, origin={**evaluation.origin, "policy_sha256": {"policy": "0" * 64}})
    with pytest.raises(RunError, match="has changed"):
        replay_episode(other, number)
    moved = evaluation.episodes.assign(config_path=str(tmp_path / "scenario.sumocfg"))
    with pytest.raises(InputError, match="not there"):
        replay_episode(replace(evaluation, episodes=moved), number)
    changed = evaluation.episodes.assign(min_gap_m=evaluation.episodes["min_gap_m"] + 1.0)
    assert replay_episode(replace(evaluation, episodes=changed), number)[1] == ["min_gap_m"]


def test_an_existing_evaluation_is_kept(evaluation: Evaluation, config: EvalConfig, tmp_path: Path) -> None:
    placed = replace(evaluation, config=replace(config, run_dir=str(tmp_path)))
    (tmp_path / "evaluation").mkdir()
    folders = [write_evaluation(placed).folder for _ in range(2)]
    assert [folder.name for folder in folders] == ["evaluation", "evaluation_2"]  # an empty folder is nothing to lose
    found = compare_runs(tmp_path, evaluation.folder)
    assert (found.table["difference"].dropna() == 0).all()
    assert found.sentences[-1] == "No difference between them is shown."
    assert main(["compare", str(tmp_path), str(config.run_dir)]) == 0
    assert main(["compare", str(tmp_path), str(tmp_path / "nothing")]) == 2


def test_an_evaluation_ends_whose_rows_another_process_has_taken_in(
    config: EvalConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = dict.fromkeys(("split_episodes", "curve_episodes", "surroundings_episodes", "gallery_size"), 0)
    run_dir = shutil.copytree(config.run_dir, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation*", ".*"))
    short = replace(config, run_dir=str(run_dir), episodes_per_scenario=1, n_steps=20, checks_column=False, **parts)

    def write_after_the_other(found: Evaluation, gallery: object) -> Evaluation:
        for path in run_dir.glob(".episodes_*"):
            path.unlink()
        return found

    monkeypatch.setattr("roadsense.evaluate.write_evaluation", write_after_the_other)
    assert len(evaluate_policy(short).episodes)


def test_command_prints_the_summary_and_judges_a_tflite(
    config: EvalConfig, tflite: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["--run_dir", str(tmp_path), "--dataset-dir", config.dataset_dir, "--policy", str(tflite)]
    arguments += ["--beside", config.run_dir, "--no-checks-column"]
    numbers = {"episodes_per_scenario": 1, "calm_share": 0, "n_steps": 20, "workers": 1, "curve_episodes": 0}
    numbers |= {"split_episodes": 0, "surroundings_episodes": 0, "gallery_size": 0}
    arguments += [text for name, value in numbers.items() for text in (f"--{name}", str(value))]
    assert main(["evaluate", *arguments]) == 0
    assert f"{tmp_path / 'evaluation'}" in capsys.readouterr().out
    rows = open_evaluation(tmp_path / "evaluation").summary.set_index("policy")
    assert rows.loc[POLICY, "false_braking_share"] > 0.5  # it brakes for whatever it hears,
    assert rows.loc[MUTED, "false_braking_share"] == 0.0  # and without a radio it hears nothing
    assert rows.loc[Path(config.run_dir).name, "kind"] == "another run"


def test_command_ends_with_one_line_and_the_code_of_the_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["evaluate", "--run_dir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: Expected a run with model.zip")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"episodes_per_scenario": 0}, {"n_steps": 0}, {"workers": -1}, {"seed": -1}, {"calm_share": 1.5},
        {"v2v": "telepathy"}, {"drivers": "angels"}, {"penetration": 2.0},
        {"policy": "model.onnx"}, {"claimed_rate": 0.0}, {"curve_episodes": -1}, {"surroundings_episodes": -1},
        {"surroundings": "the moon"}, {"sensors": "telepathy"},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match="xpected"):
        EvalConfig("run", **wrong)


def test_missing_inputs_are_refused_before_anything_runs(config: EvalConfig, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="at least one"):
        evaluate_policy(replace(config, dataset_dir=str(tmp_path)))
    with pytest.raises(RunError, match=r"model\.zip"):
        evaluate_policy(replace(config, run_dir=str(tmp_path)))
    with pytest.raises(InputError, match="not there"):
        evaluate_policy(replace(config, policy=str(tmp_path / "no.tflite")))
    with pytest.raises(RunError, match=r"episodes\.parquet"):
        open_evaluation(tmp_path)
    with pytest.raises(InputError, match="names that differ"):
        evaluate_policy(replace(config, beside=(config.run_dir, config.run_dir)))


def test_files_that_are_no_policy_are_refused(tmp_path: Path) -> None:
    for name, error in {"model.zip": RunError, "policy.tflite": InputError}.items():
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(error, match="expected a"):
            load_policy(tmp_path / name)
    other = spaces.Dict({**observation_space(), "ego": spaces.Box(-5, 5, (3,), np.float32)})
    save_untrained(tmp_path / "model.zip", other)
    with pytest.raises(RunError, match="expected a policy over"):
        load_policy(tmp_path / "model.zip")


def test_loaded_policy_acts_as_it_predicts(tmp_path: Path) -> None:
    model = save_untrained(tmp_path / "model.zip", observation_space())
    model.policy.action_net.bias.data += 0.5  # into the middle of the actions, away from the clipping
    model.save(tmp_path / "model.zip")
    rng = np.random.default_rng(0)
    mask = (rng.uniform(size=(6, 8)) < 0.5).astype(np.float32)  # who is not heard is a row of 0
    observation = Observation(
        ego=rng.normal(size=(6, 4)).astype(np.float32),
        peers=rng.normal(size=(6, 8, 8)).astype(np.float32) * mask[..., None],
        peer_mask=mask,
    )
    expected = model.predict(observation, deterministic=True)[0]
    loaded = load_policy(tmp_path / "model.zip")
    assert isinstance(loaded, NumpyActor)
    np.testing.assert_allclose(loaded(observation), expected, atol=1e-6)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(loaded))(observation), loaded(observation))


def test_a_network_of_other_parts_is_run_by_its_library(tmp_path: Path) -> None:
    model = PPO("MultiInputPolicy", SpacesOnly(observation_space()), seed=0, device="cpu")
    model.policy.action_net.bias.data += 0.5  # into the middle of the actions, away from the clipping
    model.save(tmp_path / "model.zip")
    loaded = pickle.loads(pickle.dumps(load_policy(tmp_path / "model.zip")))
    observation = Observation(
        ego=np.full((2, 4), 0.3, np.float32),
        peers=np.full((2, 8, 8), 0.2, np.float32),
        peer_mask=np.ones((2, 8), np.float32),
    )
    expected = model.predict(observation, deterministic=True)[0]
    assert (expected > 0.3).all()
    np.testing.assert_allclose(loaded(observation), expected, atol=1e-6)


def test_workers_that_run_baselines_stay_without_torch(dataset_dir: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from roadsense.episodes.run import Plan, Worker, EnvConfig;"
        "row = Worker(EnvConfig(n_steps=2, step_info=False)).run(Plan('unassisted', Path(sys.argv[1]), 0, False));"
        "assert row['duration_s'] > 0; print(sorted({'torch', 'pandas', 'matplotlib', 'scipy'} & set(sys.modules)))"
    )
    path = dataset_dir / "highway_fast" / "scenario.sumocfg"
    done = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_worker_without_a_policy_says_so(dataset_dir: Path) -> None:
    with pytest.raises(SimulationError, match="file of a policy"):
        Worker(EvalConfig("run").env_config()).run(Plan(POLICY, next(dataset_dir.rglob("*.sumocfg")), 0, False))
