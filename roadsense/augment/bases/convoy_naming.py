"""A convoy whose cars have other ids than V001, V002, ...: the user names its cars, and they are renamed."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from roadsense.errors import InputError, ScenarioError
from roadsense.scenarios.scenario import CONVOY_ID

MAX_CARS = 999

_REFERENCES: Mapping[str, tuple[str, ...]] = {
    "stop": ("join", "split"),
    "ride": ("lines",),
    "transport": ("lines",),
}
"""Attributes that hold ids of vehicles, by element."""

_NUMBER = re.compile(r"[-+.\d]+")
_N_LISTED = 20


@dataclass(frozen=True)
class ConvoyNaming:
    """Which cars of a scenario are the convoy.

    Attributes:
        ego: id of its last car.
        convoy: ids of the cars ahead of it, going forward; the ego may stand first here too.
    """

    ego: str
    convoy: tuple[str, ...]

    def __post_init__(self) -> None:
        """Checks that this is a convoy.

        Raises:
            InputError: without an ego or a car ahead of it, or with a car named twice.
        """
        cars = self.cars
        if not self.ego or not 2 <= len(cars) <= MAX_CARS:
            raise InputError(
                f"ego and convoy: expected the id of the ego and those of 1 to {MAX_CARS - 1} cars ahead of it, "
                f"going forward; got {self.ego!r} and {list(self.convoy)}."
            )
        if len(set(cars)) < len(cars):
            raise InputError(f"convoy: expected each car once, got {list(cars)}.")

    @property
    def cars(self) -> tuple[str, ...]:
        """All cars' ids, the ego first, going forward."""
        return (self.ego, *(self.convoy[1:] if self.convoy[:1] == (self.ego,) else self.convoy))


def rename_convoy(config_path: Path, roots: Sequence[ET.Element], naming: ConvoyNaming) -> None:
    """Renames a convoy's cars to V001 (the ego), V002, ... in the trees of its route files, wherever they are named.

    A car outside the convoy with such an id is renamed too, `background_V001`.

    Raises:
        ScenarioError: if a car is not in the files; it names the cars that are.
    """
    cars = [element.get("id", "") for root in roots for tag in ("vehicle", "trip") for element in root.findall(tag)]
    flows = [element.get("id", "") for root in roots for element in root.findall("flow")]
    _check_cars(config_path, naming.cars, cars, flows)
    names = {old: f"V{number:03d}" for number, old in enumerate(naming.cars, start=1)}
    for car in sorted(set(cars) - set(names)):
        if CONVOY_ID.fullmatch(car):
            names[car] = _free_name(f"background_{car}", cars)
    for root in roots:
        for element in root.iter():
            _rename(element, names)


def tell_own_names(notes: Iterable[str], naming: ConvoyNaming | None) -> tuple[str, ...]:
    """Returns notes with the user's names of the convoy's cars, in place of V001, V002, ..."""
    own = {f"V{number:03d}": car for number, car in enumerate(naming.cars if naming else (), start=1)}
    return tuple(re.sub(r"(?<!\w)V\d{3,}(?!\w)", lambda found: own.get(found[0], found[0]), note) for note in notes)


def _check_cars(path: Path, named: Sequence[str], cars: list[str], flows: list[str]) -> None:
    missing = [car for car in named if car not in cars]
    if not missing:
        return
    of_flows = [car for car in missing if car.rpartition(".")[0] in flows]
    if of_flows:
        raise ScenarioError(
            f"{path}: {of_flows} are cars of a <flow>, which has no place for each car. "
            "Write the convoy as <vehicle> or <trip> elements and name those."
        )
    more = f" and {len(cars) - _N_LISTED} more" if len(cars) > _N_LISTED else ""
    raise ScenarioError(
        f"{path}: expected vehicles {missing} for --ego and --convoy; its <vehicle> and <trip> elements are "
        f"{sorted(cars)[:_N_LISTED]}{more}. Name the convoy's cars among these."
    )


def _free_name(wanted: str, taken: list[str]) -> str:
    while wanted in taken:
        wanted += "_"
    return wanted


def _rename(element: ET.Element, names: Mapping[str, str]) -> None:
    if element.tag in ("vehicle", "trip"):
        element.set("id", names.get(element.get("id", ""), element.get("id", "")))
    for attribute in _REFERENCES.get(str(element.tag), ()):
        if attribute in element.attrib:
            words = element.attrib[attribute].split()
            element.set(attribute, " ".join(names.get(word, word) for word in words))
    value = element.get("value", "")
    # A number may be a car's id or only a number: it stays unchanged.
    if element.tag == "param" and value in names and not _NUMBER.fullmatch(value):
        element.set("value", names[value])
