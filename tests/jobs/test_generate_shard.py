"""A generation rehearsed: its machines as processes in the folders of SageMaker's containers, S3 and the job's
description at a stand-in over HTTP, everything in between the real thing."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from roadsense.augment.config import GenConfig
from roadsense.cloud.checksums import TransferError
from roadsense.cloud.storage import fetch_dataset, upload_folder
from roadsense.errors import DatasetError, InputError
from roadsense.jobs.commands import main
from roadsense.jobs.generate import start_generation
from roadsense.jobs.generate_shard import run_shard
from roadsense.jobs.generated import merge_shards
from roadsense.jobs.generation import hash_inputs, list_inputs, spell_settings
from roadsense.jobs.layout import ROOT_VARIABLE
from roadsense.jobs.processing_plan import plan_generation
from roadsense.jobs.records import find_record, read_submitted_spec
from roadsense.jobs.sagemaker import SageMakerTarget
from roadsense.jobs.shard_layout import DIGEST_VARIABLE, ShardLayout, name_shard
from roadsense.jobs.target import JobError, JobState
from roadsense.scenarios.dataset import Dataset
from tests.jobs.conftest import REGION
from tests.jobs.sagemaker_stand_in import Story, told
from tests.jobs.test_processing_request import SPEC
from tests.test_gen_scenarios import files_of

HOSTS = ("algo-2", "algo-1")
"""As `resourceconfig.json` lists them: in no order."""


class Machine:
    """One of a job's machines: its folder as SageMaker lays it out, and the process that is its container."""

    def __init__(self, root: Path, config: GenConfig, host: str, hosts: tuple[str, ...] = HOSTS) -> None:
        self.layout = ShardLayout(root)
        self.layout.resources_path.parent.mkdir(parents=True)
        self.layout.resources_path.write_text(json.dumps({"current_host": host, "hosts": hosts}))
        self.digest = hash_inputs(list_inputs(config))
        for name, path in list_inputs(config).items():
            target = self.layout.input_dir / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        self.log_path, self.words = root / "log", spell_settings(config)

    def start(self) -> "Machine":
        command = [sys.executable, "-m", "roadsense.jobs.generate_shard", *self.words]
        own = {ROOT_VARIABLE: str(self.layout.root), DIGEST_VARIABLE: self.digest}
        with self.log_path.open("w") as log:
            self.process = subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=subprocess.STDOUT)
        return self

    def end(self) -> int:
        try:
            return self.process.wait(300)
        finally:
            self.process.kill()

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    @property
    def message(self) -> str:
        return self.layout.message_path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def config(tiny_bases):
    """The settings of the small dataset, which one machine has made."""
    return GenConfig(tiny_bases, seed=0, n_train=4, n_eval=2, workers=2, n_shards=2)


@pytest.fixture(scope="module")
def machines(config, tmp_path_factory):
    """Two machines that have done their share."""
    folder = tmp_path_factory.mktemp("machines")
    started = [Machine(folder / host, config, host).start() for host in HOSTS]
    codes = [machine.end() for machine in started]
    assert codes == [0, 0], [machine.log for machine in started]
    return started


@pytest.fixture
def job(aws, config, machines, tmp_path, monkeypatch):
    """A job that was submitted and whose machines' folders are on S3; its name."""
    monkeypatch.chdir(tmp_path)
    with told(Story()) as story:
        boto3.client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        name = start_generation(plan_generation(SPEC, config))
        for machine in machines:  # as SageMaker does at the end of a job
            upload_folder(machine.layout.output_dir, f"s3://bucket/roads/jobs/{name}/shards")
        yield name, story


def test_machines_prove_their_share_by_the_order_of_their_names(machines):
    second, first = machines
    assert [path.name for path in first.layout.output_dir.iterdir()] == [name_shard(0)]
    assert [path.name for path in second.layout.output_dir.iterdir()] == [name_shard(1)]
    assert "shard 0 of 2: complete" in first.log
    assert not first.layout.message_path.exists()


def test_the_dataset_of_the_shards_is_the_one_a_single_machine_makes(job, small_dataset, tmp_path, monkeypatch, capsys):
    def refuse(*_arguments, **_options):
        raise AssertionError("what the shards have measured is measured again")

    monkeypatch.setattr("roadsense.episodes.difficulty._measure_in_processes", refuse)
    monkeypatch.setattr("roadsense.augment.validation.filling.prove", refuse)
    folder = tmp_path / "merged"
    assert main(["fetch", job[0], "--folder", str(folder), "--publish", "s3://bucket/roads"]) == 0
    url = f"s3://bucket/roads/datasets/{small_dataset.digest}"
    assert capsys.readouterr().out.split() == [str(folder), url]
    assert files_of(folder) == files_of(small_dataset.folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["merged", "runs"]
    assert Dataset.open(fetch_dataset(url, tmp_path / "cache")).digest == small_dataset.digest


def test_a_byte_that_changed_on_the_way_is_found_and_nothing_is_put_together(job, tmp_path):
    s3, prefix = boto3.client("s3"), f"roads/jobs/{job[0]}/shards/{name_shard(1)}/"
    keys = [row["Key"] for row in s3.list_objects_v2(Bucket="bucket", Prefix=prefix)["Contents"]]
    route = next(key for key in keys if key.endswith("routes.rou.xml"))
    s3.put_object(Bucket="bucket", Key=route, Body=b"<routes/>")
    with pytest.raises(TransferError, match=r"changed: .*routes\.rou\.xml"):
        SageMakerTarget().fetch(job[0], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_shard_that_is_missing_is_named_and_nothing_is_put_together(job, tmp_path):
    s3, prefix = boto3.client("s3"), f"roads/jobs/{job[0]}/shards/{name_shard(1)}/"
    for row in s3.list_objects_v2(Bucket="bucket", Prefix=prefix)["Contents"]:
        s3.delete_object(Bucket="bucket", Key=row["Key"])
    with pytest.raises(JobError, match="lacks 1 of 2 shards, shard-0001"):
        SageMakerTarget().fetch(job[0], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_shard_that_fails_says_which_and_why_and_nothing_is_put_together(job, config, tmp_path):
    name, story = job
    broken = Machine(tmp_path / "broken", config, "algo-2")
    routes = next(broken.layout.input_dir.glob("bases/*/routes.rou.xml"))
    routes.write_text(routes.read_text().replace("600", "601"))
    assert broken.start().end() == 1
    assert "shard 1 of 2: " in broken.message
    assert "other base scenarios" in broken.message
    story.processing = ("Failed", broken.message, "AlgorithmError: exit code 1")
    target = SageMakerTarget()
    assert target.status(name).state is JobState.FAILED
    with pytest.raises(JobError, match=r"shard 1 of 2: .*other base scenarios.*exit code 1"):
        target.fetch(name, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_job_that_runs_has_left_nothing_yet(job, tmp_path):
    job[1].processing = ("InProgress", "", "")
    with pytest.raises(JobError, match="Fetch it when it is done"):
        SageMakerTarget().fetch(job[0], tmp_path / "merged")


def test_draws_the_gate_refuses_fail_the_machine_with_their_reason(config, tmp_path):
    strict = replace(config, min_split_distance=0.39, max_refusals_per_base=0)
    machine = Machine(tmp_path / "strict", strict, "algo-1", ("algo-1",)).start()
    assert machine.end() == 1
    assert "shard 0 of 1: " in machine.message
    assert "draws refused" in machine.message
    assert len(machine.message.encode()) <= 501


def test_a_machine_that_is_told_to_stop_ends_soon_and_leaves_no_share(config, tmp_path):
    machine = Machine(tmp_path / "stopped", replace(config, n_train=400), "algo-1", ("algo-1",)).start()
    outcomes = machine.layout.output_dir
    end_s = time.monotonic() + 120
    while not list(outcomes.glob(".shard-0000.making/*/outcomes/*.json")):
        assert machine.process.poll() is None, machine.log
        assert time.monotonic() < end_s, machine.log
        time.sleep(0.05)
    machine.process.send_signal(signal.SIGTERM)
    begin_s = time.monotonic()
    assert machine.end() == 143
    assert time.monotonic() - begin_s < 60
    assert machine.message.startswith("shard 0 of 1: stopped by SIGTERM")
    assert [path.name for path in outcomes.iterdir()] == [".shard-0000.making"]


@pytest.mark.parametrize(
    "resources", ['{"current_host": "algo-3", "hosts": ["algo-1"]}', "{}", "no JSON"], ids=["stranger", "empty", "text"]
)
def test_a_machine_that_cannot_tell_which_it_is_says_so(tmp_path, resources, config):
    machine = Machine(tmp_path / "lost", config, "algo-1")
    machine.layout.resources_path.write_text(resources)
    assert run_shard(machine.layout, machine.words, {DIGEST_VARIABLE: machine.digest}) == InputError.exit_code
    assert machine.message.startswith("a shard: Expected the names of the job's machines")


def test_an_error_nobody_expected_is_told_too(tmp_path, config):
    machine = Machine(tmp_path / "full", config, "algo-1")
    machine.layout.output_dir.parent.mkdir(parents=True, exist_ok=True)
    machine.layout.output_dir.write_text("in the way")
    with pytest.raises(OSError, match="processing/output"):
        run_shard(machine.layout, machine.words, {DIGEST_VARIABLE: machine.digest})
    assert re.match(r"shard 0 of 2: \w+Error: ", machine.message)


def test_shards_of_another_number_are_refused(machines, config, tmp_path):
    folders = tuple(machine.layout.output_dir / name_shard(1 - number) for number, machine in enumerate(machines))
    with pytest.raises(DatasetError, match="Expected shard 0 of 2"):
        merge_shards(replace(config, n_shards=1, output_dir=tmp_path / "merged", shards=folders))
    assert not (tmp_path / "merged").exists()


def test_a_generation_is_remembered_as_one(job):
    record = find_record(job[0])
    assert (record.kind, record.target) == ("generation", "sagemaker")
    with pytest.raises(InputError, match="generation of a dataset"):
        read_submitted_spec(record)
