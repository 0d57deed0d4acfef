"""Jobs in containers: submitted, followed, stopped, resumed, fetched; and rehearsed in the image."""

import time
from dataclasses import replace

import pytest

from roadsense.errors import InputError
from roadsense.jobs.local.container import DockerTarget
from roadsense.jobs.local.rehearse import rehearse
from roadsense.jobs.spec import JobSpec, check_spec
from roadsense.jobs.target import JobState

STEPS = {"total_timesteps": 3072, "imitation_timesteps": 64, "n_workers": 2}


@pytest.fixture
def spec(small_dataset, tmp_path, caller):
    folder = small_dataset.folder
    return check_spec(
        JobSpec("01_train", target="docker", parameters=STEPS, dataset=str(folder), output=str(tmp_path / "jobs"))
    )


@pytest.fixture
def target(engine, spec):
    """The target; the container of the test's job is removed at the end."""
    yield DockerTarget()
    engine.run(["rm", "--force", spec.name])


def wait_until_over(target, name, seconds=300):
    end = time.monotonic() + seconds
    while not target.status(name).state.is_over:
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.5)
    return target.status(name)


def test_a_job_is_stopped_goes_on_and_is_fetched(engine, target, spec, tmp_path):
    name = target.submit(target.plan(spec))
    lines = target.logs(name, follow=True)
    assert next(line for line in lines if line.startswith("roadsense_metric"))
    assert target.status(name).state == JobState.RUNNING
    assert name in [job.name for job in target.list_jobs(everyone=True)]
    with pytest.raises(InputError, match="is running"):
        target.submit(target.plan(spec))
    target.stop(name)
    stopped = wait_until_over(target, name)
    assert (stopped.state, "SIGTERM" in "\n".join(target.logs(name, follow=False))) == (JobState.STOPPED, True)
    assert target.submit(target.plan(spec)) == name
    done = wait_until_over(target, name)
    assert done.state == JobState.DONE, done.reason
    assert name in [job.name for job in target.list_jobs(everyone=False)]
    assert name not in [job.name for job in target.list_jobs(everyone=True)]
    folder = target.fetch(name, tmp_path / "fetched")
    assert (folder / "model" / "model.zip").is_file()
    assert "Resuming the run" in (folder / "run.log").read_text()
    with pytest.raises(InputError, match="holds something"):
        target.fetch(name, tmp_path / "fetched")


def test_a_job_that_fails_says_why(target, spec):
    wrong = replace(spec, dataset=None, parameters={**STEPS, "dataset_dir": "no/where"})
    status = wait_until_over(target, target.submit(target.plan(wrong)))
    assert status.state == JobState.FAILED
    assert "no/where" in status.reason


def test_a_job_ends_when_its_time_is_over(target, spec):
    long = replace(spec, max_hours=25 / 3600, parameters={**STEPS, "total_timesteps": 10_000_000})
    status = wait_until_over(target, target.submit(target.plan(long)))
    assert status.state == JobState.STOPPED


def test_an_image_that_is_not_there_is_said_before_anything_is_made(target, spec, tmp_path):
    with pytest.raises(InputError, match="Expected the image roadsense:nowhere"):
        target.submit(target.plan(replace(spec, image="roadsense:nowhere")))
    assert not (tmp_path / "jobs").exists()


def test_a_job_is_rehearsed_in_the_image_interrupted_and_resumed(engine, spec, tmp_path, capsys):
    assert rehearse(spec, tmp_path / "rehearsal", "docker") > 100_000
    assert f" of {STEPS['total_timesteps']} steps" in capsys.readouterr().out
