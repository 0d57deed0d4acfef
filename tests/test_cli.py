"""The program: one entry, its commands, their exit codes."""

import os
import re
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import nbformat
import pytest

from roadsense.cli import COMMANDS, GROUPS, main
from roadsense.evaluation.config import EvalConfig
from roadsense.evaluation.enjoy import EnjoyConfig
from roadsense.runs.run import create_run
from roadsense.training.search import SearchConfig
from roadsense.training.train_config import TrainConfig
from roadsense.utils.command import parse_options, run_command


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
    assert "got 'fly'. The commands are init, " in capsys.readouterr().err
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
    assert capsys.readouterr().out == f"No run below {tmp_path}. Train one with `roadsense train`.\n"


def test_the_newest_run_is_meant_where_none_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words in (["runs", "lineage"], ["watch"], ["evaluate"], ["export"]):
        assert main(words) == 2
        assert "run below runs, found none. Train one" in capsys.readouterr().err
    for place, name in enumerate(("old", "new")):
        run = create_run(tmp_path / "runs" / name, TrainConfig(seed=place), {})
        os.utime(run.manifest_path, (place, place))
    assert main(["runs", "lineage"]) == 0
    assert str(Path("runs") / "new") in capsys.readouterr().out


def test_every_command_is_in_a_group_with_an_example():
    assert {command.group for command in COMMANDS.values()} == set(GROUPS)
    assert all(example.split()[1] in COMMANDS for example in GROUPS.values())
    assert all(COMMANDS[example.split()[1]].group == group for group, example in GROUPS.items())


@pytest.mark.parametrize("command", sorted(name for name, command in COMMANDS.items() if command.config))
def test_help_says_what_is_meant_and_nothing_of_the_source(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = capsys.readouterr().out
    assert not re.search(r"\b(Args|Raises|Returns|Attributes|Example):|\{None\}", text)
    assert not re.search(r"--n[-_]workers|--n[-_]steps|^usage: roadsense \S+ \[-h\]( [A-Z]+)* (PATH|STR|INT)", text)


def test_one_name_for_one_thing_and_the_former_ones_too():
    for kind, former in ((TrainConfig, "n_workers"), (EvalConfig, "workers"), (SearchConfig, "n_workers")):
        for word in ("--workers", "--n-workers", "--n_workers"):
            asked = ["--search_dir=a"] if kind is SearchConfig else []
            assert getattr(parse_options(kind, "command", [word, "3", *asked]), former) == 3
    for kind, former in ((TrainConfig, "episode_steps"), (EvalConfig, "n_steps"), (EnjoyConfig, "episode_steps")):
        for word in ("--episode_steps=7", "--episode-steps=7", "--n_steps=7"):
            assert getattr(parse_options(kind, "command", [word]), former) == 7


def test_a_setting_that_may_be_none_is_read_as_its_kind():
    config = parse_options(EnjoyConfig, "command", ["default", "--end_s", "2.5", "--video", "a.gif"])
    assert (config.policy, config.end_s, config.video) == ("default", 2.5, Path("a.gif"))
    assert parse_options(EnjoyConfig, "command", ["--end_s", "None"]).end_s is None


def test_the_tab_key_completes_commands_and_options(tmp_path):
    script = tmp_path / "completion.sh"
    command = [sys.executable, "-m", "roadsense.cli", "completion", "bash"]
    script.write_text(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for words, expected in ((("roadsense", "ev"), "evaluate"), (("roadsense", "evaluate", "--cal"), "--calm-share")):
        setting = f"COMP_WORDS=({' '.join(words)}) COMP_CWORD={len(words) - 1}"
        code = f'source {script}; {setting}; _tyro_roadsense; echo "${{COMPREPLY[@]}}"'
        done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [expected]
