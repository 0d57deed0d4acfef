"""A tuning job of fifty trials from the request to the downloaded model, on an engine that does what SageMaker does."""

import io
from contextlib import redirect_stdout
from dataclasses import replace

import boto3
import pandas as pd
import pytest

from roadsense.cli import main
from roadsense.jobs.aws.sagemaker.plan import plan_job
from roadsense.jobs.aws.sagemaker.target import SageMakerTarget
from roadsense.jobs.aws.sagemaker.trials import find_best, read_trials
from roadsense.jobs.spec import check_spec
from roadsense.jobs.tuning import TuningConfig
from roadsense.runs.experiment import is_trained, read_last_score
from roadsense.runs.run import open_run
from roadsense.training.lineage import trace_lineage
from roadsense.training.search_space import Choice, SearchSpace
from tests.jobs.sagemaker_stand_in import Story, told
from tests.jobs.test_sagemaker import REGION
from tests.jobs.test_sagemaker_request import TUNING_SPEC
from tests.jobs.tuner_engine import Engine

N_TRIALS, N_REAL, N_FAILING = 50, 2, 1
SEEDS = (5, 6)
TINY = {
    "total_timesteps": 64, "imitation_timesteps": 0, "n_workers": 2, "eval_interval": 64, "eval_episodes": 2,
    "episode_steps": 40, "log_interval": 1,
}  # fmt: skip
SPACE = SearchSpace(rollout_steps=Choice((32,)), batch_size=Choice((32, 64)), schedule=Choice(("linear", "cosine")))


@pytest.fixture
def played(aws, small_dataset, tmp_path):
    """The tuning job, submitted over HTTP and played to its end."""
    with told(Story()) as story:
        boto3.client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        search = TuningConfig(n_trials=N_TRIALS, n_parallel=5, seeds=SEEDS, search_seed=1)
        spec = replace(TUNING_SPEC, dataset=str(small_dataset.folder), parameters=TINY, search=search)
        name = SageMakerTarget().submit(plan_job(check_spec(spec), space=SPACE))
        engine = Engine(story.requests[name], story, tmp_path / "containers")
        yield name, engine, engine.play(N_REAL, N_FAILING)


def run(*words):
    """Runs `roadsense job ...`; returns what it printed."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        assert main(["job", *words]) == 0
    return printed.getvalue()


def test_fifty_trials_from_the_request_to_the_downloaded_model(played, small_dataset, tmp_path):
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

    text = run("trials", name, "--output_dir", str(tmp_path / "shown"))
    assert len(text.splitlines()) == 1 + N_TRIALS
    table = pd.read_csv(tmp_path / "shown" / "trials.csv")
    assert table["score"].dropna().is_monotonic_decreasing
    assert table["learning_rate"].between(1e-4, 2e-3).all()
    assert (tmp_path / "shown" / "trials.png").stat().st_size > 20_000

    best = find_best(name)
    assert best.job in [trial.job for trial in real]
    run("fetch", name, "--target", "sagemaker", "--folder", str(tmp_path / "best"))
    experiment = tmp_path / "best" / "model"
    assert is_trained(experiment)
    scores = {seed: read_last_score(experiment / f"seed_{seed}") for seed in SEEDS}
    assert sum(scores.values()) / len(scores) == pytest.approx(best.score, abs=1e-8)

    fetched = open_run(experiment / f"seed_{max(scores, key=lambda seed: scores[seed])}")
    assert fetched.read_config()["learning_rate"] == float(best.settings["learning_rate"])
    assert fetched.read_config()["schedule"] == best.settings["schedule"]
    lineage = trace_lineage(fetched)
    assert best.job in lineage["job"]
    assert f"s3://bucket/roads/datasets/{small_dataset.digest}" in lineage["dataset"]
    assert lineage["image"] == TUNING_SPEC.image
