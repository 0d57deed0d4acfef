"""What is in the image, how it starts, and that the project works in it."""

import json
import subprocess

import pytest
from packaging.utils import canonicalize_name

from roadsense.jobs.local.engine import Container
from roadsense.utils.git_state import read_git_state
from tests.container.conftest import ROOT
from tests.test_walls import locked

NEEDED = ("boto3", "ipykernel", "libsumo", "papermill", "roadsense", "sb3_contrib", "torch", "traci")
OF_NO_USE = ("jupyterlab", "moto", "mypy", "pytest", "ruff", "sagemaker", "tensorflow", "uv")


def ask(engine, code):
    """Runs Python code in the image, as jobs run, and returns what it printed, from JSON."""
    container = Container("roadsense:run", ["-c", f"import json\nprint(json.dumps({code}))"], entrypoint="python")
    return json.loads(engine.run(["run", "--rm", *engine.user_options(), *container.options()]))


def test_it_holds_what_notebooks_need_and_nothing_else(engine):
    found = "[name for name in {} if __import__('importlib.util').util.find_spec(name)]"
    assert ask(engine, found.format(NEEDED)) == list(NEEDED)
    assert ask(engine, found.format(OF_NO_USE)) == []


def test_every_version_is_that_of_the_lock(engine):
    listing = "[(d.name, d.version) for d in __import__('importlib.metadata').metadata.distributions()]"
    installed = {canonicalize_name(name): version for name, version in ask(engine, listing)}
    versions, tools = locked(), {"pip", "roadsense", "setuptools"}
    assert len(installed) > 80
    assert {name for name in installed if name not in versions} <= tools
    assert not {
        name: v for name, v in installed.items() if name in versions and versions[name].public != v.split("+")[0]
    }


def test_it_starts_the_runner_as_root_and_says_where_it_comes_from(engine):
    (image,) = json.loads(engine.run(["image", "inspect", "roadsense:run"]))
    config = image["Config"]
    assert config["Entrypoint"] == ["python", "-m", "roadsense.jobs.runner"]
    assert not config.get("User")  # root, as SageMaker needs it
    assert config["Labels"]["org.opencontainers.image.revision"] == read_git_state(ROOT).commit
    assert not [name for name in config["Env"] if name.startswith(("AWS_", "PIP_FIND", "PIP_EXTRA"))]


def test_nothing_in_it_can_be_changed_and_no_network_is_reached(engine, run_docker, caller):
    said = run_docker(
        "bash", "-c", "id -u; touch /opt/roadsense/roadsense/x 2>&1; touch /etc/x 2>&1; touch /tmp/x; ls /sys/class/net"
    )
    lines = said.split("\n")
    assert lines[0] == str(caller)
    assert said.count("Read-only file system") == 2
    assert lines[3:-1] == ["lo"]


@pytest.mark.parametrize("words", [["a b", 'c"d', "", "$HOME", "it's", "*", "--x=1 2", "\\"]])
def test_arguments_arrive_unharmed(run_docker, words):
    said = run_docker("bash", "-c", 'printf "%s\\0" "$@"', "bash", *words)
    assert said.split("\0")[:-1] == words


def test_exit_codes_come_out(run_docker):
    run_docker("bash", "-c", "exit 143", code=143)
    run_docker("train", "--dataset_dir", "no where", code=2)
    run_docker("trian", code=2)


def test_a_dataset_is_generated_trained_on_and_judged(run_docker, caller, tmp_path):
    run_docker("generate", "--output_dir", "scenarios/my data", "--n_train", "2", "--n_eval", "1")
    manifest = tmp_path / "scenarios" / "my data" / "manifest.json"
    assert manifest.stat().st_uid == caller
    options = {"total_timesteps": 512, "imitation_timesteps": 0, "n_workers": 2, "rollout_steps": 128}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    run_docker(
        "train", "--dataset_dir", "scenarios/my data/train", "--run_dir", "runs/one", "--eval_interval=0", *words
    )
    run = tmp_path / "runs" / "one"
    assert {path.stat().st_uid for path in run.rglob("*")} == {caller}
    assert json.loads((run / "manifest.json").read_text())["git_commit"] == read_git_state(ROOT).commit
    held_out = ["--dataset_dir", "scenarios/my data/eval", "--episodes_per_scenario", "1"]
    run_docker("evaluate", "--run_dir", "runs/one", *held_out)
    assert list((run / "evaluation").iterdir())


def test_a_short_training_notebook_is_run(run_docker, tmp_path):
    parameters = {"dataset_dir": "scenarios/base/highway_fast", "run_dir": "runs/by notebook", "n_workers": 2}
    small = {"total_timesteps": 1024, "imitation_timesteps": 0}
    words = [word for name, value in {**parameters, **small}.items() for word in ("-p", name, str(value))]
    run_docker("run", "notebooks/01_train.ipynb", *words)
    assert (tmp_path / "runs" / "by notebook" / "model.zip").is_file()
    assert "Trained policy" in (tmp_path / "runs" / "notebooks" / "01_train.ipynb").read_text()


def test_the_quick_tests_pass_in_it(run_docker):
    said = run_docker("test")
    assert " passed" in said
    assert " failed" not in said


def test_sumo_s_window_finds_its_libraries(run_docker):
    find = 'ldd "$(python -c "import sumo; print(sumo.SUMO_HOME)")/bin/sumo-gui"'
    assert "not found" not in run_docker("bash", "-c", find)


def test_the_quick_tests_are_there():
    paths = (ROOT / "docker" / "quick_tests.txt").read_text().split()
    assert len(paths) > 5
    assert [path for path in paths if not (ROOT / path).is_file()] == []


def test_the_shell_scripts_are_clean():
    scripts = sorted((ROOT / "docker").glob("*.sh"))
    assert len(scripts) >= 2
    try:
        done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("shellcheck is not installed; docker/ci.sh installs it")
    assert done.returncode == 0, done.stdout
