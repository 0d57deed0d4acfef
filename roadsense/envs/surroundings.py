"""Who else carries a radio around the ego, and what comes back through the air: ranges by name, and one draw. Pure.

The same box sits in every car of a convoy, so cars behind the ego are heard as well as those ahead; others carry one in
parallel lanes, on other roads and in the oncoming traffic. A mesh repeats frames: its own come back to the ego, and a
peer's come again later, with the sender and the sequence that they had.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from roadsense.errors import InputError
from roadsense.utils.bounds import bounded, check_bounds

MAX_BEHIND, MAX_RADIO_CARS = 3, 8
NONE, MIXED = "none", "mixed"

Range = tuple[float, float]


@dataclass(frozen=True)
class Surroundings:
    """The surroundings of one episode.

    Attributes:
        penetration: share of the other traffic that carries a radio.
        cars_behind: cars of the convoy behind the ego. They drive in SUMO, on the ego's route, from 8 to 40 m behind.
        radio_cars: cars on roads that the network does not have, which are only heard: oncoming, parallel, crossing.
        echo_share: share of the ego's own messages that come back to it.
        relay_share: share of steps in which a peer's message that was heard comes again, 0.1 to 1.5 s later.
        decoy_probability: share of episodes with a decoy, see `roadsense.envs.decoy`.
    """

    penetration: float = bounded(0.0, 0.0, 1.0)
    cars_behind: int = bounded(0, 0, MAX_BEHIND)
    radio_cars: int = bounded(0, 0, MAX_RADIO_CARS)
    echo_share: float = bounded(0.0, 0.0, 1.0)
    relay_share: float = bounded(0.0, 0.0, 1.0)
    decoy_probability: float = bounded(0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True)
class SurroundingsRanges:
    """Lowest and highest value of each field of `Surroundings`, drawn uniformly once per episode.

    Raises:
        InputError: for a range that is not within the field's bounds.
    """

    penetration: Range = (0.0, 0.0)
    cars_behind: tuple[int, int] = (0, 0)
    radio_cars: tuple[int, int] = (0, 0)
    echo_share: Range = (0.0, 0.0)
    relay_share: Range = (0.0, 0.0)
    decoy_probability: Range = (0.0, 0.0)

    def __post_init__(self) -> None:
        for each in fields(self):
            low, high = getattr(self, each.name)
            if low > high:
                raise InputError(f"Expected {each.name} from low to high, got {low} and {high}.")
        for end in (0, 1):
            Surroundings(**{each.name: getattr(self, each.name)[end] for each in fields(self)})


MIXED_RANGES = SurroundingsRanges(
    penetration=(0.0, 1.0),
    cars_behind=(0, MAX_BEHIND),
    radio_cars=(0, MAX_RADIO_CARS),
    echo_share=(0.0, 0.3),
    relay_share=(0.0, 0.5),
    decoy_probability=(0.0, 1.0),
)

SURROUNDINGS: dict[str, SurroundingsRanges] = {
    NONE: SurroundingsRanges(),
    "some_equipped": SurroundingsRanges(penetration=(0.3, 0.3)),
    "all_equipped": SurroundingsRanges(penetration=(1.0, 1.0)),
    "cars_behind": SurroundingsRanges(cars_behind=(1, MAX_BEHIND)),
    "other_roads": SurroundingsRanges(radio_cars=(3, MAX_RADIO_CARS)),
    "relayed": SurroundingsRanges(echo_share=(0.3, 0.3), relay_share=(0.5, 0.5)),
    "decoys": SurroundingsRanges(
        penetration=(0.3, 0.3), cars_behind=(1, 2), radio_cars=(2, 4), decoy_probability=(1.0, 1.0)
    ),
    "crowded": SurroundingsRanges(
        penetration=(1.0, 1.0), cars_behind=(2, MAX_BEHIND), radio_cars=(6, MAX_RADIO_CARS), relay_share=(0.5, 0.5)
    ),
    MIXED: MIXED_RANGES,
}
"""Surroundings by name. `none`: nobody but the convoy's cars ahead has a radio. `mixed` is what trainings meet."""


def get_surroundings(name: str) -> SurroundingsRanges:
    """Returns the ranges of a name.

    Raises:
        InputError: if there are none of that name.
    """
    if name not in SURROUNDINGS:
        raise InputError(f"Expected surroundings of {', '.join(SURROUNDINGS)} or 'scenario', got {name!r}.")
    return SURROUNDINGS[name]


def draw_surroundings(rng: np.random.Generator, ranges: SurroundingsRanges) -> Surroundings:
    """Returns surroundings drawn from ranges, always with the same number of draws."""
    return place_surroundings(rng.uniform(size=len(fields(ranges))).tolist(), ranges)


def place_surroundings(places: Sequence[float], ranges: SurroundingsRanges) -> Surroundings:
    """Returns the surroundings at a place, from 0 to below 1, in each range, in the order of their fields."""
    drawn: dict[str, float] = {}
    for each, share in zip(fields(ranges), places, strict=True):
        low, high = getattr(ranges, each.name)
        is_count = isinstance(low, int) and isinstance(high, int)
        drawn[each.name] = low + math.floor(share * (high - low + 1)) if is_count else low + share * (high - low)
    return Surroundings(**drawn)  # type: ignore[arg-type]


def format_surroundings(surroundings: Surroundings) -> str:
    """Returns surroundings as the text of a scenario's param; `parse_surroundings` reads it."""
    return " ".join(f"{each.name}={getattr(surroundings, each.name):g}" for each in fields(surroundings))


def parse_surroundings(text: str) -> SurroundingsRanges:
    """Returns the surroundings that `format_surroundings` wrote, as ranges of one value each.

    Raises:
        InputError: if a name is unknown, or a value no number within its bounds.
    """
    kinds = {each.name: int if isinstance(each.default, int) else float for each in fields(Surroundings)}
    values: dict[str, float] = {}
    for part in text.split():
        name, _, value = part.partition("=")
        try:
            values[name] = kinds[name](value)
        except (KeyError, ValueError) as error:
            known = ", ".join(kinds)
            raise InputError(f"Expected surroundings as name=number with the names {known}, got {part!r}.") from error
    found = Surroundings(**values)  # type: ignore[arg-type]
    return SurroundingsRanges(**{name: (getattr(found, name), getattr(found, name)) for name in kinds})
