"""The program: one entry, its commands, their exit codes."""

import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import nbformat
import pytest

from roadsense.cli import COMMANDS, main
from roadsense.utils.command import run_command


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(command):
    done = subprocess.run(
        [sys.executable, "-m", "roadsense.cli", command, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "--help" in done.stdout


def test_usage_lists_the_commands(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert all(command in printed for command in COMMANDS)


def test_an_unknown_command_is_wrong_input(capsys):
    assert main(["fly"]) == 2
    assert "got 'fly'. The commands are gen-scenarios, " in capsys.readouterr().err
    assert main(["evalute"]) == 2
    assert "got 'evalute'. Did you mean 'evaluate'?" in capsys.readouterr().err


def test_the_version_is_the_packages(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"roadsense {version('roadsense')}\n"


@pytest.mark.parametrize("module", ["gen_scenarios", "train_convoy", "evaluate", "export", "replay"])
def test_modules_are_programs_too(module):
    command = [sys.executable, "-m", f"roadsense.{module}", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--help" in done.stdout
    assert "Raises:" not in done.stdout


def test_ctrl_c_ends_a_command_without_a_traceback(capsys):
    def _press_ctrl_c():
        signal.raise_signal(signal.SIGINT)

    assert run_command(_press_ctrl_c) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_runs_takes_one_folder_or_a_question_and_a_run(tmp_path, capsys):
    assert main(["runs", str(tmp_path), str(tmp_path)]) == 2
    assert main(["runs", "lineage"]) == 2
    assert "Expected one folder, or lineage RUN, or reproduce RUN" in capsys.readouterr().err
    assert main(["runs", "lineage", str(tmp_path)]) == 2
    assert "Expected the folder of a run" in capsys.readouterr().err


def test_verify_finds_what_was_changed(dataset_copy, capsys):
    assert main(["verify", str(dataset_copy)]) == 0
    next(dataset_copy.rglob("routes.rou.xml")).write_text("<routes/>")
    assert main(["verify", str(dataset_copy)]) == 2
    assert "routes.rou.xml" in capsys.readouterr().err


def test_run_parses_and_checks_parameters(tmp_path, capsys):
    cell = nbformat.v4.new_code_cell("n: int = 1  # how many\nloud: bool = False  # or not")
    cell.metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_code_cell("print('n is', n, loud)")])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    source, output = tmp_path / "source.ipynb", tmp_path / "out.ipynb"
    nbformat.write(notebook, source)
    assert main(["run", str(source), "--output", str(output), "-p", "n", "7", "-p", "loud", "true"]) == 0
    assert "n is 7 True" in capsys.readouterr().out
    assert Path(output).is_file()
    assert main(["run", str(source), "--output", str(tmp_path / "b.ipynb"), "-p", "m", "7"]) == 2
    assert "got 'm'" in capsys.readouterr().err
    assert not (tmp_path / "b.ipynb").exists()


def test_runs_lists_nothing_where_nothing_is(tmp_path, capsys):
    assert main(["runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""
