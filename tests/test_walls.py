"""The walls of the design: who may import what, and one source of versions."""

import ast
import re
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
    return names_imported(ast.walk(ast.parse(path.read_text())))


def imported_at_the_top(path):
    """Full names of the modules that are imported when a file is, those for type checkers left out."""
    return names_imported(node for node in ast.parse(path.read_text()).body if not isinstance(node, ast.If))


def names_imported(nodes):
    names = set()
    for node in nodes:
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


def name_of(path):
    """Full name of the module in a file of the package."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in SOURCES}
EVERYWHERE = {name: imported(path) for name, path in MODULES.items()}
AT_THE_TOP = {name: imported_at_the_top(path) for name, path in MODULES.items()}
FLOORS = (
    "errors",
    "utils",
    "scenarios",
    "cloud envs",
    "policies",
    "episodes",
    "pictures",
    "runs",
    "augment",
    "training",
    "evaluation",
    "drives exporting",
    "widgets",
    "jobs",
    "evaluate export gen_scenarios replay train_convoy",
    "demo doctor",
    "cli",
)
"""From the ground up. A room imports from the floors below its own, never from its own floor or from above."""
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms.split()}
LEARNING = ("torch", "stable_baselines3", "sb3_contrib", "tensorflow")


def is_in(name, *packages):
    return any(name == package or name.startswith(package + ".") for package in packages)


def importers(*packages):
    """Paths, from the package's root, of the files that import one of these packages or something in them."""
    return {
        MODULES[module].relative_to(PACKAGE).as_posix()
        for module, names in EVERYWHERE.items()
        if any(is_in(name, *packages) for name in names)
    }


def reached(start, imports):
    """Full names of all that a module imports, itself or through other modules of the package."""
    found, left = set(), [start]
    while left:
        for name in imports.get(left.pop(), ()):
            parents = {name.rsplit(".", n)[0] for n in range(name.count("."))} if is_in(name, "roadsense") else {name}
            left += [parent for parent in parents if parent in imports and parent not in found]
            found |= {name, *parents}
    return found


def test_there_are_sources_to_look_at():
    assert len(SOURCES) > 20
    assert "envs/sumo/in_process.py" in importers("libsumo")


def test_imports_inside_functions_and_by_name_are_seen(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("def f():\n    from roadsense import jobs\n    importlib.import_module('torch')\n")
    assert imported(path) == {"roadsense", "roadsense.jobs", "torch"}
    assert imported_at_the_top(path) == set()


def test_what_is_imported_through_others_is_seen():
    imports = {"roadsense.a": {"roadsense.b.f"}, "roadsense.b": {"roadsense.c"}, "roadsense.c": {"torch"}}
    assert "torch" in reached("roadsense.a", imports)
    assert reached("roadsense.c", imports) == {"torch"}


def rooms_of(module):
    """The package, and each folder below it that leads to a module, with the room it is in there."""
    parts = module.split(".")
    return {".".join(parts[:n]): parts[n] for n in range(1, len(parts))}


def arrows():
    """For each folder, the rooms (files and folders in it) that import one another."""
    found = {}
    for module, names in EVERYWHERE.items():
        for name in names:
            target = name if name in MODULES else name.rpartition(".")[0]
            if target in MODULES and target != module:
                mine, other = rooms_of(module), rooms_of(target)
                for folder in mine.keys() & other.keys():
                    if mine[folder] != other[folder]:
                        found.setdefault(folder, {}).setdefault(mine[folder], set()).add(other[folder])
    return found


def find_circle(graph):
    """Rooms that lead back to their first, or nothing."""
    done = set()

    def follow(room, way):
        if room in way:
            return [*way[way.index(room) :], room]
        if room not in done:
            for other in sorted(graph.get(room, ())):
                if circle := follow(other, [*way, room]):
                    return circle
            done.add(room)
        return []

    return next((circle for room in sorted(graph) if (circle := follow(room, []))), [])


def test_a_circle_is_found():
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert find_circle({"a": {"b", "c"}, "b": {"c"}}) == []


@pytest.mark.parametrize("folder", sorted(arrows()))
def test_rooms_of_a_folder_form_no_circle(folder):
    assert find_circle(arrows()[folder]) == []


def test_every_room_has_a_floor_and_imports_from_below():
    graph = arrows()["roadsense"]
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in SOURCES} - {"__init__"}
    assert rooms == set(FLOOR_OF)
    assert not {(room, other) for room in graph for other in graph[room] if FLOOR_OF[other] >= FLOOR_OF[room]}


def test_one_door_to_sumo():
    assert importers("libsumo") == {"envs/sumo/in_process.py"}
    assert importers("traci") == {"envs/sumo/over_socket.py", "envs/sumo/subscriptions.py"}


def test_only_the_door_knows_the_ways_to_sumo():
    doors = {path.stem for path in (PACKAGE / "envs" / "sumo").glob("*.py")} - {"connection", "__init__"}
    users = importers(*(f"roadsense.envs.sumo.{name}" for name in doors))
    assert users <= {f"envs/sumo/{name}.py" for name in doors | {"connection"}}


def test_tensorflow_is_for_the_export_only():
    assert importers("tensorflow") == {"exporting/convert.py"}


def test_the_cloud_is_for_jobs_only():
    assert all(path.startswith(("cloud/", "jobs/")) for path in importers("boto3", "botocore", "sagemaker"))


@pytest.mark.parametrize("module", sorted(name for name in MODULES if is_in(name, "roadsense.jobs")))
def test_importing_a_job_imports_nothing_that_learns(module):
    assert not {name for name in reached(module, AT_THE_TOP) if is_in(name, *LEARNING)}


@pytest.mark.parametrize("module", sorted(name for name in MODULES if is_in(name, "roadsense.envs")))
def test_environments_stand_on_nothing_heavy(module):
    assert not {name for name in reached(module, EVERYWHERE) if is_in(name, *LEARNING, "pandas", "matplotlib")}


@pytest.mark.parametrize("module", sorted(name for name in MODULES if is_in(name, "roadsense.policies")))
def test_opening_a_policy_does_not_import_the_training(module):
    assert not {name for name in reached(module, EVERYWHERE) if is_in(name, "roadsense.training")}


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
        text = line.split("#")[0].split(";")[0].strip()
        if text:
            requirement = Requirement(text)
            (pin,) = requirement.specifier
            assert pin.operator == "==", text
            versions[canonicalize_name(requirement.name)] = Version(pin.version)
    return versions


def wanted():
    """What pyproject.toml asks for by itself, over all extras."""
    project = pyproject()["project"]
    groups = (project["dependencies"], *project["optional-dependencies"].values())
    return [r for group in groups for r in map(Requirement, group) if r.name != "roadsense"]


def test_every_dependency_is_locked_to_a_version_that_fits():
    assert len(wanted()) > 20
    versions = locked()
    for requirement in wanted():
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}: locked {version}"


def test_the_lock_is_made_for_what_pyproject_asks_and_nothing_else():
    lock = (ROOT / "requirements.lock").read_text()
    asked = re.findall(
        r"^([^\s=]+)==[^\n]*\n(?:    #[^\n]*\n)*?    # +(?:via )?roadsense \(pyproject.toml\)$", lock, re.M
    )
    assert {canonicalize_name(name) for name in asked} == {canonicalize_name(r.name) for r in wanted()}


def test_uv_sync_takes_the_versions_of_the_lock():
    pins = [Requirement(text) for text in pyproject()["tool"]["uv"]["constraint-dependencies"]]
    assert {canonicalize_name(pin.name): Version(str(pin.specifier)[2:]) for pin in pins} == locked()


def test_the_versions_that_matter():
    versions = locked()
    assert str(versions["torch"]) == "2.13.0"
    assert versions["pyarrow"].major == 23
    assert "tensorboard" not in versions
    assert {versions[name] for name in ("libsumo", "traci", "sumolib", "eclipse-sumo")} == {Version("1.28.0")}


def test_the_environment_needs_nothing_that_learns():
    names = {canonicalize_name(Requirement(text).name) for text in pyproject()["project"]["dependencies"]}
    assert not names & {"torch", "stable-baselines3", "sb3-contrib", "optuna", "tensorflow-cpu", "boto3"}


def test_three_pythons_are_served():
    served = SpecifierSet(pyproject()["project"]["requires-python"])
    assert [v for v in ("3.10", "3.11", "3.12", "3.13", "3.14") if served.contains(v)] == ["3.11", "3.12", "3.13"]


def test_every_file_of_the_package_gets_into_the_wheel():
    everywhere, here = (pyproject()["tool"]["setuptools"]["package-data"][name] for name in ("*", "roadsense"))
    files = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if path.is_file() and not path.is_symlink()]
    data = [path for path in files if path.suffix not in (".py", ".pyc", ".so")]
    assert len(data) > 10
    assert [path for path in data if not any(map(path.match, [*everywhere, *here]))] == []


def test_conda_installs_the_lock_and_pins_nothing_itself():
    lines = (ROOT / "environment.yml").read_text().splitlines()
    entries = [line.strip()[2:] for line in lines if line.strip().startswith("- ")]
    assert entries == ["conda-forge", "python=3.11", "pip", "pip:", "-c requirements.lock", "-e .[export,lab,train]"]


def test_the_package_imports_no_name_of_a_learning_library_at_its_top():
    assert not imported(PACKAGE / "__init__.py") & {"torch", "stable_baselines3", "pandas", "libsumo"}
