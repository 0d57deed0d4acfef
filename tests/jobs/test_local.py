"""The target `local`: real jobs in processes that outlive who started them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from roadsense.cloud.checksums import TransferError
from roadsense.errors import InputError
from roadsense.jobs.job import Job
from roadsense.jobs.local import process
from roadsense.jobs.local.container import DockerTarget, prepare_folder
from roadsense.jobs.local.process import PROCESS_NAME, LocalTarget
from roadsense.jobs.spec import JobSpec, check_spec, spec_to_json
from roadsense.jobs.target import JobError, JobState, open_target
from tests.jobs.small_notebooks import write_notebook

COUNT = "import time\nfor n in range(n_steps):\n    print('step', n, flush=True)\n    time.sleep(0.2)"


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_spec(tmp_path, *cells, parameters=None, **fields):
    notebook = write_notebook(tmp_path, *(cells or (COUNT,)))
    return check_spec(JobSpec(str(notebook), parameters or {}, **fields))


def submit(target, spec):
    return target.submit(target.plan(spec))


def wait_until_over(target, job_id, seconds=300.0):
    end = time.monotonic() + seconds
    while not (status := target.status(job_id)).state.is_over:
        assert time.monotonic() < end, list(target.logs(job_id, False))
        time.sleep(0.1)
    return status


def wait_for_line(target, job_id, line, times=1, seconds=300.0):
    end = time.monotonic() + seconds
    while list(target.logs(job_id, False)).count(line) < times:
        assert time.monotonic() < end, list(target.logs(job_id, False))
        time.sleep(0.1)


def test_a_job_runs_is_followed_and_fetched(tmp_path):
    target = open_target("local")
    spec = write_spec(tmp_path, name="one", parameters={"n_steps": 4})
    job_id = submit(target, spec)
    assert job_id == "runs/jobs/one"
    assert target.status("one").state == JobState.RUNNING
    lines = list(target.logs(job_id, follow=True))
    assert [line for line in lines if line.startswith("step")] == [f"step {n}" for n in range(4)]
    status = wait_until_over(target, job_id)
    assert (status.state, status.reason, status.usd) == (JobState.DONE, "", None)
    assert status.started <= status.ended
    assert [job.name for job in target.list_jobs(everyone=True)] == ["one"]
    folder = target.fetch(job_id, tmp_path / "back")
    assert (folder / "model" / "small.ipynb").read_bytes() == (Path(job_id) / "model" / "small.ipynb").read_bytes()
    assert "step 3" in (folder / "run.log").read_text()
    assert json.loads((folder / "spec.json").read_text())["name"] == "one"


def test_a_job_survives_who_submitted_it_and_the_terminal(tmp_path):
    spec = write_spec(tmp_path, name="long", parameters={"n_steps": 25})
    spec_to_json(spec, tmp_path / "spec.json")
    code = (
        "import os, signal\n"
        "from roadsense.jobs.local.process import LocalTarget\n"
        "from roadsense.jobs.spec import spec_from_json\n"
        "target = LocalTarget()\n"
        "print(target.submit(target.plan(spec_from_json('spec.json'))), flush=True)\n"
        "os.killpg(0, signal.SIGHUP)"  # what a terminal sends that is closed
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, start_new_session=True)
    assert done.returncode == -signal.SIGHUP, done.stderr
    target = LocalTarget()
    assert target.status(done.stdout.strip()).state == JobState.RUNNING
    status = wait_until_over(target, "long")
    assert status.state == JobState.DONE
    assert "step 24" in list(target.logs("long", follow=False))


def test_a_job_that_is_stopped_says_so_and_goes_on_under_its_name(tmp_path):
    target, spec = LocalTarget(), write_spec(tmp_path, name="again", parameters={"n_steps": 100})
    job_id = submit(target, spec)
    wait_for_line(target, job_id, "step 1")
    with pytest.raises(InputError, match="is running"):
        target.fetch(job_id, tmp_path / "early")
    with pytest.raises(InputError, match="another name"):
        submit(target, spec)
    target.stop(job_id)
    status = wait_until_over(target, job_id)
    assert status.state == JobState.STOPPED
    assert "small.ipynb" in status.reason
    target.stop(job_id)  # does nothing
    other = check_spec(JobSpec(spec.notebook, {"n_steps": 2}, name="again"))
    with pytest.raises(InputError, match="same notebook and parameters"):
        submit(target, other)
    assert submit(target, spec) == job_id
    wait_for_line(target, job_id, "step 1", times=2)
    assert target.status(job_id).state == JobState.RUNNING
    target.stop(job_id)
    wait_until_over(target, job_id)
    assert (tmp_path / job_id / "output" / "data" / "small.1.ipynb").is_file()


def test_a_failed_job_is_a_failed_job(tmp_path):
    target = LocalTarget()
    job_id = submit(target, write_spec(tmp_path, "raise ValueError('no gap')", name="wrong"))
    status = wait_until_over(target, job_id)
    assert status.state == JobState.FAILED
    assert "ValueError: no gap" in status.reason
    assert (target.fetch(job_id, tmp_path / "back") / "output" / "failure").is_file()


def test_a_job_whose_process_was_killed_has_failed(tmp_path):
    target = LocalTarget()
    job_id = submit(target, write_spec(tmp_path, name="killed", parameters={"n_steps": 200}))
    wait_for_line(target, job_id, "step 1")
    os.killpg(int((Path(job_id) / PROCESS_NAME).read_text()), signal.SIGKILL)
    status = wait_until_over(target, job_id)
    assert status.state == JobState.FAILED
    assert "its process died" in status.reason
    with pytest.raises(TransferError, match="ended before"):
        target.fetch(job_id, tmp_path / "back")
    assert not (tmp_path / "back").exists()


SUBMIT_AND_DIE = """
import os, signal, sys
from roadsense.jobs.job import Job
from roadsense.jobs.local import process
from roadsense.jobs.spec import JobSpec

def die(*words):
    if sys.argv[1] == "after":
        step(*words)
    os.kill(os.getpid(), signal.SIGKILL)

step = getattr(process, sys.argv[2])
setattr(process, sys.argv[2], die)
Job(JobSpec(sys.argv[3], {"n_steps": 100}, name="half")).submit()
"""


def submit_and_die(*words):
    done = subprocess.run([sys.executable, "-c", SUBMIT_AND_DIE, *words], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("step", ["claim_folder", "spec_to_json", "write_layout", "_start"])
def test_a_submission_that_was_killed_before_the_start_is_made_again_under_its_name(tmp_path, step):
    spec = write_spec(tmp_path, name="half", parameters={"n_steps": 100})
    submit_and_die("before", step, spec.notebook)
    target = LocalTarget()
    assert all(job.state == JobState.FAILED for job in target.list_jobs(everyone=True))
    job_id = submit(target, spec)
    target.stop(job_id)
    assert wait_until_over(target, job_id).state == JobState.STOPPED


def test_a_job_whose_submission_was_killed_after_the_start_is_stopped_by_its_name(tmp_path):
    submit_and_die("after", "_start", str(write_notebook(tmp_path, COUNT)))
    job = Job.find("half")
    assert job.status().state == JobState.RUNNING
    job.stop()
    assert job.wait().state == JobState.STOPPED


def test_the_number_of_an_earlier_process_is_forgotten_before_the_next_start(tmp_path, monkeypatch):
    spec = write_spec(tmp_path, name="half", parameters={"n_steps": 100})
    submit_and_die("before", "_start", spec.notebook)
    number = tmp_path / "runs" / "jobs" / "half" / PROCESS_NAME
    number.write_text("1\n")
    monkeypatch.setattr(process, "_start", lambda *words: None)
    submit(LocalTarget(), spec)
    assert not number.exists()


class Engine:
    """An engine with an image and no container."""

    program = "docker"

    def __init__(self):
        self.asked = []

    def has_image(self, image):
        return True

    def user_options(self):
        return []

    def run(self, words):
        self.asked.append(words[0])
        if words[0] in ("container", "rm"):
            raise JobError("no such container")
        return ""


def test_a_submission_that_was_killed_before_its_container_was_made_is_made_again(tmp_path):
    target, spec = DockerTarget(), write_spec(tmp_path, name="half", target="docker", parameters={"n_steps": 2})
    vars(target)["_engine"] = engine = Engine()
    prepare_folder(spec, spec.folder)
    assert target.submit(target.plan(spec)) == "half"
    assert engine.asked[-1] == "run"


def test_a_job_is_ended_when_its_time_is_over(tmp_path):
    target = LocalTarget()
    spec = write_spec(tmp_path, name="late", parameters={"n_steps": 1000}, max_hours=12 / 3600)
    status = wait_until_over(target, submit(target, spec))
    assert status.state == JobState.STOPPED


def test_results_that_were_changed_are_refused(tmp_path):
    target = LocalTarget()
    job_id = submit(target, write_spec(tmp_path, name="changed", parameters={"n_steps": 1}))
    wait_until_over(target, job_id)
    notebook = tmp_path / job_id / "model" / "small.ipynb"
    notebook.write_bytes(notebook.read_bytes() + b"\n")
    with pytest.raises(TransferError, match=r"changed: model/small\.ipynb"):
        target.fetch(job_id, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_the_dataset_is_the_notebooks(tmp_path, small_dataset):
    cell = (
        "from roadsense.scenarios.scenario import find_scenarios\n"
        "print('found', len(find_scenarios(dataset_dir)), flush=True)"
    )
    notebook = write_notebook(tmp_path, cell, parameters='dataset_dir: str = "scenarios/any/train"')
    target = LocalTarget()
    job_id = submit(target, check_spec(JobSpec(str(notebook), name="data", dataset=str(small_dataset.folder))))
    assert wait_until_over(target, job_id).state == JobState.DONE
    assert "found 4" in list(target.logs(job_id, False))


@pytest.mark.parametrize("job_id", ["nobody", "runs/jobs/nobody", "/"])
def test_a_job_that_is_not_there_is_said(job_id):
    with pytest.raises(InputError, match="found no job"):
        LocalTarget().status(job_id)
