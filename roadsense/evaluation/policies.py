"""The policies of an evaluation: name, label, kind and style of each, in display order."""

from collections.abc import Iterable
from dataclasses import dataclass

from roadsense.episodes.plan import BOUND, LONG_HEADWAY, LONG_HEADWAY_S, MUTED, OTHER_MESSAGES, POLICY
from roadsense.pictures.style import BLUE, BROWN, GREEN, GREY, INK, ORANGE, PURPLE, RED, SKY, TEAL

JUDGED, NULL, RULE, UPPER_BOUND, ANOTHER_RUN = "judged", "null policy", "rule", "upper bound", "another run"


@dataclass(frozen=True)
class PolicyRecord:
    """A policy of an evaluation.

    Attributes:
        name: its name in tables and plans.
        label: its name in sentences and charts.
        kind: `JUDGED`, `NULL` (hears nothing or does nothing with it), `RULE`, `UPPER_BOUND` or `ANOTHER_RUN`.
        colour: colour of its lines and points.
        line: its line style for Matplotlib; null policies and the bound have dashed lines, except the driver alone.
    """

    name: str
    label: str
    kind: str
    colour: str
    line: str = "-"


RECORDS = (
    PolicyRecord(POLICY, "policy", JUDGED, BLUE),
    PolicyRecord(MUTED, "policy, radio muted", NULL, SKY, "--"),
    PolicyRecord(OTHER_MESSAGES, "policy, another episode's messages", NULL, SKY, ":"),
    PolicyRecord("unassisted", "driver alone", NULL, INK),
    PolicyRecord(LONG_HEADWAY, f"driver alone, {LONG_HEADWAY_S:g} s headway", NULL, INK, "--"),
    PolicyRecord("gentle_brake", "always brakes gently", NULL, GREY, ":"),
    PolicyRecord("always_brake", "always brakes", NULL, GREY, "--"),
    PolicyRecord("heard_braking_rule", "rule: heard braking", RULE, ORANGE),
    PolicyRecord("heard_drac_rule", "rule: heard DRAC", RULE, RED, "-."),
    PolicyRecord("heard_prediction_rule", "rule: prediction", RULE, PURPLE, "-."),
    PolicyRecord("cautious_rule", "rule: cautious", RULE, BROWN),
    PolicyRecord("confirmed_rule", "rule: confirmed prediction", RULE, TEAL),
    PolicyRecord(BOUND, "perfect driver", UPPER_BOUND, GREEN, ":"),
)
_BY_NAME = {record.name: record for record in RECORDS}
POLICIES = tuple(_BY_NAME)
NULL_POLICIES = tuple(record.name for record in RECORDS if record.kind == NULL)
"""A result that these policies also reach is not due to the judged policy."""
RULES = tuple(record.name for record in RECORDS if record.kind == RULE)


def record_of(name: str) -> PolicyRecord:
    """Returns a policy's record; a name that is not in `RECORDS` is another run."""
    return _BY_NAME.get(name, PolicyRecord(name, name, ANOTHER_RUN, PURPLE))


def label_policy(name: str) -> str:
    """Returns a policy's name for sentences and charts."""
    return record_of(name).label


def order_policies(names: Iterable[str]) -> list[str]:
    """Returns the policies, each once: the judged one, other runs, then those of `RECORDS` in their order."""
    present = dict.fromkeys(names)
    return sorted(present, key=lambda name: POLICIES.index(name) if name in _BY_NAME else 0.5)
