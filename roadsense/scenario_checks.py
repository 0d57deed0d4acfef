"""The checks on a scenario's files before SUMO sees them: they may come from anywhere."""

import io
import xml.etree.ElementTree as ET
from pathlib import Path

import defusedxml.ElementTree as SafeET
from defusedxml import DefusedXmlException

from roadsense.errors import ScenarioError
from roadsense.xml_files import CommentKeeper, read_content

MAX_FILE_BYTES = 100 * 2**20
CONFIG_ROOTS = ("configuration", "sumoConfiguration")
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


def read_xml(path: Path, root_tag: str | tuple[str, ...] | None, comments: bool = False) -> ET.Element:
    """Returns the root element of an XML file, plain or gzip'd, with its comments or without.

    Raises:
        ScenarioError: if the file is missing, too large, not XML, has a document type or an entity, or has
            another root than `root_tag`, or than one of them; None: it may have any.
    """
    file = io.BytesIO(read_content(path, MAX_FILE_BYTES))
    parser = SafeET.XMLParser(target=CommentKeeper(), forbid_dtd=True) if comments else None
    try:
        root: ET.Element = SafeET.parse(file, parser, forbid_dtd=True).getroot()
    except ET.ParseError as error:
        raise ScenarioError(f"{path}: not well-formed XML ({error}). Mend or regenerate the file.") from error
    except DefusedXmlException as error:
        raise ScenarioError(f"{path}: XML with a document type or entities is not opened ({error}).") from error
    roots = (root_tag,) if isinstance(root_tag, str) else root_tag
    if roots is not None and root.tag not in roots:
        raise ScenarioError(f"{path}: expected the root <{'> or <'.join(roots)}>, got <{root.tag}>.")
    return root


def check_options(path: Path, config: ET.Element) -> None:
    """Refuses a configuration with an option that reads, writes or listens beyond `INPUTS`, or with one given twice.

    Raises:
        ScenarioError: naming the option.
    """
    # SUMO takes an option in any section, or in none, so the sections' names say nothing.
    options = [
        element
        for element in config.iter()
        if element is not config and element.tag is not ET.Comment and (element.attrib or (element.text or "").strip())
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


def refuse_file_names(path: Path, root: ET.Element) -> None:
    """Refuses elements that make SUMO read or write a further file.

    Raises:
        ScenarioError: naming the element.
    """
    for element in root.iter():
        names = [name for name in FILE_ATTRIBUTES if name in element.attrib]
        key = element.get("key", "")
        if names or (element.tag == "param" and (key in FILE_PARAMS or key.endswith(".file"))):
            raise ScenarioError(f"{path}: <{element.tag}> may not name a file, it has {element.attrib}.")


def named_files(path: Path, config: ET.Element, option: str) -> tuple[Path, ...]:
    """Returns the absolute paths of the files an input option names.

    Raises:
        ScenarioError: if one is missing or outside the folder, or a required option names none.
    """
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


def check_network(path: Path) -> None:
    """Refuses what SUMO would crash on in place of a network, and a network that includes other files.

    Raises:
        ScenarioError: naming the reason.
    """
    # Only the first element is read: a network can be large, and every worker opens many.
    content = read_content(path, MAX_FILE_BYTES)
    try:
        _, root = next(iter(SafeET.iterparse(io.BytesIO(content), events=("start",), forbid_dtd=True)))
    except (ET.ParseError, StopIteration, DefusedXmlException) as error:
        raise ScenarioError(f"{path}: not a network ({error}). Rebuild it with netconvert.") from error
    if root.tag != "net" or "version" not in root.attrib:
        raise ScenarioError(
            f"{path}: expected a <net version=...>, got <{root.tag}> with {sorted(root.attrib)}. "
            "SUMO crashes on a network without a version: rebuild it with netconvert."
        )
    if b"<include" in content:
        raise ScenarioError(f"{path}: a network may not <include> another file. Rebuild it with netconvert.")
