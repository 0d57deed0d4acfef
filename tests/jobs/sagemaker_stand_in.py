"""What moto's stand-in for SageMaker lacks: jobs that take time, can be stopped, and keep what they were sent."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.responses import SageMakerResponse


class NameInUse(JsonRESTError):
    code = 400


@dataclass
class Story:
    """What jobs go through: (status, phase, reason) at each look, the last one for ever; and what was asked for.

    `ends` says of single jobs how they ended; `requests` holds the tuning jobs' requests as they arrived,
    and `tuning` the status of each, where it is not over at once.
    """

    steps: list[tuple[str, str, str]] = field(default_factory=lambda: [("Completed", "Completed", "")])
    looks: dict[str, int] = field(default_factory=dict)
    trials: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    ends: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    tuning: dict[str, str] = field(default_factory=dict)
    takes_time: bool = False


@contextmanager
def told(story: Story) -> Iterator[Story]:
    """Within it the stand-in's jobs go through a story."""
    real = {name: getattr(SageMakerResponse, name, None) for name in REPLACED}
    for name, replacement in _replacements(story, real).items():
        setattr(SageMakerResponse, name, replacement)
    try:
        yield story
    finally:
        for name, method in real.items():
            if method is None:
                delattr(SageMakerResponse, name)
            else:
                setattr(SageMakerResponse, name, method)


REPLACED = (
    "create_training_job", "describe_training_job", "stop_training_job", "stop_hyper_parameter_tuning_job",
    "list_training_jobs_for_hyper_parameter_tuning_job",
    "create_hyper_parameter_tuning_job",
    "describe_hyper_parameter_tuning_job",
)  # fmt: skip


def _replacements(story: Story, real: dict[str, Any]) -> dict[str, Any]:
    return {**_replace_training(story, real), **_replace_tuning(story, real)}


def _replace_training(story: Story, real: dict[str, Any]) -> dict[str, Any]:
    def create_training_job(self):
        name, jobs = self._get_param("TrainingJobName"), self.sagemaker_backend.training_jobs
        if name in jobs:
            raise NameInUse("ResourceInUse", f"Training job names must be unique: {name}")
        sent = self._get_param("AlgorithmSpecification")["MetricDefinitions"]
        answer = real["create_training_job"](self)
        jobs[name].algorithm_specification["MetricDefinitions"] = sent
        jobs[name].training_job_status, jobs[name].secondary_status, _ = story.steps[0]
        return answer

    def describe_training_job(self):
        name = self._get_param("TrainingJobName")
        job = self.sagemaker_backend.training_jobs.get(name)
        if name in story.ends:
            job.training_job_status, job.secondary_status, job.failure_reason = story.ends[name]
        elif job is not None and job.training_job_status != "Stopped":
            look = min(story.looks.get(name, 0), len(story.steps) - 1)
            story.looks[name] = look + 1
            job.training_job_status, job.secondary_status, job.failure_reason = story.steps[look]
        return real["describe_training_job"](self)

    def stop_training_job(self):
        job = self.sagemaker_backend.training_jobs[self._get_param("TrainingJobName")]
        job.training_job_status = job.secondary_status = "Stopped"
        return EmptyResult()

    return {name: made for name, made in locals().items() if name in REPLACED}


def _replace_tuning(story: Story, real: dict[str, Any]) -> dict[str, Any]:
    def create_hyper_parameter_tuning_job(self):
        name = self._get_param("HyperParameterTuningJobName")
        story.requests[name] = json.loads(self.body)
        if story.takes_time:
            story.tuning[name] = "InProgress"
        return real["create_hyper_parameter_tuning_job"](self)

    def describe_hyper_parameter_tuning_job(self):
        name = self._get_param("HyperParameterTuningJobName")
        if name in story.tuning:
            job = self.sagemaker_backend.hyper_parameter_tuning_jobs[name]
            job.hyper_parameter_tuning_job_status = story.tuning[name]
        return real["describe_hyper_parameter_tuning_job"](self)

    def stop_hyper_parameter_tuning_job(self):
        name = self._get_param("HyperParameterTuningJobName")
        self.sagemaker_backend.hyper_parameter_tuning_jobs[name].hyper_parameter_tuning_job_status = "Stopped"
        return EmptyResult()

    def list_training_jobs_for_hyper_parameter_tuning_job(self):
        trials = story.trials.get(self._get_param("HyperParameterTuningJobName"), [])
        return ActionResult({"TrainingJobSummaries": trials})

    return {name: made for name, made in locals().items() if name in REPLACED}
