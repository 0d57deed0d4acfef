"""The differences between a base scenario and one drawn from it, attribute by attribute."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from roadsense.scenarios.flows import read_seconds

SECONDS_DECIMALS = 2


@dataclass(frozen=True)
class Edit:
    """One attribute that differs between a base and a scenario drawn from it; None: the attribute is missing.

    A `param` has its owner's id, and its key as the attribute. The lanes of the network have the id `*` together.
    """

    element: str
    id: str
    attribute: str
    original: str | None
    new: str | None


def set_attribute(element: ET.Element, attribute: str, new: str | None) -> Edit:
    """Sets an attribute, or removes it with None."""
    edit = Edit(element.tag, element.get("id", ""), attribute, element.attrib.pop(attribute, None), new)
    if new is not None:
        element.set(attribute, new)
    return edit


def shift_seconds(element: ET.Element, attribute: str, shift_s: float) -> Edit:
    """Adds a shift in s to a time of a vehicle or flow."""
    return set_attribute(element, attribute, f"{read_seconds(element, attribute) + shift_s:.{SECONDS_DECIMALS}f}")


def set_param(owner: ET.Element, key: str, value: str) -> Edit:
    """Sets a generic parameter of a vehicle or type."""
    found = [param for param in owner.findall("param") if param.get("key") == key]
    param = found[0] if found else ET.SubElement(owner, "param", key=key)
    edit = set_attribute(param, "value", value)
    return Edit("param", owner.get("id", ""), key, edit.original, value)
