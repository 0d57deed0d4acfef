"""The program: one entry, its commands, their exit codes."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from roadsense.cli import COMMANDS, main


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(command):
    if command == "runs":
        pytest.skip("takes no options")
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
    assert "got 'fly'" in capsys.readouterr().err


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
