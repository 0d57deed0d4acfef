"""Reads the vehicles, flows and types of a scenario, from all of its files that hold some."""

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from roadsense.errors import ScenarioError
from roadsense.scenarios.checks import find_file, raise_all, read_xml, refuse_file_names
from roadsense.scenarios.flows import read_seconds
from roadsense.scenarios.left_out import find_asked, leave_out_pictures, leave_out_writers
from roadsense.utils.safe_xml import locate

DEFAULT_TYPE = "DEFAULT_VEHTYPE"
"""SUMO's name for the type of a vehicle without a type; a file may define it."""

_NUMBERS = frozenset(
    "accel decel emergencyDecel length maxSpeed minGap probabilities probability scale sigma speedDev tau".split()
)
"""Attributes of types that hold numbers in SI units."""

MAX_INCLUDED = 5
_INCLUDING = {"include": "href", "rerouter": "file", "variableSpeedSign": "file"}
"""Elements that may name a file with more elements, and the attribute that does."""

_DEMAND_TAGS = ("vehicle", "trip", "flow", "vType", "vTypeDistribution", "interval", "calibrator")


Files = list[tuple[Path, ET.Element]]
"""Files with their trees, in the order in which SUMO reads them."""


def read_route_files(
    route_paths: Sequence[Path],
    additional_paths: Sequence[Path],
    of_base: bool = False,
    network_path: Path | None = None,
    included: list[Path] | None = None,
) -> tuple[Files, list[str]]:
    """Returns the route files, and before them the additional files that hold demand or have parts left out.

    Args:
        route_paths: paths of the route files.
        additional_paths: paths of the additional files.
        of_base: whether they are a base's: then the trees keep comments, and lose pictures for SUMO's window.
        network_path: the network, whose traffic lights may ask detectors of these files; None: no light does.
        included: gets the paths of files that the files include, whose elements are written into them; None: a
            file that includes another one is refused.

    Returns:
        The files, and names of what was left out of them because SUMO would write a file, or show one.

    Raises:
        ScenarioError: if a file is missing, too large, not XML, or names a further file; it names every problem.
    """
    trees: Files = []
    changed: set[Path] = set()
    problems: list[ScenarioError] = []
    for path in (*additional_paths, *route_paths):
        try:
            root = read_route_file(path, of_base)
            if included is not None and (found := _include(path, root)):
                included += found
                changed.add(path)
            trees.append((path, root))
        except ScenarioError as error:
            problems.append(error)
    asked = find_asked([root for _, root in trees], network_path) if network_path else frozenset()
    files: Files = []
    left_out: list[str] = []
    for path, root in trees:
        try:
            lost = leave_out_writers(root, asked) + (leave_out_pictures(root) if of_base else [])
            refuse_file_names(path, root)
            if of_base:
                check_numbers(path, root)
        except ScenarioError as error:
            problems.append(error)
            continue
        if path in route_paths or path in changed or lost or holds_demand(root):
            files.append((path, root))
        left_out += lost
    raise_all(problems)
    return files, left_out


def read_route_file(path: Path, comments: bool = False) -> ET.Element:
    """Returns the tree of a route or additional file; like SUMO, it accepts any root that is no demand element.

    Raises:
        ScenarioError: if it is missing, too large, not XML, or has no root around its elements.
    """
    root = read_xml(path, None, comments)
    if root.tag in _DEMAND_TAGS:
        raise ScenarioError(f"{path}: expected a root around <{root.tag}>, got none. Put it into <routes>.")
    return root


def _include(path: Path, root: ET.Element, depth: int = 0) -> list[Path]:
    # Writes what a file's <include>, rerouters and speed signs name into its tree; returns the files that they name.
    if depth > MAX_INCLUDED:
        raise ScenarioError(f"{path}: files that include files, more than {MAX_INCLUDED} deep. Merge them.")
    found: list[Path] = []
    problems: list[ScenarioError] = []
    for parent in [element for element in root.iter() if isinstance(element.tag, str)]:
        for element in [one for one in parent if one.tag in _INCLUDING and _INCLUDING[one.tag] in one.attrib]:
            name = element.attrib.pop(_INCLUDING[element.tag])
            try:
                file = find_file(path.parent, name, f"{locate(path, element)}: <{element.tag}>", anywhere=True)
                tree = read_xml(file, None)
                found += [file, *_include(file, tree, depth + 1)]
            except ScenarioError as error:
                problems.append(error)
                continue
            if element.tag == "include":
                place = list(parent).index(element)
                parent[place : place + 1] = list(tree)
            else:
                element.extend(tree)
    raise_all(problems)
    return list(dict.fromkeys(found))


def holds_demand(root: ET.Element) -> bool:
    """Returns whether a file has vehicles, flows or types."""
    return any(root.find(tag) is not None for tag in _DEMAND_TAGS)


def single_vehicles(root: ET.Element) -> list[ET.Element]:
    """Returns the <vehicle> and <trip> elements of a file."""
    return [*root.findall("vehicle"), *root.findall("trip")]


def define_default_type(roots: list[ET.Element]) -> bool:
    """Writes SUMO's default type into the first file if a vehicle needs it; returns whether it did."""
    users = [element for root in roots for element in (*single_vehicles(root), *root.findall("flow"))]
    types = {kind.get("id") for root in roots for tag in ("vType", "vTypeDistribution") for kind in root.iter(tag)}
    if DEFAULT_TYPE in types or all(type_of(element) != DEFAULT_TYPE for element in users):
        return False
    roots[0].insert(0, ET.Element("vType", {"id": DEFAULT_TYPE}))
    return True


def check_numbers(path: Path, root: ET.Element) -> None:
    """Refuses types of a file with words where SUMO reads numbers.

    Raises:
        ScenarioError: if there is one; it names the line, the attribute and what it holds.
    """
    problems = []
    for kind in (*root.iter("vType"), *root.iter("vTypeDistribution")):
        for name in _NUMBERS & kind.attrib.keys():
            texts = kind.attrib[name].split() if name == "probabilities" else [kind.attrib[name]]
            if not all(is_number(text) for text in texts):
                where = f"{locate(path, kind)}: <{kind.tag} id={kind.get('id')!r}>"
                problems.append(
                    ScenarioError(f"{where}: expected {name} as a number, got {kind.attrib[name]!r}. Correct it.")
                )
    raise_all(problems)


def is_number(text: str) -> bool:
    """Returns whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def type_of(element: ET.Element) -> str:
    """Returns the id of a vehicle's or flow's type."""
    return element.get("type", DEFAULT_TYPE)


def sort_by_departure(root: ET.Element) -> None:
    """Sorts a file by departure time; elements without one come first, and comments stay with the next element.

    SUMO reads route files step by step and drops vehicles that depart before one it has already read.
    """
    keys, following = [], -math.inf
    for element in reversed(root):
        following = following if element.tag is ET.Comment else _departure_s(element)
        keys.append(following)
    ordered = sorted(zip(reversed(keys), root, strict=True), key=lambda pair: pair[0])
    root[:] = [element for _, element in ordered]


def _departure_s(element: ET.Element) -> float:
    attribute = "begin" if "begin" in element.attrib else "depart"
    try:
        return read_seconds(element, attribute) if attribute in element.attrib else -math.inf
    except ScenarioError:
        return -math.inf
