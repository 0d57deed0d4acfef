"""Leaves out what would make SUMO write files: output options, devices, detectors; with a note on each."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Container, Sequence
from pathlib import Path

from roadsense.scenarios.checks import (
    FILE_ATTRIBUTES,
    INPUTS,
    NOWHERE,
    SAFE_FAMILIES,
    SAFE_OPTIONS,
    SAFE_VALIDATIONS,
    VALIDATION,
)
from roadsense.utils.safe_xml import scan_xml

OPTION_NAMES = {
    **dict.fromkeys(("n", "net"), "net-file"),
    **dict.fromkeys(("r", "routes"), "route-files"),
    **dict.fromkeys(("a", "additional"), "additional-files"),
    **{"b": "begin", "e": "end", "s": "route-steps", "srand": "seed", "v": "verbose", "W": "no-warnings"},
}
"""SUMO's alternative option names, each with the usual one."""

_VALUES = frozenset(("value", "v"))
"""Attributes that hold an option's value."""

_WRITING_OPTION = re.compile(
    r".*output.*|.*-dump|netstate|summary|tripinfo|fcd|l|log|log-file|message-log|error-log|.*-log(-file)?|"
    r"save-.*|statistic.*|duration-log\..*|precision.*|human-readable-time|print-options|device\.(ssm|fcd|tripinfo)\..*|"
    r"gui-.*|g|start|S|quit-on-end|Q|delay|d|breakpoints|B|window-.*|registry-viewport|tracker-interval"
)
"""Options that only write, log or set up SUMO's window: traffic is the same without them."""

_PICTURES = ("imgFile", "osgFile")
"""Attributes with a picture for SUMO's window."""

_WRITING_PARAM = re.compile(r"has\.(ssm|fcd)\.device|device\.(ssm|fcd)\..*|device\.toc\.file")
_DETECTORS = (
    "inductionLoop instantInductionLoop laneAreaDetector entryExitDetector e1Detector e2Detector e3Detector "
    "edgeData laneData routeProbe vTypeProbe timedEvent"
).split()
"""Elements that only write measurements to a file: traffic is the same without them."""

_ASKED = _DETECTORS[:7]
"""Detectors that a traffic light can ask."""
_CONDITIONS = ("param", "condition", "assignment")
_ID = re.compile(r"[^\s,:;()<>=!+*/]+")


def rename_options(config: ET.Element) -> None:
    """Writes each option of a configuration as `<usual-name value=.../>`, of all forms that SUMO reads.

    SUMO takes a value from `value`, `v` or the text, and leaves all other attributes aside, those of the root too.
    """
    for name in [name for name in config.attrib if name not in _VALUES and not name.startswith(("xml", "xsi:"))]:
        del config.attrib[name]
    for element in config.iter():
        if not isinstance(element.tag, str) or element is config:
            continue
        element.tag = OPTION_NAMES.get(element.tag, element.tag)
        if not _VALUES.isdisjoint(element.attrib):
            for name in element.attrib.keys() - _VALUES:
                del element.attrib[name]
        elif not len(element) and not element.attrib and (element.text or "").strip():
            element.set("value", (element.text or "").strip())
            element.text = None
        if list(element.attrib) == ["v"]:
            element.set("value", element.attrib.pop("v"))


def leave_out_options(section: ET.Element, only_writing: bool) -> list[str]:
    """Removes options from a configuration and returns their names.

    Args:
        section: root element of the configuration.
        only_writing: whether to remove only options that write, or all options that a scenario may not set.
    """
    left_out: list[str] = []
    for element in [element for element in section if element.tag is not ET.Comment]:
        is_option = bool(element.attrib or (element.text or "").strip())
        if not is_option:
            n_before = len(left_out)
            left_out += leave_out_options(element, only_writing)
            if element.find("*") is None and (not only_writing or len(left_out) > n_before):
                section.remove(element)  # SUMO reads an empty section as an option
        elif _is_left_out(element, only_writing):
            left_out.append(element.tag)
            section.remove(element)
    return left_out


def _is_left_out(element: ET.Element, only_writing: bool) -> bool:
    option = element.tag
    if option.startswith(VALIDATION):
        return not only_writing and element.get("value") not in SAFE_VALIDATIONS
    if option in (*INPUTS, *SAFE_OPTIONS) or option.startswith(SAFE_FAMILIES):
        return False
    return not only_writing or bool(_WRITING_OPTION.fullmatch(option))


def leave_out_writers(root: ET.Element, lights: Container[str] = ()) -> list[str]:
    """Removes detectors, devices and attributes that write from a route or additional file; returns their names.

    Args:
        root: root element of the file.
        lights: ids of the detectors that traffic lights ask; these stay, and write nowhere.
    """
    left_out = []
    for parent in [element for element in root.iter() if isinstance(element.tag, str)]:
        for element in list(parent):
            if parent is root and element.get("id") in lights and element.tag in _ASKED and "file" in element.attrib:
                left_out += [] if element.get("file") in NOWHERE else [f"file of {element.tag} {element.get('id')!r}"]
                element.set("file", NOWHERE[0])
            elif _writes(parent is root, element):
                parent.remove(element)
                left_out.append(_describe(parent, element))
        if parent.tag == "calibrator" and parent.attrib.pop("output", NOWHERE[0]) not in NOWHERE:
            left_out.append(f"output of calibrator {parent.get('id')!r}")
    return left_out


def find_asked(roots: Sequence[ET.Element], network_path: Path) -> frozenset[str]:
    """Returns all words in parameters and conditions of traffic lights: the ids of detectors are among them."""
    found: set[str] = set()

    def collect(tag: str, attributes: dict[str, str], _line: int) -> None:
        if tag in _CONDITIONS:
            found.update(_ID.findall(attributes.get("value", "")))

    if any(element.tag in _ASKED for root in roots for element in root):
        scan_xml(network_path, None, collect)
        for light in (light for root in roots for light in root.iter("tlLogic")):
            for element in (one for one in light.iter() if isinstance(one.tag, str)):
                collect(element.tag, element.attrib, 0)
    return frozenset(found)


def leave_out_pictures(root: ET.Element) -> list[str]:
    """Removes attributes with pictures for SUMO's window from a route or additional file; returns their names."""
    left_out = []
    for element in root.iter():
        shown = [name for name in _PICTURES if element.attrib.pop(name, None) is not None]
        left_out += [f"{name} of {element.tag} {element.get('id', '')!r}" for name in shown]
    return left_out


def _writes(is_outer: bool, element: ET.Element) -> bool:
    if element.tag == "param":
        key = element.get("key", "")
        names_file = key == "file" and element.get("value") not in NOWHERE
        return names_file or bool(_WRITING_PARAM.fullmatch(key))
    names = [element.get(name, NOWHERE[0]) for name in FILE_ATTRIBUTES]
    return is_outer and element.tag in _DETECTORS and any(name not in NOWHERE for name in names)


def _describe(parent: ET.Element, element: ET.Element) -> str:
    if element.tag == "param":
        return f"{element.get('key')} of {parent.tag} {parent.get('id', '')!r}"
    return f"{element.tag} {element.get('id', '')!r}"


def note_left_out(options: list[str], elements: list[str]) -> list[str]:
    """Returns notes on what was left out, one for options and one for elements."""
    notes = []
    if options:
        notes.append(
            f"Options left out of the configuration: {', '.join(options)}. A scenario sets only options that neither "
            "read or write further files nor listen."
        )
    if elements:
        notes.append(
            f"Left out because it writes or names a file, and traffic is the same without it: {_group(elements)}."
        )
    return notes


def _group(elements: list[str]) -> str:
    # "a of x", "b of x", "a of y", "b of y" become "a, b of x, y".
    owners: dict[str, dict[str, None]] = {}
    for element in elements:
        name, _, owner = element.partition(" of ")
        owners.setdefault(name, {})[owner] = None
    names: dict[tuple[str, ...], list[str]] = {}
    for name, own in owners.items():
        names.setdefault(tuple(own), []).append(name)
    groups = [", ".join(name) + (f" of {', '.join(own)}" if any(own) else "") for own, name in names.items()]
    return "; ".join(groups)
