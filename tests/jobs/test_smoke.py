"""`infra/smoke.sh`, which tries jobs on a real account, on the stand-in of one: its commands and their answers."""

import contextlib
import io
import json
import os
import re
import subprocess
import threading
from pathlib import Path

import boto3
import pytest

from roadsense.cli import main
from tests.jobs.conftest import REGION
from tests.jobs.sagemaker_stand_in import Story, told
from tests.jobs.small_notebooks import ROOT
from tests.jobs.test_ec2 import IMAGE, account, end_machine, machines
from tests.jobs.test_sagemaker import leave

__all__ = ["account"]

OUTPUT = "s3://bucket/roads"
FIGURE = "roadsense_metric timesteps=4096\n"
COMMAND = """#!/bin/bash
# Hands its arguments to the test, and says what that answers: to start Python for each would take most of the time.
call=$STAGE/$BASHPID
mkfifo "$call.answer"
printf '%s\\n' "$@" >"$call.part"
mv "$call.part" "$call.call"
{ read -r code; cat; } <"$call.answer"
exit "$code"
"""


class Stage:
    """Runs the script; answers its commands in this process, and does what machines do meanwhile."""

    def __init__(self, folder: Path, dataset: Path):
        tools = folder / "bin"
        tools.mkdir()
        for name, text in {"roadsense": COMMAND, "sleep": "#!/bin/bash\n"}.items():
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        self.folder, self.commands, self.said = folder, list[str](), dict[str, str]()
        own = {"STAGE": str(folder), "OUTPUT": OUTPUT, "IMAGE": IMAGE, "DATASET": str(dataset)}
        self.environment = {
            **os.environ, **own, "ROLE": "arn:aws:iam::123456789012:role/r", "PATH": f"{tools}:{os.environ['PATH']}",
        }  # fmt: skip

    def run(self, *words: str) -> int:
        script = subprocess.Popen(["bash", ROOT / "infra" / "smoke.sh", *words], env=self.environment)
        pause = threading.Event()
        try:
            while script.poll() is None:
                for call in self.folder.glob("*.call"):
                    self._answer(call)
                pause.wait(0.02)
        finally:
            script.kill()
        return script.returncode

    def _answer(self, call: Path) -> None:
        words = call.read_text().splitlines()
        call.unlink()
        self.commands.append(words[1])
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            code = main(words)
        self.said[" ".join(words)] = shown.getvalue()
        call.with_suffix(".answer").write_text(f"{code}\n{shown.getvalue()}")


@pytest.fixture
def stage(account, tmp_path, monkeypatch, small_dataset):
    monkeypatch.chdir(tmp_path)
    for name in ("notebooks", "scenarios"):
        (tmp_path / name).symlink_to(ROOT / name)
    boto3.client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
    return Stage(tmp_path, small_dataset.folder)


def test_by_default_it_shows_three_requests_and_prices_below_3_usd_and_starts_nothing(stage):
    assert stage.run() == 0
    assert stage.commands == ["submit"] * 3
    plans = [json.loads(text)["request"] for text in stage.said.values()]
    operations = [plan["calls"][-1]["operation"] for plan in plans]
    assert operations == ["RunInstances", "CreateTrainingJob", "CreateHyperParameterTuningJob"]
    highest = [float(re.match(r"at most (\S+) USD", plan["price"])[1]) for plan in plans]
    n_machines = (4, 1, 1)  # on EC2: the first, the resumed one, and two more after spot interruptions
    assert sum(usd * n for usd, n in zip(highest, n_machines, strict=True)) < 3
    assert machines() == []
    assert boto3.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []


def test_with_run_it_interrupts_resumes_follows_and_fetches_all_three(stage, monkeypatch, capfd):
    endings = {"stop": "it was asked to stop", "logs": ""}
    with told(Story()) as story:

        def _work(_pause_s):
            """What machines do while a command waits for them."""
            command = stage.commands[-1]
            if command in endings and machines()[-1]["State"]["Name"] == "running":
                place = next(tag["Value"] for tag in machines()[-1]["Tags"] if tag["Key"] == "roadsense:place")
                end_machine(place, stopped=endings[command], **{"run.log": FIGURE, "manifest.sha256.json": "{}"})

        def _begin(words):
            """What is there before a command looks."""
            name = words[2] if len(words) > 2 else ""
            if words[1] == "status":  # the machine has begun
                key = f"roads/jobs/{name}/run.log"
                boto3.client("s3").put_object(Bucket="bucket", Key=key, Body=FIGURE.encode())
            if words[1] == "fetch" and "-ec2-" not in name:
                job = f"{name}-001" if "-hpo-" in name else name
                leave(job, model__zip=name.encode())
                if job != name:
                    story.trials[name] = [finish_trial(job)]

        monkeypatch.setattr("roadsense.jobs.cli.time.sleep", _work)
        monkeypatch.setattr(stage, "_answer", lambda call: (_begin(call.read_text().splitlines()), answer(call)))
        answer = Stage._answer.__get__(stage)
        assert stage.run("--run") == 0
    expected = ["metrics", "status", "metrics", "stop", "resume", "logs", "logs", "logs"]
    assert stage.commands == ["submit"] * 3 + expected + ["fetch"] * 3 + ["list"]
    assert len(machines()) == 2
    assert "All three parts ended as they should." in capfd.readouterr().out
    fetched = sorted(path.read_bytes().decode() for path in (stage.folder / "runs").glob("*/model/model.zip"))
    assert [re.sub(r"-\d+$", "", name) for name in fetched] == ["roadsense-smoke-hpo", "roadsense-smoke-sm"]


def finish_trial(job):
    """Makes a trial's training, and returns what SageMaker lists of it."""
    client = boto3.client("sagemaker")
    (other,) = client.list_training_jobs()["TrainingJobSummaries"]
    sent = client.describe_training_job(TrainingJobName=other["TrainingJobName"])
    own = ("AlgorithmSpecification", "RoleArn", "OutputDataConfig", "ResourceConfig", "StoppingCondition")
    client.create_training_job(TrainingJobName=job, **{name: sent[name] for name in own})
    metric = {"MetricName": "eval_score", "Value": 0.5}
    arn = f"arn:aws:sagemaker:{REGION}:123456789012:training-job/{job}"
    return {
        "TrainingJobName": job, "TrainingJobArn": arn, "CreationTime": 1.7e9, "TrainingJobStatus": "Completed",
        "TunedHyperParameters": {}, "FinalHyperParameterTuningJobObjectiveMetric": metric,
    }  # fmt: skip
