"""The walls of the design: who may import what, and one source of versions."""

import ast
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "roadsense"
SOURCES = sorted(PACKAGE.rglob("*.py"))


def imported(path):
    """Full names of the modules a file imports anywhere, also inside functions and as `from package import module`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
            "import_module",
            "__import__",
        ):
            names |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return names


def importers(*packages):
    """Paths, from the package's root, of the files that import one of these packages or something in them."""
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in SOURCES
        if any(name == package or name.startswith(package + ".") for name in imported(path) for package in packages)
    }


def test_there_are_sources_to_look_at():
    assert len(SOURCES) > 20
    assert "envs/sumo_libsumo.py" in importers("libsumo")


def test_imports_inside_functions_and_by_name_are_seen(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("def f():\n    from roadsense import jobs\n    importlib.import_module('torch')\n")
    assert imported(path) == {"roadsense", "roadsense.jobs", "torch"}


def test_one_door_to_sumo():
    assert importers("libsumo") == {"envs/sumo_libsumo.py"}
    assert importers("traci") == {"envs/sumo_traci.py", "envs/sumo_subscriptions.py"}


def test_only_the_door_knows_the_ways_to_sumo():
    doors = {path.stem for path in (PACKAGE / "envs").glob("sumo_*.py")} - {"sumo_connection"}
    users = importers(*(f"roadsense.envs.{name}" for name in doors))
    assert users <= {f"envs/{name}.py" for name in doors | {"sumo_connection"}}


def test_tensorflow_is_for_the_export_only():
    assert importers("tensorflow") == {"exporting/convert.py"}


def test_the_cloud_is_for_jobs_only():
    assert all(path.startswith("jobs/") for path in importers("boto3", "botocore", "sagemaker"))


def test_jobs_train_nothing():
    training = importers("torch", "stable_baselines3", "tensorflow", "roadsense.train_convoy", "roadsense.evaluate")
    assert not {path for path in training if path.startswith("jobs/")}


@pytest.mark.parametrize("path", sorted((PACKAGE / "envs").glob("*.py")), ids=lambda path: path.name)
def test_environments_stand_on_nothing_heavy_and_nothing_above_them(path):
    forbidden = {"torch", "pandas", "stable_baselines3", "tensorflow", "matplotlib"} | {
        f"roadsense.{name}"
        for name in ("train_convoy", "evaluate", "export", "exporting", "policies", "widgets", "jobs", "plots")
    }
    assert not {name for name in imported(path) for wall in forbidden if name == wall or name.startswith(wall + ".")}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_asserts_no_shell_no_broad_excepts(path):
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.Assert), node.lineno
        if isinstance(node, ast.keyword) and node.arg == "shell":
            assert isinstance(node.value, ast.Constant), node.value.lineno
            assert not node.value.value, node.value.lineno
        if isinstance(node, ast.ExceptHandler) and path != PACKAGE / "jobs" / "runner.py":
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = {getattr(item, "attr", getattr(item, "id", "everything")) for item in caught}
            assert not names & {"everything", "Exception", "BaseException"}, node.lineno


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_constant_is_given_two_values(path):
    assigned = [
        target.id
        for node in ast.parse(path.read_text()).body
        for target in (node.targets if isinstance(node, ast.Assign) else ())
        if isinstance(target, ast.Name) and target.id.isupper()
    ]
    assert sorted(assigned) == sorted(set(assigned))


def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def locked():
    """Version of every package in requirements.lock."""
    versions = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        text = line.split("#")[0].strip()
        if text:
            requirement = Requirement(text)
            (pin,) = requirement.specifier
            assert pin.operator == "==", text
            versions[canonicalize_name(requirement.name)] = Version(pin.version)
    return versions


def test_every_dependency_is_locked_to_a_version_that_fits():
    project = pyproject()["project"]
    extras = project["optional-dependencies"]
    wanted = [Requirement(text) for group in (project["dependencies"], *extras.values()) for text in group]
    assert len(wanted) > 20
    versions = locked()
    for requirement in wanted:
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}: locked {version}"


def test_the_versions_that_matter():
    versions = locked()
    assert str(versions["torch"]) == "2.13.0"
    assert versions["pyarrow"].major == 23
    assert "tensorboard" not in versions
    assert {versions[name] for name in ("libsumo", "traci", "sumolib", "eclipse-sumo")} == {Version("1.28.0")}


def test_conda_installs_the_lock_on_python_3_11_and_pins_nothing_itself():
    lines = (ROOT / "environment.yml").read_text().splitlines()
    entries = [line.strip()[2:] for line in lines if line.strip().startswith("- ")]
    assert entries == ["conda-forge", "python=3.11", "pip", "pip:", "-r requirements.lock", "-e ."]
    assert SpecifierSet(pyproject()["project"]["requires-python"]).contains("3.11.7")


def test_the_package_imports_no_name_of_a_learning_library_at_its_top():
    assert not imported(PACKAGE / "__init__.py") & {"torch", "stable_baselines3", "pandas", "libsumo"}
