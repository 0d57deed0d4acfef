"""A scenario: a folder that SUMO can run, its name, and the checks made before SUMO sees it."""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import defusedxml.ElementTree as SafeET
from defusedxml import DefusedXmlException

from roadsense.errors import ScenarioError

EGO_ID = "V001"
"""The last car of the convoy; the cars ahead of it are V002, V003, ... going forward."""

CONVOY_ID = re.compile(r"V\d{3}")
MAX_FILE_BYTES = 100 * 2**20
DENSITY_WORDS = ("sparse", "medium", "dense")
DRIVER_WORDS = ("cautious", "normal", "aggressive")
REQUIRED_INPUTS = ("net-file", "route-files")
INPUTS = (*REQUIRED_INPUTS, "additional-files")
SAFE_OPTIONS = (
    "begin duration-log.disable eager-insert end ignore-route-errors lateral-resolution max-depart-delay "
    "no-internal-links no-step-log no-warnings scale seed step-length step-method.ballistic verbose "
    "xml-validation xml-validation.net xml-validation.routes"
).split()
SAFE_FAMILIES = ("collision.", "default.", "emergencydecel.", "lanechange.", "time-to-teleport", "tls.")
"""Beginnings of further option names that neither read nor write a file nor listen."""

FILE_ATTRIBUTES = ("dest", "file", "href", "output")
FILE_PARAMS = ("has.ssm.device", "has.toc.device")
_NUMBER = "[0-9]{3}|[1-9][0-9]{3,}"
_NAME = re.compile(rf"scenario_({_NUMBER})_(\w+)_({'|'.join(DENSITY_WORDS)})_({'|'.join(DRIVER_WORDS)})")


@dataclass(frozen=True)
class ScenarioName:
    """The parts of a scenario folder's name, as in `scenario_001_highway_dense_aggressive`.

    Attributes:
        number: position in the dataset, from 1.
        base: name of the base scenario it was drawn from.
        density: one of `DENSITY_WORDS`.
        driver: one of `DRIVER_WORDS`.
    """

    number: int
    base: str
    density: str
    driver: str

    def __str__(self) -> str:
        return f"scenario_{self.number:03d}_{self.base}_{self.density}_{self.driver}"

    @classmethod
    def parse(cls, text: str) -> "ScenarioName":
        """Returns the parts of a folder name; the inverse of `str`.

        Raises:
            ScenarioError: if `text` is not of the form `str` gives.
        """
        match = _NAME.fullmatch(text)
        if not match:
            raise ScenarioError(f"Expected a name like scenario_001_highway_fast_dense_normal, got {text!r}.")
        number, base, density, driver = match.groups()
        return cls(int(number), base, density, driver)


@dataclass(frozen=True)
class Scenario:
    """A scenario that passed the checks of `open_scenario`.

    Attributes:
        name: name of its folder.
        config_path: absolute path of its `.sumocfg`.
        network_path: absolute path of its network.
        route_paths: absolute paths of its route files.
        additional_paths: absolute paths of its additional files.
        convoy_ids: the cars of the convoy from the last to the first, so `convoy_ids[0]` is the ego.
        convoy_depart_s: when the ego is to be inserted.
    """

    name: str
    config_path: Path
    network_path: Path
    route_paths: tuple[Path, ...]
    additional_paths: tuple[Path, ...]
    convoy_ids: tuple[str, ...]
    convoy_depart_s: float

    @property
    def ego_id(self) -> str:
        """Id of the car that carries the brake assist."""
        return self.convoy_ids[0]


def open_scenario(config_path: str | Path) -> Scenario:
    """Reads a `.sumocfg`, checks that it and what it names are safe for SUMO, and returns the scenario.

    The checks are those whose failure SUMO answers with a crash, a silent surprise or a file written
    somewhere: XML without document type or entities, every named file present and inside the folder, no
    option or element that reads or writes another one, a network with a `version` (libsumo ends the process
    without one), a convoy `V001`, `V002`, ... in the routes. A scenario is read again only when a file in its
    folder has changed.

    Args:
        config_path: path of the `.sumocfg`.

    Raises:
        ScenarioError: naming the file and the reason.
    """
    path = Path(config_path).resolve()
    files = sorted(path.parent.iterdir()) if path.is_file() else []
    return _open_once(path, tuple((file.name, file.stat().st_mtime_ns, file.stat().st_ino) for file in files))


@lru_cache(maxsize=4096)
def _open_once(path: Path, _stamps: tuple[tuple[str, int, int], ...]) -> Scenario:
    config = read_xml(path, root_tag="configuration")
    _check_options(path, config)
    networks, routes, additional = (_named_files(path, config, name) for name in INPUTS)
    _check_network(networks[0])
    for file in additional:
        _refuse_file_names(file, read_xml(file, root_tag="additional"))
    convoy, depart_s = _read_convoy(routes)
    return Scenario(path.parent.name, path, networks[0], routes, additional, convoy, depart_s)


def find_scenarios(folder: str | Path) -> list[Path]:
    """Returns every `.sumocfg` at any depth below `folder`, sorted by path.

    Raises:
        ScenarioError: if the folder is not there or holds none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ScenarioError(f"Expected a folder of scenarios, but {folder} is not there. Check the path.")
    paths = sorted(folder.rglob("*.sumocfg"))
    if not paths:
        raise ScenarioError(
            f"Expected at least one .sumocfg below {folder}, found none. "
            "Make a dataset with `roadsense gen-scenarios`, or check the path."
        )
    return paths


def read_xml(path: Path, root_tag: str) -> ET.Element:
    """Returns the root element of an XML file, comments left out.

    Raises:
        ScenarioError: if the file is missing, too large, not XML, has a document type or an entity, or has
            another root than `root_tag`.
    """
    if not path.is_file():
        raise ScenarioError(f"{path}: expected a file, found none. Check the path.")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ScenarioError(f"{path}: {path.stat().st_size} bytes; at most {MAX_FILE_BYTES} are opened.")
    try:
        root: ET.Element = SafeET.parse(path, forbid_dtd=True).getroot()
    except ET.ParseError as error:
        raise ScenarioError(f"{path}: not well-formed XML ({error}). Mend or regenerate the file.") from error
    except DefusedXmlException as error:
        raise ScenarioError(f"{path}: XML with a document type or entities is not opened ({error}).") from error
    if root.tag != root_tag:
        raise ScenarioError(f"{path}: expected the root <{root_tag}>, got <{root.tag}>.")
    return root


def _check_options(path: Path, config: ET.Element) -> None:
    # SUMO takes an option in any section, or in none, so the sections' names say nothing.
    options = [
        element
        for element in config.iter()
        if element is not config and (element.attrib or (element.text or "").strip())
    ]
    for option in options:
        if option.tag not in (*INPUTS, *SAFE_OPTIONS) and not option.tag.startswith(SAFE_FAMILIES):
            raise ScenarioError(
                f"{path}: a scenario may not set <{option.tag}>: only options that neither write nor "
                "listen. Remove it; outputs are asked for on the command line."
            )
        if list(option.attrib) != ["value"]:
            got = option.attrib or option.text
            raise ScenarioError(f"{path}: expected <{option.tag} value=.../>, got {got!r}.")
    tags = [option.tag for option in options]
    twice = sorted({tag for tag in tags if tags.count(tag) > 1})
    if twice:
        raise ScenarioError(f"{path}: expected each option once, got {twice} more than once. Keep one.")


def _refuse_file_names(path: Path, root: ET.Element) -> None:
    for element in root.iter():
        names = [name for name in FILE_ATTRIBUTES if name in element.attrib]
        key = element.get("key", "")
        if names or (element.tag == "param" and (key in FILE_PARAMS or key.endswith(".file"))):
            raise ScenarioError(f"{path}: <{element.tag}> may not name a file, it has {element.attrib}.")


def _named_files(path: Path, config: ET.Element, option: str) -> tuple[Path, ...]:
    element = config.find(f".//{option}")
    names = [] if element is None else element.get("value", "").split(",")
    files = tuple((path.parent / name.strip()).resolve() for name in names if name.strip())
    if option in REQUIRED_INPUTS and not files:
        raise ScenarioError(f"{path}: expected an <{option} value=.../>, found none. Name the file there.")
    for file in files:
        if not file.is_relative_to(path.parent):
            raise ScenarioError(f"{path}: {option} names {file}, outside its folder. Copy the file into it.")
        if not file.is_file():
            raise ScenarioError(f"{path}: {option} names {file.name}, which is not there. Add it.")
    return files


def _check_network(path: Path) -> None:
    # Only the first element is read: a network can be large, and every worker opens many.
    try:
        with path.open("rb") as file:
            _, root = next(iter(SafeET.iterparse(file, events=("start",), forbid_dtd=True)))
    except (ET.ParseError, StopIteration, DefusedXmlException) as error:
        raise ScenarioError(f"{path}: not a network ({error}). Rebuild it with netconvert.") from error
    if root.tag != "net" or "version" not in root.attrib:
        raise ScenarioError(
            f"{path}: expected a <net version=...>, got <{root.tag}> with {sorted(root.attrib)}. "
            "SUMO crashes on a network without a version: rebuild it with netconvert."
        )
    if b"<include" in path.read_bytes():
        raise ScenarioError(f"{path}: a network may not <include> another file. Rebuild it with netconvert.")


def _read_convoy(route_paths: tuple[Path, ...]) -> tuple[tuple[str, ...], float]:
    departs: dict[str, str] = {}
    for path in route_paths:
        root = read_xml(path, root_tag="routes")
        _refuse_file_names(path, root)
        departs |= {element.get("id", ""): element.get("depart", "") for element in root.iter("vehicle")}
    convoy = tuple(sorted(name for name in departs if CONVOY_ID.fullmatch(name)))
    if len(convoy) < 2 or convoy[0] != EGO_ID:
        raise ScenarioError(
            f"{route_paths[0]}: expected vehicles {EGO_ID} (ego), V002, ... going forward, "
            f"got {sorted(departs)[:8]}. Rename the convoy's cars."
        )
    try:
        return convoy, float(departs[EGO_ID])
    except ValueError:
        raise ScenarioError(
            f"{route_paths[0]}: expected the depart time of {EGO_ID} in seconds, got {departs[EGO_ID]!r}."
        ) from None
