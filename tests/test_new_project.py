"""A new project: what is put into it, and that it works from anywhere."""

import json
import subprocess
from pathlib import Path

import pytest

from roadsense.augment.config import GenConfig
from roadsense.augment.draws.ranges import VariationRanges, read_ranges
from roadsense.cli import COMMANDS, InitConfig, main, make_project
from roadsense.errors import InputError
from roadsense.jobs.spec import JobSpec, check_spec
from roadsense.utils.workspace import find_file

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path):
    make_project(InitConfig(tmp_path / "mine"))
    return tmp_path / "mine"


def files_below(folder):
    found = (path for path in folder.rglob("*") if path.is_file() and ".ipynb_checkpoints" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_notebooks_and_base_scenarios_are_those_of_the_repository(project):
    assert not [path for path in project.rglob("*") if path.is_symlink()]
    assert files_below(project / "notebooks") == files_below(ROOT / "notebooks")
    assert files_below(project / "scenarios" / "base") == files_below(ROOT / "scenarios" / "base")


def test_its_ranges_are_the_defaults(project):
    narrow = VariationRanges(**{name: (1.0, 1.0) for name in ("density", "tau")})
    written, of_bases = read_ranges(project / "ranges.toml", VariationRanges())
    assert (written, of_bases) == (VariationRanges(), {})
    assert written != narrow


def test_its_job_can_be_submitted_once_there_is_a_dataset(project, small_dataset, monkeypatch):
    monkeypatch.chdir(project)
    words = json.loads((project / "jobs" / "train.json").read_text())
    spec = check_spec(JobSpec(**words | {"dataset": str(small_dataset.folder)}))
    assert (spec.name, spec.parameters["total_timesteps"]) == ("first", 1_000_000)


def test_its_makefile_names_commands_that_exist(project):
    targets = ["demo", "dataset", "train", "evaluate", "export", "lab"]
    done = subprocess.run(["make", "-n", *targets], cwd=project, capture_output=True, text=True, check=True)
    commands = [line.split()[:2] for line in done.stdout.splitlines()]
    named = [words[1] for words in commands if words[0] == "roadsense"]
    assert named == ["demo", "gen-scenarios", "train", "evaluate", "export"]
    assert set(named) < set(COMMANDS)


def test_a_folder_that_holds_something_is_left_alone(project, capsys):
    before = files_below(project)
    with pytest.raises(InputError, match="holds something"):
        make_project(InitConfig(project))
    assert main(["init", str(project)]) == 2
    assert files_below(project) == before


def test_files_of_the_package_are_found_from_anywhere_unless_the_folder_has_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_file(Path("scenarios/base")).samefile(ROOT / "scenarios" / "base")
    for found, name in zip(GenConfig().base_dir, ("base", "bends"), strict=True):
        assert found.samefile(ROOT / "scenarios" / name)
    assert find_file(Path("scenarios/other")) == Path("scenarios/other")
    (tmp_path / "scenarios" / "base").mkdir(parents=True)
    assert find_file(Path("scenarios/base")) == Path("scenarios/base")
