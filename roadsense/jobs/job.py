"""The interface to jobs: one class for all targets, for trainings and searches."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from roadsense.errors import InputError
from roadsense.jobs.aws.sagemaker.trials import Trial, plot_trials, read_trials
from roadsense.jobs.draft import complete
from roadsense.jobs.metric_series import MetricSeries, count_seeds
from roadsense.jobs.records import JobRecord, find_record, read_submitted_spec, record_path, recording
from roadsense.jobs.shown import ShownJob
from roadsense.jobs.spec import JobSpec, check_spec, continue_spec, spec_from_values
from roadsense.jobs.target import JobError, JobState, JobStatus, Plan, Target, open_target
from roadsense.runs.experiment import find_best_folder
from roadsense.utils.progress import working

RUNS_DIR = Path("runs")
LOOK_EVERY_S, WAIT_EVERY_S = 10.0, 1.0
RESUMABLE = (JobState.STOPPED, JobState.FAILED)


class Job:
    """A notebook that runs as a job: on this machine, in the image, on EC2 or on SageMaker.

    Args:
        spec: the job's notebook, parameters and machine; it is checked and completed.
        missing: one sentence for each setting that is missing to submit the job.

    Raises:
        InputError: naming the field or the parameter that cannot be used.

    Examples:
        >>> import roadsense as rs
        >>> job = rs.Job(rs.JobSpec("notebooks/hello.ipynb", {"words": "hello"}))
        >>> job.price()
        'nothing'
        >>> _ = job.submit()
        >>> str(job.wait().state)
        'done'
        >>> rs.Job.find(job.name).status().name == job.name
        True
    """

    def __init__(self, spec: JobSpec, missing: Sequence[str] = ()):
        self._spec: JobSpec | None = check_spec(spec)
        self._missing = tuple(missing)
        self._record = JobRecord(self._spec.name or "", "", spec.target, spec.region)

    @classmethod
    def draft(cls, **given: Any) -> "Job":
        """Returns a job whose settings may still be incomplete: `check` names the missing ones, examples fill them.

        Args:
            given: fields of `JobSpec`; an empty text or None means that the field isn't given.

        Raises:
            InputError: if a given field cannot be used.
        """
        values, missing = complete(given)
        return cls(spec_from_values(values, "the job's settings"), missing)

    @classmethod
    def find(cls, job: str, target: str | None = None, region: str | None = None) -> "Job":
        """Returns a job that was submitted.

        Args:
            job: name, id or folder of the job.
            target: target the job runs on; needed for a job that was not submitted from this folder.
            region: AWS region; by default the one the job was submitted to.

        Raises:
            InputError: if the job has no record here and no target was given.
        """
        found = cls.__new__(cls)
        found._record, found._missing, found._spec = find_record(job, target, region), (), None
        return found

    @property
    def name(self) -> str:
        """The job's name."""
        return self._record.name

    @property
    def spec(self) -> JobSpec:
        """The job's spec; `InputError` for one that was not submitted from this folder."""
        if self._spec is None:
            self._spec = read_submitted_spec(self._record)
        return self._spec

    def check(self) -> tuple[str, ...]:
        """Returns one sentence for each setting that is missing to submit the job; nothing is sent."""
        return self._missing

    def request(self) -> dict[str, Any]:
        """Returns the price and the exact requests or command of `submit`; nothing is sent."""
        with working("preparing the request"):  # AWS's own library takes seconds to load
            return self._plan.describe()

    def price(self) -> str:
        """Returns the job's highest cost, in words."""
        with working("looking up the price"):
            return self._plan.price

    def submit(self, record: bool = True) -> str:
        """Starts the job and returns its id; a stopped or failed job resumes, on every target but SageMaker.

        The record with the exact request is written before the call, so no machine is lost if the answer is.

        Args:
            record: whether to record the job in this folder, so that `find` finds it.

        Raises:
            InputError: if something is missing or cannot be used; nothing was started.
            CloudError: if AWS refuses the request.
        """
        if self._missing:
            raise InputError(f"Expected a job that lacks nothing. Missing: {' '.join(self._missing)}")
        plan = self._plan
        spec = replace(self.spec, region=plan.spec.region)  # another region may be configured when it is looked for
        with recording(spec, plan.job_id, plan.describe()) if record else nullcontext():
            job_id = self._target.submit(plan)
        self._record = JobRecord(self.name, job_id, spec.target, spec.region)
        del self._plan  # another start has another token
        return job_id

    def resume(self) -> "Job":
        """Returns the job that resumes this one from its last checkpoint, ready to be submitted.

        On SageMaker the new job has the same checkpoints and a new name, because SageMaker takes a name only once.

        Raises:
            InputError: if the job still runs, has ended with all its work done, or was resumed before: two jobs would
                share checkpoints.
        """
        if self._record.target != "sagemaker":
            return Job(self.spec)
        if (state := self.status().state) not in RESUMABLE:
            raise InputError(f"Expected a job that was stopped or failed, but {self.name} is {state}.")
        resumed = Job(continue_spec(self.spec))
        if record_path(resumed.name).exists():
            raise InputError(f"{self.name} was already resumed, as {resumed.name}. Resume that one.")
        return resumed

    def status(self) -> JobStatus:
        """Returns what the job is doing."""
        return self._target.status(self._id)

    def wait(self) -> JobStatus:
        """Waits until the job is over; returns how it ended."""
        while not (status := self.status()).state.is_over:
            time.sleep(WAIT_EVERY_S)
        return status

    def logs(self, follow: bool = False) -> Iterator[str]:
        """Yields the lines of the job's log; with `follow`, until it is over."""
        return self._target.logs(self._id, follow)

    def metrics(self) -> MetricSeries:
        """Returns the figures in the job's log up to now."""
        return self._new_series().take_all(self.logs())

    def trials(self) -> list[Trial]:
        """Returns the trials of a search on SageMaker, the best first."""
        return read_trials(self.name, self._record.region)

    def follow(self, resumes: int = 0, picture: bool = False) -> JobStatus:
        """Prints the job's log until it is over, and returns how it ended.

        Args:
            resumes: how often to start the job again after EC2 took its spot machine away.
            picture: whether to draw the learning curves or the trials, updated in place, instead of printing figures.
        """
        show = ShownJob(self._new_series(), self._plot_trials if self._is_search else None) if picture else None
        status = self._follow_once(show)
        while status.was_interrupted and resumes > 0:
            resumes -= 1
            sys.stderr.write(f"{self.name}: {status.reason}. It is started again, {resumes} times are left.\n")
            self.submit()
            status = self._follow_once(show)
        if show is not None:
            show.draw(is_last=True)
        return status

    def _follow_once(self, show: "ShownJob | None") -> JobStatus:
        if self._is_search:
            return self._follow_search(show)
        for line in self.logs(follow=True):
            if show is None or not show.take(line):
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
        return self.status()

    def _follow_search(self, show: "ShownJob | None") -> JobStatus:
        phase = ""
        while not (status := self.status()).state.is_over:
            if status.phase != phase:
                phase = status.phase
                sys.stdout.write(f"{phase}\n")
                sys.stdout.flush()
            if show is not None:
                show.draw()
            time.sleep(LOOK_EVERY_S)
        return status

    @property
    def _is_search(self) -> bool:
        try:
            return self.spec.search.is_search
        except InputError:  # submitted from elsewhere
            return False

    def stop(self) -> None:
        """Asks the job to stop with a checkpoint; does nothing if the job is over."""
        self._target.stop(self._id)

    def fetch(self, folder: Path | None = None) -> Path:
        """Downloads the job's results completely or not at all, checks every file and returns their folder.

        A search gives the results of its best trial.

        Args:
            folder: new folder for the results; by default `runs/<name>`.
        """
        return self._target.fetch(self._id, RUNS_DIR / self.name if folder is None else folder)

    def fetch_run(self, folder: Path | None = None) -> Path:
        """Downloads the results as `fetch` does and returns the run folder; with several seeds, that of the best seed.

        Raises:
            JobError: if the job failed, with the reason; its results are still downloaded.
        """
        fetched, status = self.fetch(folder), self.status()
        if status.state == JobState.FAILED:
            raise JobError(f"The job failed: {status.reason} What it left is in {fetched}.")
        return find_best_folder(fetched / "model")

    @cached_property
    def _target(self) -> Target:
        return open_target(self._record.target, self._record.region)

    @cached_property
    def _plan(self) -> Plan:
        return self._target.plan(self.spec, ask=not self._missing and self.spec.is_cloud)

    @property
    def _id(self) -> str:
        if not self._record.job_id:
            raise InputError(f"Expected a job that was submitted, but {self.name} was not.")
        return self._record.job_id

    def _plot_trials(self) -> Any:
        trials = self.trials()
        return plot_trials(trials, self.spec.search.figure) if trials else None

    def _new_series(self) -> MetricSeries:
        try:
            return MetricSeries(n_seeds=count_seeds(self.spec.parameters))
        except InputError:  # submitted from elsewhere
            return MetricSeries()
