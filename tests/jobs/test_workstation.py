"""Workstations: their request, starting a stopped one again, and their script with a real tmux on a stage."""

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import boto3
import pytest

from roadsense.cli import main
from roadsense.errors import InputError
from roadsense.jobs.aws.ec2 import workstation
from roadsense.jobs.aws.ec2.folder import JobFolder
from roadsense.jobs.aws.ec2.target import Ec2Target
from roadsense.jobs.aws.ec2.workstation import WorkstationConfig, plan_workstation, start_workstation
from roadsense.jobs.target import JobState
from tests.jobs.conftest import REGION
from tests.jobs.stage import Stage, stage, wait_for
from tests.jobs.test_ec2 import IMAGE, OUTPUT, account, machines
from tests.jobs.test_machine import PLACE, place, script

__all__ = ["account", "place", "stage"]

TRAIN = "train --dataset_dir scenarios/dataset/train --run_dir 'runs/a drive'"
MARK = "bash -c 'mkdir -p runs/first && echo 1 > runs/first/step && {}'"


def config(**changes) -> WorkstationConfig:
    return WorkstationConfig(**{"output": OUTPUT, "image": IMAGE, "command": TRAIN, **changes})


def test_a_workstation_stops_rather_than_ends_and_is_started_again(account: str) -> None:
    instance_id = start_workstation(plan_workstation(config(max_hours=3)))
    ec2 = boto3.client("ec2")
    attribute = {"InstanceId": instance_id, "Attribute": "instanceInitiatedShutdownBehavior"}
    assert ec2.describe_instance_attribute(**attribute)["InstanceInitiatedShutdownBehavior"]["Value"] == "stop"
    place = JobFolder(f"{OUTPUT}/jobs/roadsense-workstation", REGION)
    assert place.read("run_docker.sh", 0) == workstation.SCRIPT.read_bytes()
    with pytest.raises(InputError, match="is running"):
        start_workstation(plan_workstation(config()))

    ec2.stop_instances(InstanceIds=[instance_id])
    (listed,) = Ec2Target().list_jobs(everyone=True)
    assert (listed.state, listed.phase[:7]) == (JobState.STOPPED, "stopped")  # its disk still costs
    for more_than_shown in ({"max_hours": 2.0}, {"instance_type": "c6i.2xlarge"}):
        with pytest.raises(InputError, match=r"c6i\.8xlarge and max_hours of at least 3,"):
            start_workstation(plan_workstation(config(**more_than_shown)))
    assert start_workstation(plan_workstation(config())) == instance_id
    (machine,) = machines()
    assert machine["State"]["Name"] == "running"
    tags = {tag["Key"]: tag["Value"] for tag in machine["Tags"]}
    later = datetime.fromisoformat(tags["roadsense:deadline"]) - machine["LaunchTime"]
    assert abs(later - timedelta(hours=3, minutes=10)) < timedelta(minutes=5)


def test_a_spot_workstation_ends(no_aws: None, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["workstation", "--output", OUTPUT, "--image", IMAGE, "--spot", "--region", REGION, "--dry_run"]
    assert main(arguments) == 0
    request = json.loads(capsys.readouterr().out)["calls"][-1]["request"]
    assert request["InstanceInitiatedShutdownBehavior"] == "terminate"


@pytest.mark.parametrize("wrong", [{"command": "rm -rf /"}, {"command": "train 'open"}, {"idle_minutes": -1}])
def test_wrong_settings_are_named(wrong: dict) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        config(**wrong)


def test_a_secret_in_the_command_is_refused() -> None:
    with pytest.raises(InputError, match="--hf_token"):
        config(command="bash -c true --hf_token abc")


def test_all_that_is_uploaded_is_shown_before(no_aws: None, dataset_copy: Path) -> None:
    shown = plan_workstation(config(dataset=str(dataset_copy), region=REGION)).describe()["calls"]
    uploads = [call["what"] for call in shown if call["operation"] == "PutObject"]
    assert uploads[0].startswith(f"{OUTPUT}/datasets/")
    assert [text.rpartition("/")[2] for text in uploads[1:]] == ["run_docker.sh", "spec.json"]


def workstation_script(place: JobFolder, **changes) -> str:
    place.write("run_docker.sh", workstation.SCRIPT.read_bytes())
    return script(
        Path("01_train"), kind="workstation", **{"busy_load": 1e6, "idle_every_s": 1, "idle_s": 600, **changes}
    )


needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


@needs_tmux
def test_a_workstation_works_keeps_its_runs_and_is_stopped_when_asked(stage: Stage, place: JobFolder) -> None:
    boto3.client("s3").put_object(Bucket="cars", Key="rs/datasets/d1/manifest.json", Body=b"{}")
    look = "ls scenarios/dataset && exec sleep 600"
    process = stage.start(
        workstation_script(place, command=MARK.format(look), dataset="s3://cars/rs/datasets/d1", limit_s=20, grace_s=40)
    )
    wait_for(lambda: place.read_text("checkpoints/first/step") == "1", 100)
    code, said = stage.finish(process)
    assert code == 0, said
    assert "manifest.json" in (place.read_text("run.log") or "")
    outcome = place.read_status()
    assert (outcome.state, outcome.reason) == (JobState.STOPPED, "time limit")
    assert any(call.startswith("stop -t 90") for call in stage.calls("docker"))
    assert stage.calls("shutdown") == ["-h +1", "-h now"]
    assert any("install -y -q docker.io tmux" in call for call in stage.calls("apt-get"))


@needs_tmux
def test_a_workstation_that_nobody_uses_stops(stage: Stage, place: JobFolder) -> None:
    code, said = stage.run(workstation_script(place, command=MARK.format("true"), idle_s=8))
    assert code == 0, said
    assert place.read_status().reason == "idle for 8 s"
    assert place.read_text("checkpoints/first/step") == "1"
    assert PLACE == place.url
