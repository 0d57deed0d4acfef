"""The names of `import roadsense as rs`: light to import, and every example in their docstrings works, on real SUMO."""

import doctest
import importlib.util
import inspect
import json
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import roadsense as rs
from roadsense import jobs, widgets

HEAVY = ("gymnasium", "libsumo", "matplotlib", "numpy", "pandas", "scipy", "stable_baselines3", "torch", "tyro")
SLOW = ("export_policy",)
DATA = Path(__file__).parent / "data"


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_it_loads_nothing_heavy():
    assert run_python(f"import sys, roadsense; dir(roadsense); print(set({HEAVY}) & set(sys.modules))") == "set()"


def test_every_name_is_there_and_no_other():
    assert set(rs.__all__) <= set(dir(rs))
    assert rs.__version__
    with pytest.raises(AttributeError, match="has no attribute 'train'"):
        rs.train  # noqa: B018


@pytest.mark.parametrize("package", [rs, jobs, widgets], ids=lambda package: package.__name__)
def test_type_checkers_see_the_same_names(package):
    stub = Path(package.__file__).with_suffix(".pyi").read_text()
    assert sorted(line.split()[-1] for line in stub.splitlines() if " as " in line) == package.__all__
    assert (Path(rs.__file__).parent / "py.typed").is_file()
    for name in package.__all__:
        module = next(line.split()[1] for line in stub.splitlines() if line.endswith(f" as {name}"))
        assert getattr(package, name) is getattr(import_module(module), name)


@pytest.mark.parametrize("name", rs.__all__)
def test_no_name_is_also_a_module(name):
    assert importlib.util.find_spec(f"roadsense.{name}") is None


def test_gymnasium_makes_the_environment_without_an_import_of_ours():
    code = """
        import gymnasium
        print(gymnasium.make("roadsense.envs:roadsense/Convoy-v0", scenario_list=["a.sumocfg"]).action_space.shape)
    """
    assert run_python(inspect.cleandoc(code)) == "(1,)"


def test_the_short_name_is_known_once_both_packages_are_imported():
    code = """
        import gymnasium
        import roadsense
        print(gymnasium.make("roadsense/Convoy-v0", scenario_list=["a.sumocfg"]).action_space.shape)
    """
    assert run_python(inspect.cleandoc(code)) == "(1,)"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, tiny_bases, small_dataset):
    """A project's folder with base roads, a dataset, a trained run and a notebook."""
    folder = tmp_path_factory.mktemp("workspace")
    shutil.copytree(tiny_bases, folder / "scenarios" / "base")
    shutil.copytree(small_dataset.folder, folder / "scenarios" / "small")
    run = shutil.copytree(DATA / "run_of_0_1_0", folder / "runs" / "first")
    config = json.loads((run / "config.json").read_text()) | {"dataset_dir": "scenarios/small/train"}
    (run / "config.json").write_text(json.dumps(config))
    cell = new_code_cell('words: str = "hi"  # what is printed', metadata={"tags": ["parameters"]})
    notebook = new_notebook(cells=[cell, new_code_cell("print(words)")])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (folder / "notebooks").mkdir()
    nbformat.write(notebook, folder / "notebooks" / "hello.ipynb")
    return folder


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in rs.__all__])
def test_the_example_of_every_name_works(name, workspace, monkeypatch):
    monkeypatch.chdir(workspace)
    found = getattr(rs, name)
    text = inspect.getdoc(found if callable(found) else import_module(rs._HOMES[name]))
    test = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    assert test.examples
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    report = []
    assert runner.run(test, out=report.append).failed == 0, "".join(report)
