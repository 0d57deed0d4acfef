"""A base's files as they go into its scenarios: less what a scenario may not hold, with the comments."""

import xml.etree.ElementTree as ET
from pathlib import Path

from roadsense.scenarios.checks import (
    CONFIG_ROOTS,
    FILE_ATTRIBUTES,
    INPUTS,
    NOWHERE,
    SAFE_FAMILIES,
    SAFE_OPTIONS,
    read_xml,
    refuse_file_names,
)
from roadsense.scenarios.route_files import holds_demand, read_route_file
from roadsense.scenarios.scenario import Inputs

_DETECTORS = (
    "inductionLoop instantInductionLoop laneAreaDetector entryExitDetector e1Detector e2Detector e3Detector "
    "edgeData laneData routeProbe vTypeProbe timedEvent"
).split()
"""Elements that only measure, and write what they measure to a file: traffic is the same without them."""


def read_base_config(path: Path) -> tuple[ET.Element, list[str]]:
    """Returns a configuration without the options that a scenario may not set, and the names of those.

    Raises:
        ScenarioError: if the file is missing, too large or not a configuration.
    """
    config = read_xml(path, CONFIG_ROOTS, keep_comments=True)
    return config, _drop_options(config)


def read_base_routes(inputs: Inputs) -> tuple[list[tuple[Path, ET.Element]], list[str]]:
    """Returns the trees of a base's files without detectors that write, and the names of those.

    These are the route files, and before them, as SUMO reads them, such additional files as hold vehicles,
    flows or types, or lost a detector.

    Raises:
        ScenarioError: if a file is missing, too large, not XML, or names a further file.
    """
    _, route_paths, additional_paths = inputs
    files, dropped = [], []
    for path in (*additional_paths, *route_paths):
        root = read_route_file(path, comments=True)
        lost = _drop_detectors(root)
        refuse_file_names(path, root)
        if path in route_paths or lost or holds_demand(root):
            files.append((path, root))
        dropped += lost
    return files, dropped


def _drop_options(section: ET.Element) -> list[str]:
    dropped = []
    for element in [element for element in section if element.tag is not ET.Comment]:
        is_safe = element.tag in (*INPUTS, *SAFE_OPTIONS) or element.tag.startswith(SAFE_FAMILIES)
        is_option = bool(element.attrib or (element.text or "").strip())
        if is_option and not is_safe:
            dropped.append(element.tag)
            section.remove(element)
        elif not is_option:
            dropped += _drop_options(element)
            if element.find("*") is None:
                section.remove(element)  # SUMO takes an empty section for an option
    return dropped


def _drop_detectors(root: ET.Element) -> list[str]:
    found = [
        element
        for element in root
        if element.tag in _DETECTORS and any(element.get(name, NOWHERE[0]) not in NOWHERE for name in FILE_ATTRIBUTES)
    ]
    for element in found:
        root.remove(element)
    return [f"{element.tag} id={element.get('id')!r}" for element in found]
