"""The script a machine runs: what is in it, and that it is clean."""

import base64
import json
import re
import shutil
import subprocess

import pytest

from roadsense.errors import InputError
from roadsense.jobs.aws.ec2.target import STOP_S
from roadsense.jobs.aws.ec2.user_data import KINDS, MAX_BYTES, MachineSettings, encode_parameters, write_user_data
from roadsense.jobs.inside.signals import GIVE_UP_S
from roadsense.jobs.local.engine import most_memory_bytes

IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/roadsense:0123abc"


def settings(**changes) -> MachineSettings:
    given = {"job": "a-job", "place": "s3://cars/rs/jobs/a-job", "image": IMAGE, "region": "eu-central-1"}
    return MachineSettings(**{**given, "limit_s": 5400, "grace_s": 600, **changes})


@pytest.mark.parametrize("kind", KINDS)
def test_the_script_is_whole_and_clean(kind: str, tmp_path) -> None:
    path = tmp_path / "user-data"
    path.write_text(write_user_data(settings(parameters=encode_parameters({"seed": "1"})), kind))
    assert subprocess.run(["bash", "-n", path], check=False).returncode == 0
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_the_switch_comes_before_anything_that_could_hang(kind: str) -> None:
    script = write_user_data(settings(), kind)
    commands = [line for line in script.splitlines() if line and not re.match(r"\s|#|[A-Z_]+=|set |[{}]", line)]
    assert commands[0].startswith('shutdown -h "+')


def test_the_container_gets_no_more_rights_and_bounded_memory_and_processes() -> None:
    script = write_user_data(settings())
    assert "--cap-drop=ALL --security-opt=no-new-privileges --pids-limit=4096" in script
    (limit,) = re.findall(r'--memory=(".*?k") ', script)
    told = subprocess.run(["bash", "-c", f"printf %s {limit}"], capture_output=True, text=True, check=True).stdout
    assert int(told.removesuffix("k")) * 1024 == pytest.approx(most_memory_bytes(), rel=0.01)


def test_values_are_data_and_never_commands(tmp_path) -> None:
    mark = tmp_path / "mark"
    evil = f"$(touch {mark}) `touch {mark}`; touch {mark} ' \" #"
    script = write_user_data(settings(notebook=evil, dataset=evil))
    block = script[: script.index("ROOT=")] + 'printf %s "$NOTEBOOK$DATASET"'
    done = subprocess.run(["bash", "-c", block], capture_output=True, text=True, check=True)
    assert done.stdout == evil + evil
    assert not mark.exists()


def test_parameters_travel_as_the_file_the_job_reads() -> None:
    texts = {"seed": "1", "reason": 'it\'s "quoted" - ünïcode', "lengths": "[1, 2]"}
    script = write_user_data(settings(parameters=encode_parameters(texts)))
    found = re.search(r"PARAMETERS=(\S+)", script)
    assert found
    assert json.loads(base64.b64decode(found[1])) == texts


def test_a_container_has_time_to_gather_its_results_before_it_is_killed() -> None:
    assert GIVE_UP_S + 5 < settings().stop_s == STOP_S < 120


def test_a_script_that_is_too_long_is_refused() -> None:
    small = len(write_user_data(settings()).encode())  # with two quotation marks for no parameters
    assert small < 0.6 * MAX_BYTES
    with pytest.raises(InputError, match="parameters"):
        write_user_data(settings(parameters="x" * (MAX_BYTES - small + 3)))
    assert len(write_user_data(settings(parameters="x" * (MAX_BYTES - small + 2))).encode()) <= MAX_BYTES


@pytest.mark.parametrize(
    ("system", "expected"),
    [("ubuntu", "snap install aws-cli --classic --channel=v2/stable"), ("al2023", "dnf install -y -q awscli-2")],
)
def test_the_aws_cli_is_version_2(system: str, expected: str, tmp_path) -> None:
    functions = re.search(r"^install_cli\(\) \{.*?^\}", write_user_data(settings()), re.MULTILINE | re.DOTALL)
    assert functions
    # What installs is only written down, and no other `aws` is found.
    given = f'retry() {{ echo "$@"; }}\nln() {{ :; }}\nSYSTEM={system}\n{functions[0]}\ninstall_cli'
    done = subprocess.run(["/bin/bash", "-c", given], capture_output=True, text=True, env={"PATH": str(tmp_path)})
    assert (done.returncode, done.stdout.strip()) == (0, expected)
