"""The convoy's cars behind the ego: added to SUMO as soon as there is room, and one of them brakes as a decoy."""

from collections.abc import Sequence
from typing import Final

from roadsense.envs.decoy import Decoy
from roadsense.envs.hazard_profile import HazardProfile
from roadsense.envs.sumo.connection import SPEED_MODE_HARD_BRAKING, SumoConnection
from roadsense.envs.world import State

CAR_ID: Final = "roadsense_behind_{}"
TRY_STEPS: Final = 5
"""Time between two looks for room."""
HEADWAY_S: Final = 0.6
"""A car is added at least this far behind, so that SUMO does not brake it at once."""


class CarsBehind:
    """The cars of one episode that drive behind the ego, on its route.

    Attributes:
        ids: ids of the cars, the nearest to the ego first; those that found no room yet are not on the road.

    Args:
        connection: connection to a running simulation.
        ego_id: id of the ego.
        spacings_m: distance of each car from the one ahead of it, from front bumper to front bumper.
        decoy: decoy of kind `behind`, or None.
        profile: its braking over the episode.
    """

    def __init__(
        self,
        connection: SumoConnection,
        ego_id: str,
        spacings_m: Sequence[float],
        decoy: Decoy | None,
        profile: HazardProfile,
    ):
        self.ids = [CAR_ID.format(place + 1) for place in range(len(spacings_m))]
        self._connection, self._spacings_m = connection, spacings_m
        self._ahead = [ego_id, *self.ids]
        self._n_added = self._step = 0
        self._decoy, self._profile = decoy, profile

    def advance(self, time_s: float, ego: State) -> list[State | None]:
        """Adds a car where there is room, drives the decoy, and returns each car's state; call it once a step.

        Args:
            time_s: time since the episode's start.
            ego: the ego's true state.
        """
        if self._n_added < len(self.ids) and self._step % TRY_STEPS == 0:
            behind_m = max(self._spacings_m[self._n_added], HEADWAY_S * ego[2] + 7.0)
            ahead, name = self._ahead[self._n_added], self.ids[self._n_added]
            self._n_added += self._connection.add_behind(name, ahead, behind_m)
        self._step += 1
        states = self._connection.read_states(self.ids)
        if self._decoy is not None and states[0] is not None:
            self._brake(time_s, states[0])
        return states

    def _brake(self, time_s: float, state: State) -> None:
        profile, name = self._profile, self.ids[0]
        if profile.is_due(time_s, 0.0) and profile.begin(state[2]):
            self._connection.set_speed_mode(name, SPEED_MODE_HARD_BRAKING)
        if not profile.active:
            return
        command_mps = profile.advance(state[2])
        if command_mps is None:
            self._connection.release(name)
        else:
            self._connection.command_speed(name, command_mps)
