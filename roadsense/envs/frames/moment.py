"""What a frame shows of one step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from roadsense.scenarios.scenario import CONVOY_ID


class Car(NamedTuple):
    """A vehicle on the road.

    Attributes:
        name: its id in SUMO.
        x_m: middle of the front bumper, eastward.
        y_m: the same, northward.
        heading_rad: heading, 0 is east, counter-clockwise.
        speed_mps: its speed.
        length_m: length of its body.
        width_m: width of its body.
    """

    name: str
    x_m: float
    y_m: float
    heading_rad: float
    speed_mps: float
    length_m: float
    width_m: float

    @property
    def is_convoy(self) -> bool:
        """Whether it belongs to the convoy."""
        return CONVOY_ID.fullmatch(self.name) is not None

    @property
    def tag(self) -> str:
        """Its number in the convoy; 1 is the ego."""
        return self.name.lstrip("V0")


@dataclass(frozen=True)
class Moment:
    """One step of an episode.

    Attributes:
        cars: every vehicle on the road.
        messages: the messages sent in this step: the sender's id, and whether the ego hears it at any time.
        figures: figures of the ego by name, as `ConvoyEnv`'s info has them, and `action`; empty after the reset.
    """

    cars: tuple[Car, ...]
    messages: tuple[tuple[str, bool], ...]
    figures: Mapping[str, float]
