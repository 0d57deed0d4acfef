"""A tuning job of fifty trials from the request to the judged model, on an engine that does what SageMaker does."""

import contextlib
import io
from dataclasses import replace

import boto3
import pandas as pd
import pytest

from roadsense.evaluation.results import find_evaluations, open_evaluation
from roadsense.jobs.sagemaker import SageMakerTarget
from roadsense.jobs.sagemaker_trials import find_best, read_trials
from roadsense.jobs.sagemaker_tuning import TuningConfig
from roadsense.jobs.tune_command import main
from roadsense.runs.experiment import is_trained, read_last_score
from roadsense.runs.run import open_run
from roadsense.training.lineage import trace_lineage
from roadsense.training.search_space import Choice, SearchSpace
from tests.jobs.sagemaker_stand_in import Story, told
from tests.jobs.test_sagemaker import REGION
from tests.jobs.test_sagemaker_request import TUNING_SPEC
from tests.jobs.tuner_engine import Engine
from tests.small_training import train_tiny

N_TRIALS, N_REAL, N_FAILING = 50, 2, 1
SEEDS = (5, 6)
TINY = {
    "total_timesteps": 64, "imitation_timesteps": 0, "n_workers": 2, "eval_interval": 64, "eval_episodes": 2,
    "episode_steps": 40, "log_interval": 1,
}  # fmt: skip
SPACE = SearchSpace(rollout_steps=Choice((32,)), batch_size=Choice((32, 64)), schedule=Choice(("linear", "cosine")))
PROTOCOL = {"episodes_per_scenario": 1, "n_steps": 60, "split_episodes": 1, "curve_episodes": 1, "gallery_size": 1}


@pytest.fixture
def played(aws, small_dataset, tmp_path):
    """The tuning job, submitted over HTTP and played to its end."""
    with told(Story()) as story:
        boto3.client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        spec = replace(TUNING_SPEC, dataset=str(small_dataset.folder), parameters=TINY)
        config = TuningConfig(n_trials=N_TRIALS, n_parallel=5, seeds=SEEDS, seed=1)
        name = SageMakerTarget().submit_tuning(spec, config, SPACE)
        engine = Engine(story.requests[name], story, tmp_path / "containers")
        yield name, engine, engine.play(N_REAL, N_FAILING)


def run(*words):
    """Runs `roadsense job tune`; returns what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(list(words)) == 0
    return printed.getvalue()


def test_fifty_trials_from_the_request_to_the_judged_model(played, small_dataset, tmp_path, capfd):
    name, engine, trials = played
    assert engine.objective == "experiment_score"
    real, failed = trials[:N_REAL], trials[N_REAL]
    assert all(len(trial.values) == len(SEEDS) for trial in real), [trial.log[-2000:] for trial in real]
    assert failed.status == "Failed"

    listed = read_trials(name)
    assert len(listed) == N_TRIALS
    assert [trial.score for trial in listed[:2]] == sorted((t.score for t in listed[:2]), reverse=True)
    (bad,) = (trial for trial in listed if trial.status == "Failed")
    assert "exit code" in bad.reason
    assert "manifest" in bad.reason
    n_early = sum(trial.status == "Stopped" for trial in listed)
    assert 5 < n_early < 40

    text = run("--job", name, "--output_dir", str(tmp_path / "shown"))
    assert len(text.splitlines()) == 1 + N_TRIALS
    table = pd.read_csv(tmp_path / "shown" / "trials.csv")
    assert table["experiment_score"].dropna().is_monotonic_decreasing
    assert table["learning_rate"].between(1e-4, 2e-3).all()
    assert (tmp_path / "shown" / "trials.png").stat().st_size > 20_000

    best = find_best(name)
    assert best.job in [trial.job for trial in real]
    default = train_tiny(tmp_path / "default", dataset_dir=str(small_dataset.folder), total_timesteps=64)
    protocol = [word for pair in PROTOCOL.items() for word in ("-e", pair[0], str(pair[1]))]
    text = run(
        "--job", name, "--fetch_best", str(tmp_path / "best"), "--eval_dir", str(small_dataset.folder / "eval"),
        "--beside", str(default.folder), *protocol,
    )  # fmt: skip
    experiment = tmp_path / "best" / "model"
    assert is_trained(experiment)
    scores = {seed: read_last_score(experiment / f"seed_{seed}") for seed in SEEDS}
    assert sum(scores.values()) / len(scores) == pytest.approx(best.score, abs=1e-8)

    fetched = open_run(experiment / f"seed_{max(scores, key=lambda seed: scores[seed])}")
    assert str(fetched.folder) in text
    assert fetched.read_config()["learning_rate"] == float(best.settings["learning_rate"])
    assert fetched.read_config()["schedule"] == best.settings["schedule"]
    lineage = trace_lineage(fetched)
    assert best.job in lineage["job"]
    assert f"s3://bucket/roads/datasets/{small_dataset.digest}" in lineage["dataset"]
    assert lineage["image"] == TUNING_SPEC.image
    evaluation = open_evaluation(find_evaluations(fetched.folder)[0])
    driven = evaluation.held_out.groupby("policy").size()
    assert driven["policy"] == driven["default"] == 2  # both on each held-out scenario
    assert set(evaluation.comparisons["second"]) >= {"default", "unassisted"}
    assert "default" in capfd.readouterr().out


def test_a_policy_is_judged_from_its_files(capsys):
    assert main(["--job", "tune-1", "--eval_dir", "eval"]) == 2
    assert "--fetch_best" in capsys.readouterr().err
    assert main(["--job", "tune-1", "--fetch_best", "best", "--beside", "runs/first"]) == 2
    assert "--eval_dir" in capsys.readouterr().err
