"""Several seeds as one experiment: real tiny trainings, their score as a job's output tells it, and the best one."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from roadsense.jobs.aws.sagemaker.request import build_tuning_request
from roadsense.runs.experiment import (
    EXPERIMENT_NAME,
    MEAN_SCORE,
    WORST_SCORE,
    find_best_folder,
    find_current_folder,
    is_experiment,
    is_trained,
    read_last_score,
    score_seeds,
)
from roadsense.runs.metric_lines import METRIC_VARIABLE
from roadsense.runs.run import Run, create_run, read_seeds
from roadsense.train_convoy import TrainConfig, train_policy, train_seeds
from roadsense.training.search import SearchConfig
from tests.jobs.test_sagemaker_request import PLACE, search
from tests.small_training import TINY

SMALL = {**TINY, "total_timesteps": 128, "eval_interval": 64, "eval_episodes": 2}
SEEDS = (3, 4)


@pytest.fixture(scope="module")
def trained(small_dataset, tmp_path_factory):
    """An experiment trained as a program of its own, with its output as a job's."""
    folder = tmp_path_factory.mktemp("experiment") / "all"
    options = {**SMALL, "dataset_dir": small_dataset.folder, "run_dir": folder}
    command = [sys.executable, "-m", "roadsense.train_convoy", *(f"--{name}={each}" for name, each in options.items())]
    done = subprocess.run(
        [*command, "--seeds", *map(str, SEEDS)],
        env={**os.environ, METRIC_VARIABLE: "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return folder, done.stdout


def find_regexes(objective):
    request = build_tuning_request(search(objective=objective, seeds=SEEDS), PLACE).content
    wanted = request["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]["MetricName"]
    defined = request["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"]
    return {each["Name"]: each["Regex"] for each in defined}, wanted


@pytest.mark.parametrize("objective", [None, WORST_SCORE])
def test_the_submitted_expression_reads_one_score_over_the_seeds_from_real_output(trained, objective):
    folder, output = trained
    scores = [read_last_score(folder / f"seed_{seed}") for seed in SEEDS]
    expected = min(scores) if objective else sum(scores) / len(scores)
    regexes, wanted = find_regexes(objective)
    values = [float(value) for value in re.findall(regexes[wanted], output)]
    assert len(values) > len(SEEDS)  # one for each evaluation
    assert values[-1] == pytest.approx(expected, abs=1e-8)
    of_seeds = [float(value) for value in re.findall(regexes["eval_score"], output)]
    assert len(of_seeds) == len(values)
    assert values[0] == of_seeds[0]  # with one seed judged, it is that one's


def test_the_output_tells_what_the_runs_keep(trained):
    folder, output = trained
    regexes, _ = find_regexes(None)
    table = read_seeds(folder)
    for name in ("timesteps", "eval_timesteps", "eval_collision_rate", "eval_false_braking_share", MEAN_SCORE):
        told = [float(value) for value in re.findall(regexes[name], output)]
        assert sorted(told) == pytest.approx(sorted(table[name].dropna()))


def test_the_best_run_is_that_of_the_best_score(trained):
    folder, _ = trained
    best = max((read_last_score(each), each.name) for each in folder.glob("seed_*"))
    assert read_last_score(find_best_folder(folder)) == best[0]
    assert find_best_folder(folder / "seed_3") == folder / "seed_3"
    assert find_current_folder(folder).name == "seed_4"
    assert is_trained(folder)


@pytest.mark.parametrize(
    "left",
    [
        [".config.json.part"],
        ["config.json", ".manifest.json.part"],
        ["config.json", "manifest.json"],
    ],
    ids=" ".join,
)
def test_an_experiment_whose_second_run_died_while_it_was_made_is_resumed(left, trained, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "all")
    second = folder / "seed_4"
    expected = read_scores(second)
    contents = {path.name: path.read_text() for path in second.glob("*.json")}
    shutil.rmtree(second)
    second.mkdir()
    for name in left:
        (second / name).write_text(contents.get(name, "{"))
    train_policy(TrainConfig(resume=str(folder)))
    assert is_trained(folder)
    assert read_scores(second) == expected


def test_an_experiment_that_died_while_its_settings_were_written_is_begun_anew(small_dataset, tmp_path):
    (tmp_path / f".{EXPERIMENT_NAME}.part").write_text("{")
    tiny = {**TINY, "dataset_dir": str(small_dataset.folder), "run_dir": str(tmp_path)}
    train_policy(TrainConfig(**tiny, seeds=(3,)))
    assert is_trained(tmp_path)


def test_an_experiment_and_its_runs_lie_in_the_workspace_from_a_notebooks_folder(tmp_path, monkeypatch):
    for name in ("notebooks", "scenarios"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    folder, asked = tmp_path / "runs" / "three", []
    monkeypatch.setattr("roadsense.train_convoy._train", lambda config, _: asked.append(config) or Run(folder))
    train_seeds(TrainConfig(run_dir="runs/three", seeds=(0, 1), n_workers=1))
    assert is_experiment(folder)
    assert [create_run(one.run_dir, one, {}).folder for one in asked] == [folder / "seed_0", folder / "seed_1"]
    asked.clear()
    for name in ("seed_0", "seed_1"):
        (folder / name / "manifest.json").unlink()
    train_policy(TrainConfig(resume="runs/three"))
    assert len(asked) == 2
    assert SearchConfig("runs/search").search_dir == tmp_path / "runs" / "search"


def test_resumed_later_seeds_take_earlier_scores_into_account(trained, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "all")
    before = read_scores(folder / "seed_4")
    shutil.rmtree(folder / "seed_4")
    assert not is_trained(folder)
    best = train_policy(TrainConfig(resume=str(folder))).folder
    assert best.name == find_best_folder(trained[0]).name
    assert read_scores(folder / "seed_4") == before


def read_scores(folder):
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [row[MEAN_SCORE] for row in rows if MEAN_SCORE in row]


def test_scores_over_seeds():
    assert score_seeds([0.5]) == {MEAN_SCORE: 0.5, WORST_SCORE: 0.5}
    assert score_seeds([0.5, 0.2, -0.1]) == {MEAN_SCORE: pytest.approx(0.2), WORST_SCORE: -0.1}
