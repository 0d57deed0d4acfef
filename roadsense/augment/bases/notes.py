"""Notes for the user on what can't be varied in a base scenario, or is left out."""

import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterator, Sequence

from roadsense.augment.edits.vehicle_defaults import CLASSES_LEFT_ALONE
from roadsense.scenarios.flows import why_uncountable
from roadsense.scenarios.route_files import single_vehicles, type_of
from roadsense.scenarios.scenario import Scenario

_CHOSEN_BY_SUMO = ("random", "free", "random_free")
_PLACES = ("departPos", "departLane", "departSpeed", "arrivalPos", "arrivalLane")
_UNVARIED = ("person", "personFlow", "container", "containerFlow")


def list_notes(scenario: Scenario, roots: Sequence[ET.Element]) -> tuple[str, ...]:
    """Returns what isn't varied and why, in one sentence each.

    Args:
        scenario: files of the base.
        roots: root elements of its route files.
    """
    flows = [flow for root in roots for flow in root.findall("flow")]
    singles = [car for root in roots for car in single_vehicles(root)]
    return (
        *_flows(roots, flows),
        *(f"Left as it is: {reason}" for element in (*flows, *singles) if (reason := why_uncountable(element))),
        *_convoy([car for car in singles if car.get("id") in scenario.convoy_ids], roots),
        *_choices([*flows, *singles]),
        *_people(roots),
        *_other_classes(roots),
    )


def _flows(roots: Sequence[ET.Element], flows: Sequence[ET.Element]) -> Iterator[str]:
    if not flows:
        yield "Density is not varied: there is no <flow>."
    calibrators = [element.get("id") for root in roots for element in root.iter("calibrator")]
    if calibrators:
        yield (
            f"The flows of calibrators are left as they are: {_listed(calibrators)}. Where they stand, they add what a "
            "sparse draw leaves out and take away what a dense one adds."
        )


def _convoy(cars: Sequence[ET.Element], roots: Sequence[ET.Element]) -> Iterator[str]:
    mixed = {element.get("id") for root in roots for element in root.iter("vTypeDistribution")}
    for car in cars:
        name, place = car.get("id"), car.get("departPos", "base")
        if not _is_number(place):
            yield (
                f"{name} has the departPos {place!r}, which is no distance: SUMO places it, "
                "the convoy's spacing is not varied."
            )
        if type_of(car) in mixed:
            yield f"{name} has the vTypeDistribution {type_of(car)!r}: SUMO draws its type, by its seed."


def _choices(elements: Sequence[ET.Element]) -> Iterator[str]:
    chosen = defaultdict(list)
    for element in elements:
        for attribute in _PLACES:
            if element.get(attribute) in _CHOSEN_BY_SUMO:
                chosen[attribute, element.get(attribute)].append(element.get("id"))
    for (attribute, value), names in chosen.items():
        yield f"{attribute}={value!r} of {_listed(names)} is SUMO's choice, by its seed, and not varied."


def _people(roots: Sequence[ET.Element]) -> Iterator[str]:
    for tag in _UNVARIED:
        count = sum(len(root.findall(tag)) for root in roots)
        if count:
            yield f"<{tag}> elements are left as they are, {count} of them."


def _other_classes(roots: Sequence[ET.Element]) -> Iterator[str]:
    kinds = [kind for root in roots for kind in root.iter("vType") if kind.get("vClass") in CLASSES_LEFT_ALONE]
    if kinds:
        yield f"Types of other than road vehicles are not varied: {_listed([kind.get('id') for kind in kinds])}."


def _listed(names: Sequence[str | None], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
