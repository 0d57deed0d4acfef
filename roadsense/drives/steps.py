"""The ego's observations at 10 Hz, rebuilt from a drive by the code that the environment uses.

As on the chip, a step takes the newest row of the ego's sensors and the newest message of each sender. Time is counted
in milliseconds, the resolution of logs, so a message's age is exact.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadsense.drives.drive import Drive, HeardLog
from roadsense.envs.assist import assist_deceleration_mps2
from roadsense.envs.observation import EGO_FIELDS, EGO_SCALE, N_VALUES, hold_course, observe, split_observation
from roadsense.envs.radio.channel import Message, V2vChannel
from roadsense.envs.radio.presets import get_preset
from roadsense.envs.world import State
from roadsense.policies.rules import Policy

Floats = NDArray[np.float64]
Rows = NDArray[np.float32]

STEP_S = 0.1
"""Time between two observations, as in the environment and on the chip."""
HOLD_S = 0.5
"""A row of the ego's sensors is used for at most this long; after it the policy is not asked until the next one."""
TICK_S = 0.001
ASSIST = EGO_FIELDS.index("assist_deceleration_mps2")
"""Column of the policy's own last demand in an observation."""


@dataclass(frozen=True)
class Steps:
    """The ego at each step of a drive.

    Attributes:
        time_s: (n,) time of the row that is used, by the ego's clock.
        row: (n,) place of that row in the ego's log.
        is_judged: (n,) whether the ego's state is known.
        states: (n, 5) the ego's state as `roadsense.envs.world.State`.
        driver_mps2: (n,) acceleration that the person asks for: logged, or the car's.
        observations: (n, `N_VALUES`) what the policy sees, with an own last demand of 0.
    """

    time_s: Floats
    row: NDArray[np.int64]
    is_judged: NDArray[np.bool_]
    states: Floats
    driver_mps2: Floats
    observations: Rows

    def __len__(self) -> int:
        """Returns the number of steps."""
        return len(self.time_s)

    def state(self, step: int) -> State:
        """Returns the ego's state at a step."""
        x_m, y_m, speed_mps, acceleration_mps2, heading_rad = self.states[step].tolist()
        return x_m, y_m, speed_mps, acceleration_mps2, heading_rad


class Receiver:
    """What the ego has heard by each time of a drive, for `observe`.

    Attributes:
        channel: newest message of each sender.

    Args:
        heard: what the ego heard.
        n_peers: number of senders.
        from_s: messages heard more than the age of a stale one before this time are passed over.
    """

    def __init__(self, heard: HeardLog, n_peers: int, from_s: float = -np.inf):
        preset = get_preset("ideal")
        self.channel = V2vChannel(preset, n_peers, 1, TICK_S, np.random.default_rng(0))
        first = int(np.searchsorted(heard.heard_s, from_s - preset.stale_after_s))
        values = (heard.x_m, heard.y_m, heard.speed_mps, heard.acceleration_mps2, heard.heading_rad)
        columns = [ticks(heard.sent_s[first:]), *[value[first:].tolist() for value in values]]
        self._messages: list[Message] = list(zip(*columns, strict=True))
        self._senders = heard.sender[first:].tolist()
        self._heard = ticks(heard.heard_s[first:])
        self._next = 0
        self._own: State | None = None

    def hear_until(self, tick: int) -> None:
        """Takes in all messages heard by a time in ms."""
        while self._next < len(self._heard) and self._heard[self._next] <= tick:
            peer, message = self._senders[self._next], self._messages[self._next]
            self.channel.take(peer, message)
            self._next += 1

    def observe(self, row: Rows, ego: State, pedals_mps2: tuple[float, float], tick: int) -> None:
        """Hears what has arrived by a time in ms, and writes what the ego then sees into a row of `N_VALUES`."""
        self.hear_until(tick)
        self._own = hold_course(ego, self._own)
        observe(row, self._own, pedals_mps2, [self.channel], tick)


def ticks(time_s: Floats) -> list[int]:
    """Returns times in whole milliseconds."""
    return np.rint(time_s / TICK_S).astype(np.int64).tolist()


def make_steps(drive: Drive) -> Steps:
    """Returns the ego's observations over a drive."""
    own = drive.own
    grid_s = np.arange(int(drive.duration_s / STEP_S + 1e-6) + 1) * STEP_S
    row = np.clip(np.searchsorted(own.time_s, grid_s + STEP_S / 2) - 1, 0, None)
    is_fresh = np.abs(own.time_s[row] - grid_s) <= STEP_S / 2 + 1e-9
    time_s = np.where(is_fresh, own.time_s[row], grid_s)
    states = np.column_stack(
        [value[row] for value in (own.x_m, own.y_m, own.speed_mps, own.acceleration_mps2, own.heading_rad)]
    )
    is_judged = np.isfinite(states).all(axis=1) & (time_s - own.time_s[row] <= HOLD_S)
    logged = own.driver_mps2[row]
    driver = np.where(np.isfinite(logged), logged, states[:, 3])
    steps = Steps(time_s, row, is_judged, states, driver, np.zeros((len(grid_s), N_VALUES), np.float32))
    receiver = Receiver(drive.heard, len(drive.peers))
    for step, tick in enumerate(ticks(time_s)):
        if is_judged[step]:
            receiver.observe(steps.observations[step], steps.state(step), (float(driver[step]), 0.0), tick)
    return steps


def run_policy(policy: Policy, steps: Steps) -> Floats:
    """Returns a policy's action at each step, its own last demand fed back; 0 where nothing is judged.

    Args:
        policy: policy that acts.
        steps: the drive's steps.
    """
    rows = steps.observations.copy()
    if not _reads_its_last(policy, rows):
        return np.where(steps.is_judged, np.asarray(policy(split_observation(rows)), float)[:, 0], 0.0)
    actions = np.zeros(len(steps))
    assist_mps2 = 0.0
    for step in np.flatnonzero(steps.is_judged).tolist():
        if step and not steps.is_judged[step - 1]:
            assist_mps2 = 0.0
        rows[step, ASSIST] = assist_mps2 / EGO_SCALE[ASSIST]
        actions[step] = float(policy(split_observation(rows[step : step + 1]))[0, 0])
        assist_mps2 = assist_deceleration_mps2(actions[step])
    return actions


def find_spans(mask: NDArray[np.bool_], join: int = 0) -> Iterator[tuple[int, int]]:
    """Yields first and last place of each stretch of True; stretches at most `join` places apart are one."""
    places = np.flatnonzero(mask)
    if len(places):
        breaks = np.flatnonzero(np.diff(places) > join + 1)
        yield from zip(
            places[np.r_[0, breaks + 1]].tolist(), places[np.r_[breaks, len(places) - 1]].tolist(), strict=True
        )


def _reads_its_last(policy: Policy, rows: Rows) -> bool:
    """Returns whether a policy's actions depend on its own last demand."""
    other = rows.copy()
    other[:, ASSIST] = 0.5
    return not np.array_equal(policy(split_observation(rows)), policy(split_observation(other)))
