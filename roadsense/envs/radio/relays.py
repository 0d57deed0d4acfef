"""Frames that come a second time through a mesh: the ego's own, and a peer's later, with their old sequence number.

The chip drops both before the network: its own by the sender, a peer's by sender and sequence
(`V2vChannel.take`). A relayed message replaces nothing that is newer; it is news only if the original was lost since.
"""

from collections.abc import Sequence

import numpy as np

from roadsense.envs.radio.channel import Message, V2vChannel
from roadsense.envs.world import State

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
