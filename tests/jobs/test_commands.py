"""`roadsense job ...` from the command line, and its errors without AWS."""

import json
import re

import boto3
import pytest

from roadsense.cli import main
from roadsense.cloud.session import AccessError
from roadsense.jobs.aws.ec2 import target as ec2_target
from roadsense.jobs.spec import JobSpec, spec_to_json
from tests.jobs.small_notebooks import ROOT, write_notebook
from tests.jobs.test_ec2 import account, end_machine, machines

__all__ = ["account"]

CLOUD = [
    "--target",
    "ec2",
    "--output",
    "s3://roads/jobs",
    "--image",
    "123456789012.dkr.ecr.eu-central-1.amazonaws.com/r:1",
]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("notebooks", "scenarios"):
        (tmp_path / name).symlink_to(ROOT / name)


def run(capsys, *words):
    capsys.readouterr()
    code = main(["job", *words])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_the_whole_way_on_this_machine(tmp_path, capsys):
    notebook = write_notebook(tmp_path, "print('told', n_steps, name, quick, flush=True)")
    given = ["-p", "n_steps", "5", "-p", "name", "007", "-p", "quick", "true"]
    code, out, _ = run(capsys, "submit", str(notebook), *given, "--name", "one", "--follow")
    assert code == 0
    assert out.splitlines()[0] == "one"
    assert "told 5 007 True" in out.splitlines()
    code, out, _ = run(capsys, "status", "one")
    assert (code, json.loads(out)["state"]) == (0, "done")
    code, out, _ = run(capsys, "list")
    assert re.match(r"one +local +done ", out)
    code, out, _ = run(capsys, "list", "--json")
    assert [row["name"] for row in json.loads(out)] == ["one"]
    code, out, _ = run(capsys, "logs", "one")
    assert "told 5 007 True" in out
    code, out, _ = run(capsys, "fetch", "one")
    assert (code, out) == (0, "runs/one\n")
    assert (tmp_path / "runs" / "one" / "model" / "small.ipynb").is_file()
    code, _, err = run(capsys, "fetch", "one")
    assert code == 2
    assert "holds something" in err
    assert run(capsys, "stop", "one")[0] == 0


def test_a_job_that_failed_goes_on_as_it_was_submitted(tmp_path, capsys):
    cell = "from pathlib import Path\nassert Path('mended').exists(), 'not mended'\nprint('told', n_steps, flush=True)"
    notebook = write_notebook(tmp_path, cell)
    assert run(capsys, "submit", str(notebook), "-p", "n_steps", "6", "--name", "again", "--follow")[0] == 1
    (tmp_path / "mended").touch()
    assert run(capsys, "resume", "again")[0] == 0
    code, out, _ = run(capsys, "logs", "again", "--follow")
    assert code == 0
    assert "told 6" in out
    assert run(capsys, "resume", "again")[0] == 2  # it is done


def test_a_followed_job_that_fails_is_an_error(tmp_path, capsys):
    notebook = write_notebook(tmp_path, "raise ValueError('no gap')")
    code, _, err = run(capsys, "submit", str(notebook), "--follow")
    assert code == 1
    assert "no gap" in err


@pytest.mark.parametrize("words", [["01_train", "-p", "total_timesteps", "many"], ["01_train", "--max_hours", "0"]])
def test_wrong_input_starts_nothing(tmp_path, capsys, words):
    code, out, err = run(capsys, "submit", *words)
    assert (code, out) == (2, "")
    assert words[-1] in err
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_prints_one_object_and_starts_nothing(tmp_path, capsys):
    code, out, _ = run(capsys, "submit", "01_train", "-p", "seed", "3", "--name", "dry", "--dry_run")
    shown = json.loads(out)
    assert code == 0
    assert shown["spec"]["parameters"] == {"seed": 3}
    assert shown["request"]["calls"][0]["command"][-1] == "roadsense.jobs.runner"
    assert shown["request"]["calls"][0]["environment"]["TRAINING_JOB_NAME"] == "dry"
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_for_ec2_shows_its_requests_without_credentials(no_aws, capsys):
    code, out, _ = run(
        capsys, "submit", "01_train", "--name", "roadsense-dry", *CLOUD, "--region", "eu-central-1", "--dry-run"
    )
    assert code == 0
    request = json.loads(out)["request"]
    (launch,) = [call for call in request["calls"] if call["operation"] == "RunInstances"]
    assert launch["request"]["InstanceInitiatedShutdownBehavior"] == "terminate"


def test_a_file_of_a_spec_is_taken_and_options_win(tmp_path, capsys):
    spec = JobSpec("01_train", {"seed": 3, "total_timesteps": 7}, name="filed", max_hours=2.0, tags={"team": "a"})
    spec_to_json(spec, tmp_path / "my_job.json")
    words = ["my_job.json", "-p", "seed", "4", "--max-hours", "1", "-t", "team", "b", "--dry_run"]
    shown = json.loads(run(capsys, "submit", *words)[1])["spec"]
    assert shown["parameters"] == {"seed": 4, "total_timesteps": 7}
    assert (shown["name"], shown["max_hours"], shown["tags"]) == ("filed", 1.0, {"team": "b"})


def test_a_dataset_is_published_by_its_digest(aws, capsys, small_dataset):
    boto3.client("s3").create_bucket(Bucket="roads", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    code, out, _ = run(capsys, "publish", str(small_dataset.folder), "s3://roads/mine")
    assert (code, out) == (0, f"s3://roads/mine/datasets/{small_dataset.digest}\n")


@pytest.mark.parametrize("command", ["status", "logs", "stop", "fetch"])
def test_a_job_nobody_submitted_here_is_said(capsys, command):
    code, _, err = run(capsys, command, "nobody")
    assert code == 2
    assert "--target" in err


def test_without_a_region_or_credentials_the_error_names_them(no_aws, capsys, monkeypatch):
    code, _, err = run(capsys, "submit", "01_train", *CLOUD)
    assert code == 2
    assert "region" in err
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    code, _, err = run(capsys, "submit", "01_train", *CLOUD, "--yes")
    assert code == 2
    assert "credentials" in err
    assert "Traceback" not in err


def test_expired_credentials_are_told_as_such(aws, capsys, monkeypatch):
    from botocore.awsrequest import AWSResponse

    class _Raw:
        def stream(self, **_):
            yield b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"

    def _answer(request, **_):
        return AWSResponse(request.url, 400, {}, _Raw())

    from roadsense.jobs.aws.ec2 import folder

    make = folder.make_client

    def _make(*arguments, **options):
        client = make(*arguments, **options)
        client.meta.events.register("before-send", _answer)
        return client

    monkeypatch.setattr(folder, "make_client", _make)
    code, _, err = run(capsys, "submit", "01_train", *CLOUD, "--yes")
    assert code == 2
    assert "have run out" in err


def test_without_a_terminal_nothing_that_costs_is_started_unless_it_was_confirmed(aws, capsys):
    code, _, err = run(capsys, "submit", "01_train", "--name", "roadsense-one", *CLOUD)
    assert code == 2
    assert "RunInstances" in err
    assert "Price: at most" in err
    assert "--yes" in err
    assert not boto3.client("ec2").describe_instances()["Reservations"]
    assert run(capsys, "list", "--target", "ec2")[1] == ""


def test_the_request_that_was_shown_is_the_one_that_is_sent(account, capsys, tmp_path):
    words = ["01_train", "--name", "roadsense-one", "--target", "ec2", "--output", "s3://cars/rs", *CLOUD[4:]]
    assert run(capsys, "submit", *words, "--yes")[0] == 0
    (machine,) = machines()
    record = json.loads((tmp_path / "runs" / "jobs" / "roadsense-one" / "job.json").read_text())
    assert record["request"]["calls"][-1]["request"]["ClientToken"] == machine["ClientToken"]
    assert run(capsys, "list", "--target", "ec2")[1].startswith("roadsense-one")


def test_a_finished_job_on_ec2_stays_in_the_list_with_its_state(account, capsys):
    words = ["01_train", "--name", "roadsense-one", "--target", "ec2", "--output", "s3://cars/rs", *CLOUD[4:]]
    assert run(capsys, "submit", *words, "--yes")[0] == 0
    end_machine("s3://cars/rs/jobs/roadsense-one")
    assert re.match(r"roadsense-one +ec2 +done ", run(capsys, "list", "--target", "ec2")[1])


def test_a_start_that_is_refused_leaves_the_records_as_they_were(account, capsys, tmp_path):
    words = ["01_train", "--target", "ec2", "--output", "s3://cars/rs", *CLOUD[4:], "--yes", "--name"]
    assert run(capsys, "submit", *words, "roadsense-one")[0] == 0
    record = tmp_path / "runs" / "jobs" / "roadsense-one" / "job.json"
    before = record.read_text()
    code, _, err = run(capsys, "submit", *words, "roadsense-one", "-p", "seed", "7")
    assert (code, "another parameters" in err, record.read_text()) == (2, True, before)
    boto3.client("iam").delete_instance_profile(InstanceProfileName="roadsense-instance")
    assert run(capsys, "submit", *words, "roadsense-two")[0] == 1
    assert run(capsys, "status", "roadsense-two")[0] == 2
    elsewhere = {"name": "roadsense-three", "job_id": "s3://cars/rs/jobs/roadsense-three", "target": "ec2"}
    (record.parent.with_name("roadsense-three")).mkdir()
    (record.parent.with_name("roadsense-three") / "job.json").write_text(json.dumps(elsewhere))
    code, out, _ = run(capsys, "list", "--target", "ec2")
    assert (code, [line.split()[0] for line in out.splitlines()]) == (0, ["roadsense-one"])


def test_a_machine_whose_start_was_broken_off_before_the_answer_is_found_by_the_jobs_name(account, capsys, monkeypatch):
    words = ["01_train", "--name", "roadsense-one", "--target", "ec2", "--output", "s3://cars/rs", *CLOUD[4:], "--yes"]
    start = ec2_target.run_machine

    def start_and_die(plan):
        start(plan)
        raise KeyboardInterrupt

    monkeypatch.setattr(ec2_target, "run_machine", start_and_die)
    assert run(capsys, "submit", *words)[0] == 130
    code, out, _ = run(capsys, "status", "roadsense-one")
    assert (code, json.loads(out)["state"]) == (0, "running")
    code, _, err = run(capsys, "submit", *words)
    assert (code, "is running" in err, len(machines())) == (2, True, 1)


def test_a_followed_job_is_started_again_when_its_spot_machine_is_taken_away(account, capsys, monkeypatch):
    words = ["01_train", "--name", "roadsense-one", "--target", "ec2", "--output", "s3://cars/rs", *CLOUD[4:]]
    assert run(capsys, "submit", *words, "--spot", "--yes")[0] == 0
    endings = iter(["spot interruption", "spot interruption", ""])

    def _end(_pause_s):
        if machines()[-1]["State"]["Name"] == "running":  # others sleep, too
            end_machine("s3://cars/rs/jobs/roadsense-one", stopped=next(endings))

    monkeypatch.setattr("roadsense.jobs.aws.ec2.target.time.sleep", _end)
    code, _, err = run(capsys, "logs", "roadsense-one", "--follow", "--resumes", "2")
    assert (code, len(machines())) == (0, 3)
    assert "roadsense-one: done." in err


@pytest.mark.parametrize("name", ["mine", "Roadsense-x"])
def test_a_name_that_the_policies_do_not_allow_is_refused_before_anything_is_sent(aws, capsys, name):
    code, _, err = run(capsys, "submit", "01_train", "--name", name, *CLOUD, "--yes")
    assert code == 2
    assert "roadsense-" in err


def test_a_secret_is_refused_on_every_target_of_aws(aws, capsys, small_dataset):
    for target, role in (("ec2", "r"), ("sagemaker", "arn:aws:iam::123456789012:role/r")):
        words = ["--target", target, *CLOUD[2:], "--role", role, "-t", "api_key", "x"]
        code, _, err = run(capsys, "submit", "01_train", *words, "--yes")
        assert code == 2
        assert "api_key" in err


@pytest.mark.parametrize("text", ["-from_date=2026-01-01", "--x", "-3", '"quoted"'])
def test_a_parameter_may_begin_with_a_hyphen_and_keeps_its_quotes(tmp_path, capsys, text):
    notebook = write_notebook(tmp_path, "print('got', name, flush=True)")
    code, out, _ = run(capsys, "submit", str(notebook), "-p", "name", text, "--name", "one", "--follow")
    assert code == 0
    expected = "quoted" if text.startswith('"') else text
    assert f"got {expected}" in out.splitlines()


def test_a_listing_of_everything_tells_which_targets_did_not_answer(no_aws, capsys):
    code, out, err = run(capsys, "list", "--all")
    assert (code, out) == (0, "")
    assert "ec2: not listed" in err
    assert run(capsys, "list", "--target", "ec2")[0] == 2


def test_a_region_that_refuses_hides_nothing_of_the_others(account, capsys, monkeypatch):
    words = ["01_train", "--name", "roadsense-one", "--target", "ec2", "--output", "s3://cars/rs", *CLOUD[4:]]
    assert run(capsys, "submit", *words, "--yes")[0] == 0

    def ask(region, real=ec2_target.list_costing):
        if region == "us-east-1":  # as where an organisation's policy allows only some regions
            raise AccessError("AWS refused DescribeInstances", "UnauthorizedOperation")
        return real(region)

    monkeypatch.setattr(ec2_target, "list_costing", ask)
    code, out, err = run(capsys, "list", "--all", "--target", "ec2")
    assert (code, out.split()[0]) == (1, "roadsense-one")
    assert "us-east-1" in err
    code, out, err = run(capsys, "list", "--all")
    assert (code, "roadsense-one" in out) == (0, True)
    assert "ec2: not all listed." in err


def test_a_job_is_found_in_the_region_it_was_submitted_to(account, capsys, monkeypatch):
    words = ["01_train", "--name", "roadsense-one", "--target", "ec2", "--output", "s3://cars/rs", *CLOUD[4:]]
    assert run(capsys, "submit", *words, "--yes")[0] == 0
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    assert json.loads(run(capsys, "status", "roadsense-one")[1])["state"] == "running"


def test_help_names_every_command(capsys):
    code, out, _ = run(capsys)
    assert code == 0
    for name in ("submit", "list", "status", "logs", "stop", "fetch", "rehearse", "trials"):
        assert f"  {name} " in out
    assert run(capsys, "sumbit")[0] == 2
