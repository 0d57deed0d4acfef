"""The radio between the cars: messages are lost in bursts, arrive late, and carry noisy values.

Every equipped car sends its state at every step. All random draws of an episode are made at its start, as arrays over
all cars and steps; the steps themselves are plain arithmetic, which for the few cars of a convoy is two to four times
as fast as array operations.

Loss follows Gilbert's two-state model ("Capacity of a burst-noise channel", 1960): in the bad state every message is
lost, in the good state none; the chance to enter the bad state depends on the distance, the chance
to leave it on the mean burst.
"""

import math
from typing import Final

import numpy as np

from roadsense.envs.radio.presets import DISTANCE_EDGES_M, V2vPreset
from roadsense.envs.sensing import WALKING_MPS, Sensors
from roadsense.envs.world import State

DELIVERED: Final = 1
LOST: Final = 2
"""Fate of a message; 0 where none was sent."""

STEADY_S: Final = 0.3
"""Time constant of the mean over a sender's accelerations: an accelerometer's noise falls to two fifths."""

Message = tuple[int, float, float, float, float, float]
"""The step at which it was sent, which is its sequence number, and the state in it."""


class V2vChannel:
    """What the ego hears of its peers over one episode.

    Attributes:
        messages: newest message heard from each peer, as (step at which it was sent, x, y, speed, acceleration,
            heading), or None if none was heard yet.
        courses_rad: heading in each peer's last message that was sent at walking pace or faster, because a slower
            car's course means nothing; NaN if there was none.
        steady_mps2: running mean of each peer's heard accelerations, with the time constant `STEADY_S`.
        n_dropped: messages taken in that were no newer than what was known: relayed ones.
        stale_steps: age in steps above which a message should be ignored.
        step_length_s: time between two messages of a car.

    Args:
        preset: figures of the radio.
        n_peers: number of cars that send.
        n_steps: number of steps of the episode.
        step_length_s: time between two messages of a car.
        rng: generator of the episode.
        sensors: boxes of all cars, or None if they measure the truth.
        first_box: number of the first peer's box; the others' follow.
    """

    def __init__(
        self,
        preset: V2vPreset,
        n_peers: int,
        n_steps: int,
        step_length_s: float,
        rng: np.random.Generator,
        sensors: Sensors | None = None,
        first_box: int = 0,
    ):
        self._sensors, self._first_box = sensors, first_box
        self.steady_mps2 = [0.0] * n_peers
        self.courses_rad = [math.nan] * n_peers
        self.n_dropped = 0
        self.step_length_s = step_length_s
        self.stale_steps = preset.stale_after_s / step_length_s
        self.messages: list[Message | None] = [None] * n_peers
        shape = (n_steps, n_peers)
        latency_s = np.maximum(rng.normal(preset.latency_mean_s, preset.latency_std_s, shape), 0.0)
        # A message is heard at the first step that is not before its arrival.
        delay = np.ceil(latency_s / step_length_s - 1e-9).astype(np.intp)
        n_slots = int(delay.max(initial=0)) + 1
        noise_std = (
            preset.position_std_m, preset.position_std_m, preset.speed_std_mps,
            preset.acceleration_std_mps2, preset.heading_std_rad,
        )  # fmt: skip
        # Flat: thousands of small lists would set off Python's garbage collector in every episode.
        self._noise = (rng.standard_normal((*shape, 5)) * noise_std).ravel().tolist()
        self._chance = rng.uniform(size=shape).ravel().tolist()
        self._slot = ((np.arange(n_steps)[:, None] + delay) % n_slots).ravel().tolist()
        self._inbox: list[list[Message | None]] = [[None] * n_peers for _ in range(n_slots)]
        self._was_lost = [False] * n_peers
        self._fates = bytearray(n_steps * n_peers)
        self._stay_lost = 1 - 1 / preset.burst_mean
        get_lost = [(1 - self._stay_lost) * share / (1 - share) for share in preset.loss]
        self._near_m2, self._middle_m2, self._far_m2 = [edge**2 for edge in DISTANCE_EDGES_M]
        self._near, self._middle, self._far, self._beyond = get_lost
        self._squared_range = preset.range_m**2

    def exchange(self, step: int, states: list[State | None], ego_xy_m: tuple[float, float]) -> None:
        """Sends every peer's state of this step, and hears what arrives by now.

        Args:
            step: number of the step from 0; each step once, in order.
            states: true state of each peer; None for a peer that has left the road.
            ego_xy_m: position of the ego.
        """
        was_lost = self._was_lost
        ego_x_m, ego_y_m = ego_xy_m
        chance, noise, slots, inbox, fates = self._chance, self._noise, self._slot, self._inbox, self._fates
        sensors = self._sensors
        near_m2, middle_m2, far_m2 = self._near_m2, self._middle_m2, self._far_m2
        draw = step * len(was_lost) - 1
        for peer, state in enumerate(states):
            draw += 1
            if state is None:
                was_lost[peer] = True
                continue
            x_m, y_m, speed_mps, acceleration_mps2, heading_rad = state
            dx_m, dy_m = x_m - ego_x_m, y_m - ego_y_m
            squared_m2 = dx_m * dx_m + dy_m * dy_m
            if sensors is not None:
                measured = sensors.sense(self._first_box + peer, step, state)
                x_m, y_m, speed_mps, acceleration_mps2, heading_rad = measured
            if was_lost[peer]:
                threshold = self._stay_lost
            elif squared_m2 < middle_m2:
                threshold = self._near if squared_m2 < near_m2 else self._middle
            else:
                threshold = self._far if squared_m2 < far_m2 else self._beyond
            if chance[draw] < threshold or squared_m2 >= self._squared_range:
                was_lost[peer] = True
                fates[draw] = LOST
                continue
            was_lost[peer] = False
            fates[draw] = DELIVERED
            first = 5 * draw
            # If two messages arrive in one step, the one that was sent later replaces the other.
            inbox[slots[draw]][peer] = (
                step,
                x_m + noise[first],
                y_m + noise[first + 1],
                speed_mps + noise[first + 2],
                acceleration_mps2 + noise[first + 3],
                heading_rad + noise[first + 4],
            )
        self._hear(inbox[step % len(inbox)])

    def count_messages(self, until_step: int) -> tuple[int, int]:
        """Returns how many messages of the steps before this one were delivered, and how many were lost."""
        sent = self._fates[: until_step * len(self.messages)]
        return sent.count(DELIVERED), sent.count(LOST)

    def silence_s(self, peer: int, step: int) -> float:
        """Returns the age of the newest message from a peer; before the first one, the time since the start."""
        message = self.messages[peer]
        return (step if message is None else step - message[0]) * self.step_length_s

    def delivery_steps(self, step: int) -> list[int | None]:
        """Returns for each peer the step at which its message of this step is heard, -1 if lost, None if none was sent.

        Args:
            step: number of a step that was exchanged already.
        """
        first, n_slots = step * len(self.messages), len(self._inbox)
        steps: list[int | None] = []
        for draw in range(first, first + len(self.messages)):
            fate, delay = self._fates[draw], (self._slot[draw] - step) % n_slots
            steps.append((step + delay if fate == DELIVERED else -1) if fate else None)
        return steps

    def forget(self, peer: int) -> None:
        """Forgets a peer and its messages under way, because another car takes its row."""
        self.messages[peer], self._was_lost[peer], self.courses_rad[peer] = None, False, math.nan
        if self._sensors is not None:
            self._sensors.forget(self._first_box + peer)
        for arriving in self._inbox:
            arriving[peer] = None

    def take(self, peer: int, message: Message) -> bool:
        """Takes a message in; returns whether it was newer than what is known, else it is dropped.

        A relayed message has the sequence number that it was sent with, so it never replaces a newer one.
        """
        heard = self.messages[peer]
        if heard is None or message[0] - heard[0] > self.stale_steps:
            self.steady_mps2[peer], self.courses_rad[peer] = message[4], math.nan
        elif message[0] <= heard[0]:
            self.n_dropped += 1
            return False
        else:
            since_s = (message[0] - heard[0]) * self.step_length_s
            self.steady_mps2[peer] += (message[4] - self.steady_mps2[peer]) * since_s / (since_s + STEADY_S)
        if message[3] >= WALKING_MPS:
            self.courses_rad[peer] = message[5]
        self.messages[peer] = message
        return True

    def _hear(self, arrived: list[Message | None]) -> None:
        for peer, message in enumerate(arrived):
            if message is not None:
                arrived[peer] = None
                self.take(peer, message)
