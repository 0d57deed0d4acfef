"""What docker/run_docker.sh asks of an engine, told by a stand-in for one that writes down its arguments."""

import os
import socket
import subprocess

import pytest

from roadsense.jobs.local.engine import MOST_PROCESSES, Container
from tests.container.conftest import ROOT

SCRIPT = ROOT / "docker" / "run_docker.sh"
ENGINE = """#!/bin/sh
for last; do :; done
case $1 in
  --version) echo "$NAME version 9" ;;
  image) grep -qxF -e "$last" "$IMAGES" && echo of-another-commit ;;
  build)
    printf '%s\\0' "$@" > "$ASKED.build"
    while [ "$1" != -t ]; do shift; done
    echo "$2" >> "$IMAGES" ;;
  run) printf '%s\\0' "$@" > "$ASKED" ;;
esac
"""


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Runs the script; returns the arguments of the engine's `run` or `build`, and what the script complained of."""
    program, asked, images = tmp_path / "engine", tmp_path / "asked", tmp_path / "images"
    program.write_text(ENGINE)
    program.chmod(0o755)
    images.write_text("roadsense:run\nroadsense:export\nroadsense:lab\nroadsense:gui\nroadsense:test\n")
    for name, value in {"ROADSENSE_ENGINE": program, "ROADSENSE_RUNS": tmp_path / "my runs"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("ASKED", str(asked))
    monkeypatch.setenv("IMAGES", str(images))
    monkeypatch.setenv("NAME", "docker")
    monkeypatch.delenv("ROADSENSE_IMAGE", raising=False)

    def run(*words, code=0, last="asked"):
        done = subprocess.run([SCRIPT, *words], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == code, done.stderr
        path = tmp_path / last
        return (path.read_text().split("\0")[:-1] if path.exists() else []), done.stderr

    return run


def behind_image(arguments, image):
    return arguments[arguments.index(image) + 1 :]


@pytest.mark.parametrize(
    ("words", "image", "command"),
    [
        (["train", "--run_dir", "runs/a b"], "run", ["roadsense", "train", "--run_dir", "runs/a b"]),
        (["generate", "--seed", "1"], "run", ["roadsense", "gen-scenarios", "--seed", "1"]),
        (["evaluate"], "run", ["roadsense", "evaluate"]),
        (["export", "--run_dir", 'runs/"x"'], "export", ["roadsense", "export", "--run_dir", 'runs/"x"']),
        (["run", "notebooks/01_train.ipynb", "-p", "v2v", ""], "run", ["roadsense", "run", ..., "-p", "v2v", ""]),
        (["run", "notebooks/03_export.ipynb"], "export", ["roadsense", "run", "notebooks/03_export.ipynb"]),
        (["test", "tests/envs", "-k", "a or b"], "test", ["python", ..., "tests/envs", "-k", "a or b"]),
        (["test"], "test", ["python", ..., *(ROOT / "docker" / "quick_tests.txt").read_text().split()]),
        (["bash", "-c", "exit 3"], "run", ["bash", "-c", "exit 3"]),
    ],
    ids=lambda value: "-".join(value[:2]) if isinstance(value, list) and ... not in value else "",
)
def test_each_command_runs_in_its_image_with_its_arguments(ask, words, image, command):
    arguments, _ = ask(*words)
    asked = [arguments[arguments.index("--entrypoint") + 1], *behind_image(arguments, f"roadsense:{image}")]
    begin, end = (command[: command.index(...)], command[command.index(...) + 1 :]) if ... in command else (command, [])
    assert asked[: len(begin)] == begin
    assert asked[len(asked) - len(end) :] == end
    assert ... in command or asked == command
    assert "--read-only" in arguments
    assert "--network=none" in arguments
    assert {"--cap-drop=ALL", "--security-opt=no-new-privileges", "--pids-limit=4096"} <= set(arguments)
    assert any(word.startswith("--memory=") for word in arguments)


def test_a_job_gets_no_more_rights_and_bounded_memory_and_processes():
    options = Container("image").options()
    assert {"--cap-drop=ALL", "--security-opt=no-new-privileges", "--read-only", "--network=none"} <= set(options)
    assert f"--pids-limit={MOST_PROCESSES}" in options
    (memory,) = [word.partition("=")[2] for word in options if word.startswith("--memory=")]
    with open("/proc/meminfo") as file:
        has_bytes = 1024 * int(file.readline().split()[1])
    assert 0.85 * has_bytes < int(memory.removesuffix("b")) < has_bytes


def test_jupyterlab_is_reached_from_this_machine_alone_and_keeps_its_token(ask, monkeypatch):
    monkeypatch.setenv("ROADSENSE_PORT", "9999")
    arguments, _ = ask("lab")
    assert arguments[arguments.index("--publish") + 1] == "127.0.0.1:9999:9999"
    assert [word for word in arguments if word.startswith("--network")] == ["--network=bridge"]
    lab = behind_image(arguments, "roadsense:lab")
    assert "--port=9999" in lab
    assert not [word for word in lab if "token" in word or "password" in word]


def test_folders_are_mounted_and_files_belong_to_the_caller(ask, tmp_path, monkeypatch):
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.delenv("SUDO_GID", raising=False)
    arguments, _ = ask("train")
    mounts = [word.removeprefix("--mount=") for word in arguments if word.startswith("--mount=")]
    assert f"type=bind,source={tmp_path / 'my runs'},target=/opt/roadsense/runs" in mounts
    assert f"type=bind,source={ROOT / 'scenarios'},target=/opt/roadsense/scenarios" in mounts
    assert arguments[arguments.index("--user") + 1] == f"{os.getuid()}:{os.getgid()}"
    if os.geteuid() == 0:
        monkeypatch.setenv("SUDO_UID", "1234")
        monkeypatch.setenv("SUDO_GID", "1235")
        arguments, _ = ask("train")
        assert arguments[arguments.index("--user") + 1] == "1234:1235"
        assert (tmp_path / "my runs").stat().st_uid == 1234


def test_a_window_needs_a_display_and_gets_it(ask, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    assert "X11 display" in ask("gui", code=2)[1]
    monkeypatch.setenv("DISPLAY", ":7")
    arguments, _ = ask("gui", "-c", "scenarios/base/rural_curve/scenario.sumocfg")
    assert arguments[arguments.index("--env") + 1] == "DISPLAY"
    assert "/tmp/.X11-unix:/tmp/.X11-unix" in arguments
    assert behind_image(arguments, "roadsense:gui")[0] == "-c"


def test_an_image_that_is_missing_is_built_and_an_old_one_is_told(ask, tmp_path):
    assert "renew it with" in ask("train")[1]
    (tmp_path / "images").write_text("")
    ask("bash")
    built, _ = ask("build", "lab", last="asked.build")
    assert built[built.index("--target") + 1] == "lab"
    assert built[-1] == str(ROOT)
    assert "--format=docker" not in built


def test_an_image_of_one_s_own_is_never_built(ask, tmp_path, monkeypatch):
    monkeypatch.setenv("ROADSENSE_IMAGE", "example.org/mine:1")
    assert "Pull it" in ask("train", code=2)[1]
    (tmp_path / "images").write_text("example.org/mine:1\n")
    arguments, complaints = ask("train")
    assert behind_image(arguments, "example.org/mine:1") == ["train"]
    assert complaints == ""


def test_podman_is_known_by_what_it_says_of_itself(ask, monkeypatch):
    monkeypatch.setenv("NAME", "podman")
    assert "--format=docker" in ask("build", last="asked.build")[0]


def test_what_an_engine_would_say_badly_is_said_before(ask, tmp_path, monkeypatch):
    assert "Expected a target of run, export, lab, gui and test, got 'rum'" in ask("build", "rum", code=2)[1]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("ROADSENSE_PORT", str(taken.getsockname()[1]))
        assert "to be free, but something listens on it" in ask("lab", code=2)[1]
    monkeypatch.setenv("ROADSENSE_PORT", "http")
    assert "Expected a number in ROADSENSE_PORT" in ask("lab", code=2)[1]
    monkeypatch.setenv("ROADSENSE_SCENARIOS", str(tmp_path / "nowhere"))
    assert f"Expected a folder for scenarios at {tmp_path}/nowhere, found none" in ask("train", code=2)[1]
    (tmp_path / "a,b").mkdir()
    monkeypatch.setenv("ROADSENSE_SCENARIOS", str(tmp_path / "a,b"))
    assert "Expected a path without a comma" in ask("train", code=2)[1]


def test_wrong_words_and_missing_engines_are_said(ask, monkeypatch):
    assert "got 'trian'" in ask("trian", code=2)[1]
    monkeypatch.setenv("ROADSENSE_ENGINE", "/no/engine")
    assert "Expected /no/engine to answer" in ask("train", code=2)[1]
