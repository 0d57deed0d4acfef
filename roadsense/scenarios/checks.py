"""Checks a scenario's files before SUMO reads them: they may come from untrusted sources."""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from sumolib.miscutils import parseTime

from roadsense.errors import ScenarioError
from roadsense.scenarios.flows import EXPONENTIAL
from roadsense.utils.safe_xml import MAX_FILE_BYTES, locate, read_xml, scan_xml

__all__ = [
    "CONFIG_ROOTS",
    "INPUTS",
    "MAX_FILE_BYTES",
    "check_network",
    "check_options",
    "named_files",
    "read_xml",
    "refuse_file_names",
]

CONFIG_ROOTS = ("configuration", "sumoConfiguration")
INPUTS = ("net-file", "route-files", "additional-files")
SAFE_OPTIONS = (
    "begin device.rerouting.adaptation-interval device.rerouting.adaptation-steps device.rerouting.adaptation-weight "
    "device.rerouting.deterministic device.rerouting.explicit device.rerouting.period device.rerouting.pre-period "
    "device.rerouting.probability device.rerouting.with-taz duration-log.disable eager-insert end "
    "extrapolate-departpos ignore-junction-blocker ignore-route-errors junction-taz keep-after-arrival "
    "lateral-resolution max-depart-delay no-internal-links no-step-log no-warnings pedestrian.model route-steps "
    "routing-algorithm scale seed sloppy-insert startup-wait-threshold step-length step-method.ballistic "
    "time-to-impatience verbose waiting-time-memory weights.minor-penalty weights.priority-factor "
    "weights.random-factor weights.tls-penalty xml-validation xml-validation.net xml-validation.routes"
).split()
SAFE_FAMILIES = (
    "collision.",
    "default.",
    "emergencydecel.",
    "lanechange.",
    "pedestrian.striping.",
    "time-to-teleport",
    "tls.",
)
"""Prefixes of further option names that read or write no file and open no port."""

VALIDATION = "xml-validation"
SAFE_VALIDATIONS = ("never", "local")
"""With other values SUMO downloads the schema that a file names, from any address."""

MAX_NAMED_FILES = 100
MAX_PROBLEMS = 20
FILE_NAME = re.compile(r"[\w.+ ()/-]+")
"""No `%`, `$` or `~`, which SUMO replaces, and no `;`, `:` or backslash. `%20` and similar codes are decoded first."""

FILE_ATTRIBUTES = {"dest", "edgesFile", "file", "href", "imgFile", "osgFile", "output"}
NOWHERE = ("NUL", "/dev/null")
"""Files to which SUMO writes nothing: allowed as the `file` that a detector must have."""

WRITING_PARAM = re.compile(r"(has|device)\.ssm\b.*|(.*\.)?(file|files|output)")

MAX_TIME_S = 100_000.0
MAX_END_S = 1e6
MAX_RATE_VPH = 36_000.0
"""Highest rate of one flow: ten vehicles a second, more than ten full lanes carry."""

OPTION_LIMITS = {
    "begin": (0.0, MAX_TIME_S),
    "end": (-1.0, MAX_END_S),
    "step-length": (0.01, 10.0),
    "lateral-resolution": (-1.0, 10.0),
    "scale": (0.0, 10.0),
    "device.rerouting.adaptation-steps": (0.0, 1000.0),
    "weights.random-factor": (1.0, 1000.0),
}
LIMITS = {
    "begin": (-MAX_TIME_S, MAX_TIME_S),
    "containersPerHour": (0.0, MAX_RATE_VPH),
    "depart": (0.0, MAX_TIME_S),
    "number": (0.0, 100_000.0),
    "perHour": (0.0, MAX_RATE_VPH),
    "period": (3600.0 / MAX_RATE_VPH, math.inf),
    "personNumber": (0.0, 1000.0),
    "personsPerHour": (0.0, MAX_RATE_VPH),
    "probability": (0.0, 1.0),
    "repeat": (0.0, 1000.0),
    "vehsPerHour": (0.0, MAX_RATE_VPH),
}
"""Allowed values of attributes, so that SUMO does not run for ever; times in s, rates in vehicles/h."""

FLOW_ATTRIBUTES = {"number", "period", "probability"}
"""Attributes that mean something else outside a flow."""

_NOT_FINITE = re.compile(r"(?:^|[\s,(])[-+]?(?:nan|inf|infinity)(?=$|[\s,()])", re.IGNORECASE)
_FREE_TEXT = {"id", "name", "type", "key", "value", "from", "to", "edge", "edges", "lane", "lanes", "route", "via"}
_WATCHED = frozenset(LIMITS) | FILE_ATTRIBUTES
_VERSION = re.compile(r"\d+(\.\d+)*")


def check_options(path: Path, config: ET.Element) -> None:
    """Refuses a configuration with an option given twice, or one that reads, writes or listens beyond `INPUTS`.

    Raises:
        ScenarioError: if an option is refused; it names the line and the option.
    """
    if any(not name.startswith("xml") and not name.startswith("xsi:") for name in config.attrib):
        raise ScenarioError(f"{locate(path, config)}: expected <configuration> bare, got {config.attrib}.")
    # SUMO accepts an option in any section, or in none, so the sections' names don't matter.
    options = [
        element
        for element in config.iter()
        if element is not config and isinstance(element.tag, str) and (element.attrib or (element.text or "").strip())
    ]
    for option in options:
        _check_option(locate(path, option), option)
    for element in config.iter():
        if (element.tail or "").strip():
            raise ScenarioError(f"{locate(path, element)}: expected no text beside the options, got {element.tail!r}.")
    tags = [option.tag for option in options]
    twice = sorted({tag for tag in tags if tags.count(tag) > 1})
    if twice:
        raise ScenarioError(f"{path}: expected each option once, got {twice} more than once. Keep one.")


def _check_option(where: str, option: ET.Element) -> None:
    name, value = option.tag, option.get("value", "")
    if name not in (*INPUTS, *SAFE_OPTIONS) and not name.startswith(SAFE_FAMILIES):
        raise ScenarioError(
            f"{where}: a scenario may not set <{name}>: only options that neither write nor "
            "listen. Remove it; outputs are asked for on the command line."
        )
    if list(option.attrib) != ["value"] or (option.text or "").strip():
        raise ScenarioError(f"{where}: expected <{name} value=.../>, got {option.attrib or option.text!r}.")
    if name.startswith(VALIDATION) and value not in SAFE_VALIDATIONS:
        raise ScenarioError(f"{where}: expected <{name}> as one of {SAFE_VALIDATIONS}, got {value!r}.")
    if "$" in value:
        raise ScenarioError(f"{where}: <{name}> may not ask for a variable of the environment, got {value!r}.")
    if name in OPTION_LIMITS:
        _check_limits(where, name, value, OPTION_LIMITS[name])
    elif name not in INPUTS:
        _refuse_not_finite(where, name, {"option": value})


def refuse_file_names(path: Path, root: ET.Element) -> None:
    """Refuses elements that make SUMO read or write a further file, or run for ever.

    Raises:
        ScenarioError: if an element is refused; it names the line and the element.
    """
    problems = []
    for element in root.iter():
        if isinstance(element.tag, str):  # a comment's is not
            try:
                _check_element(path, element.tag, element.attrib, getattr(element, "line", 0))
            except ScenarioError as error:
                problems.append(error)
    raise_all(problems)


def raise_all(problems: Sequence[ScenarioError]) -> None:
    """Raises one error that lists all problems, the first `MAX_PROBLEMS` in full; does nothing without problems.

    Raises:
        ScenarioError: if there is a problem; it names all of them.
    """
    lines = list(dict.fromkeys(map(str, problems)))
    if lines:
        more = [f"and {len(lines) - MAX_PROBLEMS} more"] if len(lines) > MAX_PROBLEMS else []
        raise ScenarioError("\n".join([*lines[:MAX_PROBLEMS], *more]))


def _check_element(path: Path, tag: str, attributes: dict[str, str], line: int) -> None:
    # Quick checks first: networks are long, and almost no element needs a second check.
    if tag == "include" or tag == "param" or not _WATCHED.isdisjoint(attributes):
        _refuse_file(f"{path}:{line}", tag, attributes)
        for name in LIMITS.keys() & attributes.keys():
            if name not in FLOW_ATTRIBUTES or tag.lower().endswith("flow"):
                _check_limits(f"{path}:{line}", name, attributes[name], LIMITS[name])
    text = " ".join(attributes.values()).lower()
    if "nan" in text or "inf" in text:
        _refuse_not_finite(f"{path}:{line}", tag, attributes)


def _refuse_file(where: str, tag: str, attributes: dict[str, str]) -> None:
    if tag == "include":
        raise ScenarioError(f"{where}: <include> may not name a file: copy here what it includes.")
    is_writer = tag == "param" and WRITING_PARAM.fullmatch(attributes.get("key", ""))
    if is_writer and attributes.get("value") not in NOWHERE:
        raise ScenarioError(f"{where}: <param> may not name a file or write one, it has {attributes}. Remove it.")
    named = {name: attributes[name] for name in attributes if name in FILE_ATTRIBUTES}
    if any(name != "file" or value not in NOWHERE for name, value in named.items()):
        raise ScenarioError(
            f"{where}: <{tag}> may not name a file, it has {named}. "
            f'Remove the attribute, or the element; a detector that must have a file may have file="{NOWHERE[0]}".'
        )


def _check_limits(where: str, name: str, text: str, limits: tuple[float, float]) -> None:
    if text.strip().isalpha() and text.strip().lower() not in ("nan", "inf", "infinity"):
        return  # a word such as `triggered`: SUMO checks it
    exponential = EXPONENTIAL.fullmatch(text)
    try:
        number = 1.0 / float(exponential[1]) if exponential else float(parseTime(text))
    except (ValueError, ZeroDivisionError, IndexError, TypeError):
        number = math.nan
    if not limits[0] <= number <= limits[1] or math.isinf(number):
        raise ScenarioError(f"{where}: expected {name} from {limits[0]:g} to {limits[1]:g}, got {text!r}. Change it.")


def _refuse_not_finite(where: str, tag: str, attributes: dict[str, str]) -> None:
    for name, value in attributes.items():
        if name not in _FREE_TEXT and _NOT_FINITE.search(value):
            raise ScenarioError(f"{where}: expected finite numbers in <{tag}>, got {name}={value[:80]!r}. Change it.")


def named_files(path: Path, config: ET.Element, option: str, anywhere: bool = False) -> tuple[Path, ...]:
    """Returns the absolute paths of the files that an input option names.

    Args:
        path: path of the configuration.
        config: its root element.
        option: one of `INPUTS`.
        anywhere: whether files may lie outside its folder.

    Raises:
        ScenarioError: if a file is missing or outside the folder, or no network is named; it names the line.
    """
    element = config.find(f".//{option}")
    if element is None and option != "net-file":
        return ()
    where = str(path) if element is None else locate(path, element)
    names = [] if element is None else [name.strip(" \t\r\n") for name in element.get("value", "").split(",")]
    names = [name for name in names if name]
    if option == "net-file" and not names:
        raise ScenarioError(f"{where}: expected an <{option} value=.../>, found none. Name the file there.")
    if len(names) > (1 if option == "net-file" else MAX_NAMED_FILES):
        raise ScenarioError(f"{where}: {option} names {len(names)} files, more than are opened. Merge them.")
    files = tuple(find_file(path.parent, name, f"{where}: {option}", anywhere) for name in names)
    if len(set(files)) < len(files):
        raise ScenarioError(f"{where}: {option} names a file more than once. Name each once.")
    return files


def find_file(folder: Path, name: str, where: str, anywhere: bool = False) -> Path:
    """Returns the absolute path of a file that a file of a scenario names.

    Args:
        folder: folder of the file that names it.
        name: its name there.
        where: file, line and what names it, for errors.
        anywhere: whether it may lie outside `folder`.

    Raises:
        ScenarioError: if it is not there, lies outside, or has signs in its name that SUMO replaces.
    """
    if "\\" in name:
        raise ScenarioError(f"{where} names {name!r}: write / between folders, not a backslash. Rename it.")
    name = unquote(name)  # as SUMO reads it, which writes %20 for a space itself
    if not FILE_NAME.fullmatch(name):
        raise ScenarioError(f"{where} names {name!r}: expected letters, digits, . _ - + ( ) / and spaces. Rename it.")
    try:
        file = (folder / name).resolve()
        found = file.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, too long a name
        raise ScenarioError(f"{where} names {name[:80]!r}, which cannot be opened ({error}).") from error
    if not anywhere and not file.is_relative_to(folder):
        raise ScenarioError(f"{where} names {file}, outside its folder. Copy the file into it.")
    if not found:
        raise ScenarioError(f"{where} names {file.name}, which is not there. Add it.")
    return file


def check_network(path: Path) -> None:
    """Refuses a file that would crash SUMO as a network, and a network that names other files.

    Raises:
        ScenarioError: if the network is refused; it names the line and the reason.
    """

    def check(tag: str, attributes: dict[str, str], line: int) -> None:
        if tag == "net" and not _VERSION.fullmatch(attributes.get("version", "")):
            raise ScenarioError(
                f"{path}:{line}: expected a <net version=...>, got <{tag}> with {sorted(attributes)}. "
                "SUMO crashes on a network without a version: rebuild it with netconvert."
            )
        if tag == "location" and re.search("grids|init=|[/@]", attributes.get("projParameter", "")):
            raise ScenarioError(f"{path}:{line}: a projection may not name a file: {attributes['projParameter']!r}.")
        _check_element(path, tag, attributes, line)

    scan_xml(path, "net", check)
