"""Cars of other traffic that carry a radio too: which they are, and which of them the ego's radio follows."""

import math
import zlib
from collections.abc import Sequence
from typing import Final

from roadsense.envs.radio.channel import V2vChannel
from roadsense.envs.sumo.connection import SumoConnection
from roadsense.envs.world import State

RANGE_M: Final = 300.0
"""Cars farther off are not followed."""

CHOICE_STEPS: Final = 10
"""Time between two choices of the cars to follow."""


class EquippedTraffic:
    """The equipped cars around the ego over one episode.

    Its id and the episode's salt decide whether a car is equipped, in any order of appearance. Once followed, it keeps
    its place until it has left the road or is out of range.

    Attributes:
        places: id of the car in each place, "" in an empty one.

    Args:
        connection: connection to a running simulation.
        convoy_ids: ids of the convoy's cars, also of those behind the ego; they are always heard.
        penetration: share of the other cars that carry a radio, from 0 to 1.
        salt: number of the episode that decides which cars are equipped.
        n_places: number of cars that can be followed at once.
    """

    def __init__(
        self, connection: SumoConnection, convoy_ids: Sequence[str], penetration: float, salt: int, n_places: int
    ):
        self.places = [""] * n_places
        self._connection = connection
        self._convoy_ids = frozenset(convoy_ids)
        self._penetration, self._salt = penetration, salt
        self._step = 0

    def is_equipped(self, vehicle_id: str) -> bool:
        """Returns whether a car of other traffic carries a radio."""
        return zlib.crc32(f"{self._salt}:{vehicle_id}".encode()) < self._penetration * 2**32

    def read_states(self, ego: State, channel: V2vChannel) -> list[State | None]:
        """Returns the state of the car in each place, None for an empty one; call it once in each step.

        Args:
            ego: true state of the ego.
            channel: radio channel whose last peers these are; it forgets a car that loses its place.
        """
        states = self._connection.read_states(self.places)
        if self._step % CHOICE_STEPS == 0:
            free = [place for place, state in enumerate(states) if state is None or _distance_m(state, ego) > RANGE_M]
            newcomers = self._nearest(ego, len(free)) if free else []
            for place in free:
                self.places[place] = newcomers.pop(0) if newcomers else ""
                channel.forget(len(channel.messages) - len(self.places) + place)
            states = self._connection.read_states(self.places)
        self._step += 1
        return states

    def _nearest(self, ego: State, n: int) -> list[str]:
        """Returns the `n` nearest equipped cars in range that have no place yet, the nearest first."""
        known = self._convoy_ids.union(self.places)
        names = [name for name in self._connection.vehicle_ids() if name not in known and self.is_equipped(name)]
        found = zip(names, self._connection.read_states(names), strict=True)
        ways_m = sorted((_distance_m(state, ego), name) for name, state in found if state)
        return [name for way_m, name in ways_m[:n] if way_m <= RANGE_M]


def _distance_m(state: State, ego: State) -> float:
    return math.hypot(state[0] - ego[0], state[1] - ego[1])
