"""A scenario: a folder that SUMO can run. Opens and checks it."""

import atexit
import logging
import re
import shutil
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from roadsense.errors import ScenarioError
from roadsense.scenarios.checks import CONFIG_ROOTS, INPUTS, check_network, check_options, named_files, read_xml
from roadsense.scenarios.flows import read_seconds
from roadsense.scenarios.left_out import leave_out_options, note_left_out, rename_options
from roadsense.scenarios.records import CONFIG_NAME
from roadsense.scenarios.route_files import Files, read_route_files, single_vehicles
from roadsense.utils.files import is_stray
from roadsense.utils.safe_xml import write_xml
from roadsense.utils.workspace import resolve

EGO_ID = "V001"
"""The last car of the convoy; the cars ahead of it are V002, V003, ... going forward."""
CONVOY_ID = re.compile(r"V\d{3}")
_UNREADABLE = re.compile(r"[,;%#$]")
"""Characters that SUMO cannot read in a folder's name."""

OUTSIDE = "outside"
"""Folder of a generated scenario for files that do not lie in its base's folder."""

Inputs = tuple[Path, tuple[Path, ...], tuple[Path, ...]]
"""Input files of a scenario: its network, its route files, its additional files."""


@dataclass(frozen=True)
class Scenario:
    """A scenario that passed the checks of `open_scenario`.

    Attributes:
        name: name of its folder.
        config_path: absolute path of its `.sumocfg`.
        network_path: absolute path of its network.
        route_paths: absolute paths of its route files.
        additional_paths: absolute paths of its additional files.
        convoy_ids: ids of the convoy's cars from the last to the first, so `convoy_ids[0]` is the ego.
        convoy_depart_s: departure time of the ego [s].
        v2v: radio preset it asks for, by `<param key="v2v" value="..."/>` under the ego's vehicle; None without.
        surroundings: surroundings it asks for, by such a param with the key `surroundings`, see
            `roadsense.envs.surroundings.parse_surroundings`; None without.
        sensors: name of the sensors it asks for, by such a param with the key `sensors`; None without.
        run_path: absolute path of the `.sumocfg` that SUMO runs: `config_path`, or a copy in a temporary folder where
            SUMO would write files, or cannot read the folder's name.
        left_out: notes on what was left out of the copy.

    Examples:
        >>> import roadsense as rs
        >>> scenarios = rs.Scenario.find("scenarios/base")
        >>> scenarios[0].ego_id
        'V001'
        >>> rs.Scenario.open(scenarios[0].config_path) == scenarios[0]
        True
    """

    name: str
    config_path: Path
    network_path: Path
    route_paths: tuple[Path, ...]
    additional_paths: tuple[Path, ...]
    convoy_ids: tuple[str, ...]
    convoy_depart_s: float
    v2v: str | None = None
    surroundings: str | None = None
    sensors: str | None = None
    run_path: Path = Path()
    left_out: tuple[str, ...] = ()

    @classmethod
    def open(cls, config_path: str | Path) -> "Scenario":
        """Opens and checks the scenario of a `.sumocfg`; see `open_scenario`.

        Raises:
            ScenarioError: if a check fails; it names the file and the reason.
        """
        return open_scenario(config_path)

    @classmethod
    def find(cls, folder: str | Path) -> list["Scenario"]:
        """Opens every scenario at any depth below a folder, sorted by path.

        Raises:
            ScenarioError: if there is none, or one cannot be opened.
        """
        return [open_scenario(path) for path in find_scenarios(folder)]

    @property
    def ego_id(self) -> str:
        """Id of the car that carries the brake assist."""
        return self.convoy_ids[0]


def open_scenario(config_path: str | Path) -> Scenario:
    """Reads a `.sumocfg`, checks that it and what it names are safe for SUMO, and returns the scenario.

    These checks find what makes SUMO crash or silently behave differently: XML without document type or
    entities, every named file present and inside the folder, no option or element that reads another one, a network
    with a `version` (libsumo ends the process without one), a convoy `V001`, `V002`, ... among the vehicles and trips.
    Parts that only write files are left out of the copy that SUMO runs, and logged. Files may be gzip'd. A scenario is
    read again only when a file in its folder has changed.

    Args:
        config_path: path of the `.sumocfg`, or of the folder that holds it and no other.

    Raises:
        ScenarioError: if a check fails; it names the file and the reason.
    """
    path = resolve(config_path).resolve()
    if path.is_dir() and len(inside := find_scenarios(path)) == 1:
        path = inside[0].resolve()
    files = sorted(path.parent.iterdir()) if path.is_file() else []
    stats = [(file.name, file.lstat()) for file in files]  # of the links themselves: a link may be broken
    return _open_once(path, tuple((name, stat.st_mtime_ns, stat.st_ino) for name, stat in stats))


@lru_cache(maxsize=4096)
def _open_once(path: Path, _stamps: tuple[tuple[str, int, int], ...]) -> Scenario:
    config = read_xml(path, CONFIG_ROOTS)
    options = leave_out_options(config, only_writing=True)
    rename_options(config)
    inputs = check_inputs(path, config)
    files, elements = read_route_files(*inputs[1:], network_path=inputs[0])
    scenario = describe_scenario(path, inputs, [root for _, root in files])
    notes = tuple(note_left_out(options, elements))
    for note in notes:
        logging.getLogger(__name__).warning("%s: %s", path, note)
    if notes or _UNREADABLE.search(str(path)):
        return replace(scenario, run_path=_write_copy(scenario, config, files if elements else []), left_out=notes)
    return scenario


def name_inputs(config: ET.Element, inputs: Inputs, folder: Path) -> None:
    """Names the input files in a configuration by their paths from its folder, which links or `..` may hide."""
    networks, routes, additional = inputs
    for option, paths in zip(INPUTS, ((networks,), routes, additional), strict=True):
        for element in config.iter(option):
            element.set("value", ",".join(place_in(folder, path).as_posix() for path in paths))


def place_in(folder: Path, path: Path) -> Path:
    """Returns where a base's file lies in its scenarios: as in the base's folder, or in `OUTSIDE`."""
    return path.relative_to(folder) if path.is_relative_to(folder) else Path(OUTSIDE, path.name)


def _write_copy(scenario: Scenario, config: ET.Element, files: Files) -> Path:
    # A folder for SUMO, kept while this process runs: the configuration, changed files, links to all others.
    folder, source = Path(tempfile.mkdtemp(prefix="roadsense_scenario_")), scenario.config_path.parent
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    trees = dict(files)
    for path in (scenario.network_path, *scenario.route_paths, *scenario.additional_paths):
        target = folder / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path in trees:
            write_xml(trees[path], target)
        else:
            target.symlink_to(path)
    name_inputs(config, (scenario.network_path, scenario.route_paths, scenario.additional_paths), source)
    write_xml(config, folder / CONFIG_NAME)
    return folder / CONFIG_NAME


def check_inputs(path: Path, config: ET.Element, anywhere: bool = False) -> Inputs:
    """Checks a configuration and the network it names; returns the files it names.

    Args:
        path: path of the configuration.
        config: its root element.
        anywhere: whether files may lie outside its folder: a base's are copied into its scenarios.

    Raises:
        ScenarioError: if a check fails; it names the file and the reason.
    """
    check_options(path, config)
    networks, routes, additional = (named_files(path, config, name, anywhere) for name in INPUTS)
    if not routes and not additional:  # vehicles may stand in additional files, too
        raise ScenarioError(f"{path}: expected an <route-files value=.../>, found none. Name the file there.")
    places = [place_in(path.parent, file) for file in (*networks, *routes, *additional)]
    twice = sorted({str(place) for place in places if places.count(place) > 1})
    if twice:
        raise ScenarioError(f"{path}: names several files that would be {twice} in a scenario. Rename all but one.")
    check_network(networks[0])
    return networks[0], routes, additional


def describe_scenario(path: Path, inputs: Inputs, roots: Iterable[ET.Element]) -> Scenario:
    """Returns the scenario of a `.sumocfg` whose files were checked and whose vehicles are in `roots`.

    Raises:
        ScenarioError: if there is no convoy, or it has no departure time.
    """
    cars = {car.get("id", ""): car for root in roots for car in single_vehicles(root)}
    convoy = tuple(sorted(name for name in cars if CONVOY_ID.fullmatch(name)))
    if len(convoy) < 2 or convoy[0] != EGO_ID:
        how = (
            "Rename the convoy's cars, or name them with --ego and --convoy when generating."
            if len(cars) > 1
            else "Write the convoy as <vehicle> or <trip> elements: a <flow> has no place for each car."
        )
        raise ScenarioError(
            f"{inputs[1][0]}: expected vehicles {EGO_ID} (ego), V002, ... going forward, got {sorted(cars)[:8]}. {how}"
        )
    try:
        depart_s = read_seconds(cars[EGO_ID], "depart")
    except ScenarioError as error:
        raise ScenarioError(f"{inputs[1][0]}: expected the depart time of {EGO_ID} in seconds: {error}") from None
    asked = {param.get("key"): param.get("value") for param in cars[EGO_ID].findall("param")}
    radio, surroundings, sensors = (asked.get(key) for key in ("v2v", "surroundings", "sensors"))
    return Scenario(path.parent.name, path, *inputs, convoy, depart_s, radio, surroundings, sensors, run_path=path)


def convoy_cars(roots: Iterable[ET.Element], scenario: Scenario) -> list[ET.Element]:
    """Returns the convoy's cars in these trees, from the ego to the first."""
    found = {car.get("id"): car for root in roots for car in single_vehicles(root)}
    return [found[name] for name in scenario.convoy_ids]


def background_vehicles(root: ET.Element, scenario: Scenario) -> list[ET.Element]:
    """Returns the vehicles and trips of a route file that are not in the convoy."""
    return [car for car in single_vehicles(root) if car.get("id") not in scenario.convoy_ids]


def find_scenarios(*folders: str | Path) -> list[Path]:
    """Returns every `.sumocfg` at any depth below `folders`, sorted by path in each; hidden ones are left out.

    Raises:
        ScenarioError: if a folder does not exist or holds none.
    """
    return list(dict.fromkeys(path for folder in folders for path in _find_below(resolve(folder))))


def _find_below(folder: Path) -> list[Path]:
    if folder.is_file():
        raise ScenarioError(f"Expected a folder of scenarios, but {folder} is a file. Give the folder that it lies in.")
    if not folder.is_dir():
        raise ScenarioError(f"Expected a folder of scenarios, but {folder} is not there. Check the path.")
    found = [path for path in folder.rglob("*.*") if path.name.lower().endswith((".sumocfg", ".sumo.cfg"))]
    paths = sorted(path for path in found if not is_stray(path.relative_to(folder)))
    if not paths:
        raise ScenarioError(
            f"Expected at least one .sumocfg below {folder}, found none. "
            "Make a dataset with `roadsense gen-scenarios`, or check the path."
        )
    return paths
