"""The script of a machine, run for real on a stage (see `stage.py`): how each ending leaves its results."""

import json
import os
import shutil
from pathlib import Path

import boto3
import pytest

from roadsense.jobs.aws.ec2.folder import JobFolder
from roadsense.jobs.aws.ec2.user_data import MachineSettings, encode_parameters, write_user_data
from roadsense.jobs.target import JobState
from roadsense.utils.files import hash_file
from tests.jobs.conftest import REGION
from tests.jobs.stage import Stage, stage, wait_for
from tests.jobs.test_runner import write_notebook

__all__ = ["stage"]

IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/roadsense:0123abc"
PLACE = "s3://cars/rs/jobs/a-job"
GREET = "print('told', n_steps)"
LEAVE = (
    "import os, json\nfrom pathlib import Path\nroot = Path(os.environ['ROADSENSE_JOB_ROOT'])\n"
    "(root / 'model' / 'answer.json').write_text(json.dumps({'steps': n_steps}))"
)
FAIL = "raise ValueError('the road is closed')"
DRIVE_ON = (
    "import time\nplace = Path(os.environ['ROADSENSE_JOB_ROOT'], 'checkpoints', os.environ['TRAINING_JOB_NAME'])\n"
    "place.mkdir(exist_ok=True)\nstep = int((place / 'step').read_text()) if (place / 'step').exists() else 0\n"
    "print('begins at', step)\n"
    "try:\n    while step < n_steps:\n        step += 1\n        time.sleep(0.01)\n"
    "finally:\n    (place / 'step').write_text(str(step))"
)


@pytest.fixture
def place(aws: str) -> JobFolder:
    boto3.client("s3").create_bucket(Bucket="cars", CreateBucketConfiguration={"LocationConstraint": REGION})
    return JobFolder(PLACE, REGION)


def script(notebook: Path, n_steps: int = 5, kind: str = "job", **changes) -> str:
    quick = {"spot_every_s": 1, "log_every_s": 1, "sync_every_s": 1, "retry_s": 0, "spare_s": 1}
    settings = {
        "job": "a-job",
        "place": PLACE,
        "image": IMAGE,
        "region": REGION,
        "limit_s": 5400,
        "grace_s": 600,
        **quick,
    }
    parameters = encode_parameters({"n_steps": str(n_steps)})
    given = {**settings, "notebook": str(notebook), "parameters": parameters, "usd_per_hour": "1.5", **changes}
    return write_user_data(MachineSettings(**given), kind)


def test_a_job_that_succeeds_leaves_everything_and_the_machine_is_gone(
    stage: Stage, place: JobFolder, tmp_path
) -> None:
    boto3.client("s3").put_object(Bucket="cars", Key="rs/datasets/d1/manifest.json", Body=b"{}")
    look = "print(sorted(path.name for path in Path(os.environ['ROADSENSE_JOB_ROOT'], 'input/data/dataset').iterdir()))"
    notebook = write_notebook(tmp_path, GREET, LEAVE, look)
    code, said = stage.run(script(notebook, 7, dataset="s3://cars/rs/datasets/d1"))
    assert code == 0, said
    assert stage.calls("shutdown") == ["-h +100", "-h now"]
    assert stage.calls("docker")[0] == f"login -u AWS --password-stdin {IMAGE.split('/')[0]}"
    assert place.read_text("exit_code") == "0"
    log = place.read_text("run.log") or ""
    assert "told 7" in log
    assert "['manifest.json']" in log
    assert "ends with exit code 0" in log
    assert place.read_status().state == JobState.DONE
    (attempt,) = place.read_attempts()
    assert (attempt.instance_id, attempt.usd_per_hour) == ("i-0123456789abcdef0", 1.5)
    fetched = place.fetch(tmp_path / "fetched")
    assert json.loads((fetched / "model" / "answer.json").read_text()) == {"steps": 7}
    assert (fetched / "model" / "small.ipynb").is_file()
    sums = json.loads((fetched / "manifest.sha256.json").read_text())
    assert sums["run.log"] == hash_file(fetched / "run.log")


def test_the_same_with_the_real_command_line(stage: Stage, place: JobFolder, tmp_path) -> None:
    if shutil.which("aws") is None or "ROADSENSE_TEST_AWS_CLI" not in os.environ:
        pytest.skip("takes an installed AWS CLI, some 20 s of its time, and ROADSENSE_TEST_AWS_CLI=1")
    (stage.folder / "bin" / "aws").unlink()
    code, said = stage.run(script(write_notebook(tmp_path, GREET, LEAVE), 7))
    assert code == 0, said
    assert stage.calls("aws") == []
    assert place.read_status().state == JobState.DONE
    assert (place.fetch(tmp_path / "fetched") / "model" / "answer.json").is_file()


def test_a_job_that_fails_says_why_and_leaves_what_there_is(stage: Stage, place: JobFolder, tmp_path) -> None:
    code, said = stage.run(script(write_notebook(tmp_path, LEAVE, FAIL, GREET)))
    assert code == 1, said
    outcome = place.read_status()
    assert outcome.state == JobState.FAILED
    assert "exit code 1" in outcome.reason
    assert "the road is closed" in outcome.reason
    fetched = place.fetch(tmp_path / "fetched")
    assert (fetched / "model" / "answer.json").is_file()
    assert "the road is closed" in (fetched / "model" / "small.ipynb").read_text()
    assert stage.calls("shutdown")[-1] == "-h now"


def test_an_image_that_is_missing_ends_the_machine(stage: Stage, place: JobFolder, tmp_path) -> None:
    (stage.folder / "no-image").touch()
    code, said = stage.run(script(write_notebook(tmp_path, LEAVE)))
    assert code == 93, said
    assert place.read_status().reason == f"exit code 93: the image {IMAGE} could not be pulled"
    assert sum(call.startswith("pull") for call in stage.calls("docker")) == 5
    assert not any(call.startswith("run") for call in stage.calls("docker"))
    assert stage.calls("shutdown")[-1] == "-h now"


def test_a_spot_notice_stops_with_a_checkpoint_that_the_next_machine_goes_on_from(
    stage: Stage, place: JobFolder, tmp_path
) -> None:
    text = script(write_notebook(tmp_path, LEAVE, DRIVE_ON), 60_000, spot="yes")
    process = stage.start(text)
    wait_for(lambda: "begins at 0" in (place.read_text("run.log") or ""))
    (stage.folder / "notice").write_text('{"action": "terminate", "time": "2026-11-26T12:00:00Z"}')
    code, said = stage.finish(process)
    assert code == 0, said
    assert any(call.startswith("stop -t 90") for call in stage.calls("docker"))
    outcome = place.read_status()
    assert (outcome.state, outcome.reason) == (JobState.STOPPED, "spot interruption")
    steps = int(place.read_text("checkpoints/a-job/step") or 0)
    assert steps > 0

    next_stage = Stage(tmp_path / "next", {**stage.environment})
    code, said = next_stage.run(script(write_notebook(tmp_path, LEAVE, DRIVE_ON), steps + 20, spot="yes"))
    assert code == 0, said
    assert f"begins at {steps}" in (place.read_text("run.log") or "")
    outcome = place.read_status()
    assert (outcome.state, len(place.read_attempts())) == (JobState.DONE, 2)
    assert place.read_text("checkpoints/a-job/step") == str(steps + 20)


def test_the_time_limit_stops_with_a_checkpoint_before_the_switch(stage: Stage, place: JobFolder, tmp_path) -> None:
    notebook = write_notebook(tmp_path, LEAVE, DRIVE_ON)
    code, said = stage.run(script(notebook, 60_000, limit_s=20, grace_s=40))
    assert code == 0, said
    assert (place.read_status().state, place.read_status().reason) == (JobState.STOPPED, "time limit")
    assert int(place.read_text("checkpoints/a-job/step") or 0) > 0


def test_a_stop_before_the_job_has_begun_is_no_failure(stage: Stage, place: JobFolder, tmp_path) -> None:
    code, said = stage.run(script(write_notebook(tmp_path, LEAVE, DRIVE_ON), 60_000, limit_s=2, grace_s=58))
    assert code == 0, said
    assert (place.read_status().state, place.read_status().reason) == (JobState.STOPPED, "time limit")


def test_a_limit_that_comes_while_the_machine_is_being_prepared_leaves_its_reason(
    stage: Stage, place: JobFolder, tmp_path
) -> None:
    (stage.folder / "slow-pull").write_text("60")  # longer than the grace
    code, said = stage.run(script(write_notebook(tmp_path, LEAVE), limit_s=8, grace_s=20))
    assert code == 93, said
    status = place.read_status()
    assert status.state == JobState.FAILED
    assert "the limit of 8 s was over before the job could begin" in status.reason
    assert (place.fetch(tmp_path / "fetched") / "output" / "failure").is_file()


def test_an_upload_that_fails_for_good_is_a_failed_job(stage: Stage, place: JobFolder, tmp_path) -> None:
    for name in ("no-image", "no-upload-of-model"):
        (stage.folder / name).touch()
    stage.run(script(write_notebook(tmp_path, LEAVE), limit_s=8, grace_s=4, retry_s=1))
    assert place.read_text("exit_code") == "96"
    status = place.read_status()
    assert status.state == JobState.FAILED
    assert "not all results could be uploaded" in status.reason
    assert sum("/model s3://" in call for call in stage.calls("aws")) > 1  # it was tried again
    assert stage.calls("shutdown")[-1] == "-h now"


def test_an_upload_that_fails_once_is_tried_again(stage: Stage, place: JobFolder, tmp_path) -> None:
    (stage.folder / "no-upload-of-model-once").touch()
    code, said = stage.run(script(write_notebook(tmp_path, LEAVE)))
    assert code == 0, said
    assert place.read_status().state == JobState.DONE
    assert (place.fetch(tmp_path / "fetched") / "model" / "answer.json").is_file()


def test_a_machine_that_cannot_write_ends_itself(stage: Stage, aws: str, tmp_path) -> None:
    code, said = stage.run(script(write_notebook(tmp_path, LEAVE)))  # there is no bucket
    assert code == 90
    assert "what is wrong with the machine's role?" in said
    assert stage.calls("shutdown") == ["-h +100", "-h now"]
    assert stage.calls("docker") == []


@pytest.mark.parametrize(
    ("system", "tool", "line"),
    [
        ("ubuntu", "apt-get", "-o DPkg::Lock::Timeout=300 install -y -q docker.io"),
        ("al2023", "dnf", "install -y -q docker"),
    ],
)
def test_each_system_installs_docker_its_own_way(stage: Stage, place: JobFolder, tmp_path, system, tool, line) -> None:
    (stage.folder / "no-image").touch()
    stage.run(script(write_notebook(tmp_path, LEAVE), system=system))
    assert line in stage.calls(tool)
    assert stage.calls("systemctl") == ["enable --now docker"]
