"""A tuning job's engine on this machine: what SageMaker does with the request that arrived, in a loop.

It draws settings within the request's ranges, lays each trial out as a container finds it, and reads the objective from
the trial's output by the request's own expressions. A few trials are real: the real runner, in the folders SageMaker
makes, on the dataset that was published. The others tell figures that were recorded beforehand.
"""

import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import numpy as np

from roadsense.jobs.aws.sagemaker.logs import GROUP
from roadsense.jobs.inside.layout import CHANNEL, NAME_VARIABLE, ROOT_VARIABLE, JobLayout
from roadsense.runs.metric_lines import PREFIX
from tests.jobs.sagemaker_stand_in import Story
from tests.jobs.small_notebooks import ROOT

ACCOUNT = "123456789012"
N_AT_A_TIME = 2
N_FIRST = 8
"""Trials are ended early only beside this many that came to their end."""


@dataclass
class Played:
    """A trial that was played.

    Attributes:
        job: its name.
        drawn: settings within the ranges, as texts.
        log: what it printed.
        status: SageMaker's word for its end.
        reason: why it failed.
        values: of the objective, as the request's expression reads them.
    """

    job: str
    drawn: dict[str, str]
    log: str = ""
    status: str = "Completed"
    reason: str = ""
    values: list[float] = field(default_factory=list)


class Engine:
    """The engine of one tuning job.

    Args:
        request: `CreateHyperParameterTuningJob` as it arrived.
        story: of the stand-in, which gets the trials.
        folder: for the trials' containers.
    """

    def __init__(self, request: dict[str, Any], story: Story, folder: Path):
        self.name = request["HyperParameterTuningJobName"]
        self.search, self.definition = request["HyperParameterTuningJobConfig"], request["TrainingJobDefinition"]
        self.story, self.folder = story, folder
        self.rng = np.random.default_rng(0)
        objective = self.search["HyperParameterTuningJobObjective"]["MetricName"]
        defined = self.definition["AlgorithmSpecification"]["MetricDefinitions"]
        self.objective, (self.regex,) = objective, [each["Regex"] for each in defined if each["Name"] == objective]

    def play(self, n_real: int, n_failing: int) -> list[Played]:
        """Plays all trials: the first ones for real, then some whose dataset is damaged, the others recorded."""
        n_trials = self.search["ResourceLimits"]["MaxNumberOfTrainingJobs"]
        trials = [Played(f"{self.name}-{number:03d}-0a1b2c3d", self.draw()) for number in range(1, n_trials + 1)]
        with ThreadPoolExecutor(N_AT_A_TIME) as pool:
            list(pool.map(self.run, trials[: n_real + n_failing], [False] * n_real + [True] * n_failing))
        best = min(trial.values[-1] for trial in trials[:n_real])
        for trial in trials[n_real + n_failing :]:
            self.replay(trial, best - 0.05, [each for each in trials if each.status == "Completed" and each.log])
        for place, trial in enumerate(trials):
            self.settle(trial, place)
        return trials

    def draw(self) -> dict[str, str]:
        """Returns settings within the ranges, each a text."""
        ranges, drawn = self.search["ParameterRanges"], {}
        for each in ranges.get("ContinuousParameterRanges", []):
            drawn[each["Name"]] = repr(self._between(each))
        for each in ranges.get("IntegerParameterRanges", []):
            drawn[each["Name"]] = str(round(self._between(each)))
        for each in ranges.get("CategoricalParameterRanges", []):
            drawn[each["Name"]] = str(self.rng.choice(each["Values"]))
        return drawn

    def _between(self, each: dict[str, str]) -> float:
        low, high = float(each["MinValue"]), float(each["MaxValue"])
        if each["ScalingType"] == "Logarithmic":
            return math.exp(self.rng.uniform(math.log(low), math.log(high)))
        return float(self.rng.uniform(low, high))

    def run(self, trial: Played, is_damaged: bool) -> None:
        """Runs the real runner in the folders of a container, and takes away what it leaves, as SageMaker does."""
        layout = JobLayout(self.folder / trial.job)
        self._lay_out(layout, trial)
        if is_damaged:
            next(layout.dataset_dir.rglob("*.rou.xml*")).write_bytes(b"<routes/>")
        own = {ROOT_VARIABLE: str(layout.root), NAME_VARIABLE: trial.job}
        own["TRAINING_JOB_ARN"] = f"arn:aws:sagemaker:eu-central-1:{ACCOUNT}:training-job/{trial.job}"
        done = subprocess.run(
            [sys.executable, "-m", "roadsense.jobs.runner", "train"], cwd=ROOT, check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, **self.definition["Environment"], **own},
        )  # fmt: skip
        self.take(trial, done.stdout)
        if done.returncode:
            told = layout.failure_path.read_text()[:1024]
            trial.status, trial.reason = "Failed", f"AlgorithmError: {told}, exit code: {done.returncode}"
        self._take_away(layout, trial)

    def _lay_out(self, layout: JobLayout, trial: Played) -> None:
        quoted = {each["Name"] for each in self.search["ParameterRanges"].get("CategoricalParameterRanges", [])}
        texts = {name: json.dumps(text) if name in quoted else text for name, text in trial.drawn.items()}
        texts |= self.definition["StaticHyperParameters"] | {"_tuning_objective_metric": self.objective}
        config = layout.hyperparameters_path.parent
        config.mkdir(parents=True)
        layout.hyperparameters_path.write_text(json.dumps(texts))
        host = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}
        (config / "resourceconfig.json").write_text(json.dumps(host))
        (channel,) = self.definition["InputDataConfig"]
        assert channel["ChannelName"] == CHANNEL
        bucket, prefix = _split(channel["DataSource"]["S3DataSource"]["S3Uri"])
        for page in boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for each in page["Contents"]:
                path = layout.dataset_dir / each["Key"].removeprefix(prefix)
                path.parent.mkdir(parents=True, exist_ok=True)
                boto3.client("s3").download_file(bucket, each["Key"], str(path))

    def _take_away(self, layout: JobLayout, trial: Played) -> None:
        bucket, prefix = _split(f"{self.definition['OutputDataConfig']['S3OutputPath']}/{trial.job}/output/")
        for name, folder in {"model.tar.gz": layout.model_dir, "output.tar.gz": layout.output_data_dir}.items():
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w:gz") as archive:
                for path in sorted(folder.iterdir()):
                    archive.add(path, arcname=path.name)
            boto3.client("s3").put_object(Bucket=bucket, Key=f"{prefix}{name}", Body=packed.getvalue())
        shutil.rmtree(layout.root)

    def replay(self, trial: Played, most: float, before: list[Played]) -> None:
        """Tells recorded figures: a curve that rises to a score; it is ended early below the median of those before."""
        rate = float(trial.drawn["learning_rate"])
        end = most - 0.1 * abs(math.log10(rate / 5e-4)) - abs(self.rng.normal(0, 0.02))
        for share in (0.5, 0.8, 0.9, 1.0):
            self.take(
                trial, f"{trial.log}{PREFIX} timesteps={share * 64:g}\n{PREFIX} {self.objective}={end * share:.9g}\n"
            )
            if self.search["TrainingJobEarlyStoppingType"] == "Auto" and len(before) >= N_FIRST:
                place = len(trial.values) - 1
                others = [np.mean(other.values[: place + 1]) for other in before if len(other.values) > place]
                if others and np.mean(trial.values) < np.median(others) - 0.02:
                    trial.status = "Stopped"
                    return

    def take(self, trial: Played, log: str) -> None:
        """Takes a trial's output, and reads the objective from it by the request's expression."""
        trial.log = log
        trial.values = [float(value) for value in re.findall(self.regex, log)]

    def settle(self, trial: Played, place: int) -> None:
        """Makes a trial what others see of it: a training job, its log, its row in the list."""
        own = {name: self.definition[name] for name in self.definition if name not in ("StaticHyperParameters", "Tags")}
        texts = self.definition["StaticHyperParameters"] | trial.drawn
        boto3.client("sagemaker").create_training_job(TrainingJobName=trial.job, HyperParameters=texts, **own)
        self.story.ends[trial.job] = (trial.status, trial.status, trial.reason)
        put_log(trial.job, trial.log.splitlines()[-200:])
        start_s = 1.7e9 + 600 * place
        metric = {"MetricName": self.objective, "Value": trial.values[-1]} if trial.values else None
        row = {
            "TrainingJobName": trial.job,
            "TrainingJobArn": f"arn:aws:sagemaker:eu-central-1:{ACCOUNT}:training-job/{trial.job}",
            "CreationTime": start_s,
            "TrainingStartTime": start_s + 60,
            "TrainingEndTime": start_s + 60 + 900 * max(len(trial.values), 1),
            "TrainingJobStatus": trial.status,
            "TunedHyperParameters": trial.drawn,
            **({"FailureReason": trial.reason} if trial.reason else {}),
            **({"FinalHyperParameterTuningJobObjectiveMetric": metric} if metric and trial.status != "Failed" else {}),
        }
        self.story.trials.setdefault(self.name, []).append(row)


def put_log(job: str, lines: list[str], stream: str = "algo-1-1") -> None:
    """Puts lines at the end of a job's log, whose stream is made if it isn't there."""
    logs = boto3.client("logs")
    name = f"{job}/{stream}"
    if not logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]:
        logs.create_log_group(logGroupName=GROUP)
    if not logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=name)["logStreams"]:
        logs.create_log_stream(logGroupName=GROUP, logStreamName=name)
    now_ms = int(time.time() * 1000)
    events = [{"timestamp": now_ms + number, "message": line or " "} for number, line in enumerate(lines)]
    if events:
        logs.put_log_events(logGroupName=GROUP, logStreamName=name, logEvents=events)


def _split(url: str) -> tuple[str, str]:
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    return bucket, prefix
