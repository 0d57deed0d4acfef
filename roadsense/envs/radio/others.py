"""Everybody who sends but the convoy's cars ahead: cars behind, on other roads, other traffic; and relayed frames.

Relayed frames come a second time through a mesh: the ego's own, and a peer's later, with their old sequence number. The
chip drops both before the network: its own by the sender, a peer's by sender and sequence (`V2vChannel.take`). A
relayed message replaces nothing that is newer; it is news only if the original was lost since.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.cars_behind import CarsBehind
from roadsense.envs.decoy import Decoy
from roadsense.envs.hazard import Hazard
from roadsense.envs.hazard_profile import HazardProfile
from roadsense.envs.radio.channel import Message, V2vChannel
from roadsense.envs.radio.equipped import EquippedTraffic
from roadsense.envs.radio.radio_cars import RadioCars
from roadsense.envs.sumo.connection import SumoConnection
from roadsense.envs.world import State
from roadsense.scenarios.scenario import Scenario

MAX_DELAY_S = 1.5
"""Longest time on the way; the shortest is a step."""
OWN = -1
"""Stands for the ego in place of a channel's number."""


class Relays:
    """The relayed frames of one episode.

    Attributes:
        n_dropped: own frames that came back and were dropped.

    Args:
        echo_share: share of the ego's own messages that come back.
        relay_share: share of steps in which a peer's newest message is sent on.
        n_steps: number of steps of the episode.
        step_length_s: time between two steps.
        rng: generator of all draws.
    """

    def __init__(
        self, echo_share: float, relay_share: float, n_steps: int, step_length_s: float, rng: np.random.Generator
    ):
        self.n_dropped = 0
        chances = rng.uniform(size=(n_steps, 3))
        most = max(1, round(MAX_DELAY_S / step_length_s))
        self._delays: list[int] = rng.integers(1, most + 1, n_steps).tolist()
        self._echoes: list[bool] = (chances[:, 0] < echo_share).tolist()
        self._relays: list[bool] = (chances[:, 1] < relay_share).tolist()
        self._places: list[float] = chances[:, 2].tolist()
        self._arriving: dict[int, list[tuple[int, int, Message]]] = {}

    def exchange(self, step: int, own: State, channels: Sequence[V2vChannel]) -> None:
        """Lets the frames of this step arrive, and sends others on their way.

        Args:
            step: number of the step, after the channels' own exchange.
            own: the state that the ego sends in this step.
            channels: radio channels that the frames are taken into.
        """
        for number, peer, message in self._arriving.pop(step, ()):
            if number == OWN:
                self.n_dropped += 1
            elif channels[number].messages[peer] is not None:  # else another car has its place since
                channels[number].take(peer, message)
        if step >= len(self._delays):
            return
        sent: list[tuple[int, int, Message]] = []
        if self._echoes[step]:
            sent.append((OWN, 0, (step, *own)))
        if self._relays[step]:
            known = [
                (number, peer, message)
                for number, channel in enumerate(channels)
                for peer, message in enumerate(channel.messages)
                if message is not None
            ]
            sent += known[int(self._places[step] * len(known)) :][:1]
        if sent:
            self._arriving.setdefault(step + self._delays[step], []).extend(sent)


N_TRAFFIC = 12
"""Cars of other traffic that are followed at once, more than there are places."""


class OthersDraw(NamedTuple):
    """All draws of the others of one episode.

    Attributes:
        penetration: share of the other traffic that carries a radio.
        salt: number that decides which cars do.
        spacings_m: distance of each car behind from the one ahead of it.
        n_radio_cars: number of cars that are only heard, beside a decoy.
        spawns: random numbers that they are made of.
        decoy: decoy, or None.
        channel: radio channel of the cars behind, those that are only heard, and other traffic, in this order.
        relays: frames that come a second time.
    """

    penetration: float
    salt: int
    spacings_m: tuple[float, ...]
    n_radio_cars: int
    spawns: NDArray[np.float64]
    decoy: Decoy | None
    channel: V2vChannel
    relays: Relays


class Others:
    """The other senders of one episode.

    Attributes:
        channel: their radio channel.
        decoy_onset_s: time at which the decoy began to brake after the episode's start; negative if it has not.

    Args:
        connection: connection to a running simulation.
        scenario: scenario that runs.
        draw: all draws of the others.
    """

    def __init__(self, connection: SumoConnection, scenario: Scenario, draw: OthersDraw):
        decoy = draw.decoy
        is_behind = decoy is not None and decoy.kind == "behind"
        braking = None if decoy is None else _as_hazard(decoy)
        self._decoy_profile = HazardProfile(braking, connection.step_length_s)
        self.decoy_onset_s = -1.0
        self.channel, self._relays = draw.channel, draw.relays
        self._behind = CarsBehind(
            connection, scenario.ego_id, draw.spacings_m, decoy if is_behind else None, self._decoy_profile
        )
        self._radio_cars = RadioCars(
            draw.n_radio_cars, draw.spawns, None if is_behind else decoy, self._decoy_profile, connection.step_length_s
        )
        n_placed = len(self._behind.ids) + len(self._radio_cars.states)
        known = (*scenario.convoy_ids, *self._behind.ids)
        n_traffic = len(draw.channel.messages) - n_placed
        self._traffic = EquippedTraffic(connection, known, draw.penetration, draw.salt, n_traffic)

    @property
    def ids(self) -> list[str]:
        """Id of each sender in the simulation; "" for one that is only heard, and for an empty place."""
        return [*self._behind.ids, *[""] * len(self._radio_cars.states), *self._traffic.places]

    @property
    def n_dropped(self) -> int:
        """Number of frames so far that were dropped by sender and sequence."""
        return self._relays.n_dropped + self.channel.n_dropped

    def exchange(self, step: int, time_s: float, ego: State, own: State, convoy_channel: V2vChannel) -> None:
        """Drives the others one step on, and lets the ego hear them.

        Args:
            step: number of the step.
            time_s: time since the episode's start.
            ego: the ego's true state.
            own: the ego's state as it sends it.
            convoy_channel: radio channel of the convoy's cars ahead, whose frames are relayed as well.
        """
        states = self._behind.advance(time_s, ego)
        n_behind = len(states)
        for car in self._radio_cars.advance(time_s, ego):
            self.channel.forget(n_behind + car)
        states += self._radio_cars.states
        if len(self.channel.messages) > len(states):
            states += self._traffic.read_states(ego, self.channel)
        if self.decoy_onset_s < 0 and self._decoy_profile.started:
            self.decoy_onset_s = time_s
        self.channel.exchange(step, states, ego[:2])
        self._relays.exchange(step, own, (convoy_channel, self.channel))


def _as_hazard(decoy: Decoy) -> Hazard:
    return Hazard(0, decoy.onset_s, decoy.deceleration_mps2, decoy.final_speed_share, decoy.hold_s)
