"""One episode, step by step: from the assist's demand to the reward and the next observation."""

from typing import Any

from roadsense.envs import metrics
from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy import start_convoy
from roadsense.envs.draw import EpisodeDraw
from roadsense.envs.observation import MAX_PEERS, Row, hold_course, observe
from roadsense.envs.outcome import EpisodeNotes, Outcome, split_steps, work_out
from roadsense.envs.radio.channel import V2vChannel
from roadsense.envs.radio.others import Others
from roadsense.envs.reward import TERMS, RewardTerms, Situation, reward_terms, weigh
from roadsense.envs.step_info import Snapshot, describe_step, take_snapshot
from roadsense.envs.sumo.connection import SumoConnection
from roadsense.envs.world import NO_FOLLOWER, State
from roadsense.errors import SimulationError
from roadsense.scenarios.scenario import EGO_ID, Scenario
from roadsense.utils.own_code import find_own


class Episode:
    """An episode that runs in SUMO, or ran until the simulation was last reloaded.

    Attributes:
        step: steps driven so far.
        terminated: whether the ego has collided.
        truncated: whether the episode ended otherwise: after `n_steps`, at the end of the ego's route, or by an error.
        error: reason why SUMO failed; empty if it did not.
        sumo_seed: SUMO seed that the simulation was loaded with.

    Args:
        connection: connection to SUMO; the scenario is loaded here.
        scenario: scenario that is driven.
        draw: all random draws of the episode.
        config: settings of the environment.
        row: (`N_VALUES`,) float32 array; the first observation is written into it.

    Raises:
        SimulationError: if SUMO refuses the scenario or the convoy finds no room.
    """

    def __init__(
        self,
        connection: SumoConnection,
        scenario: Scenario,
        draw: EpisodeDraw,
        config: EnvConfig,
        row: Row,
    ):
        self._convoy, ego = start_convoy(connection, scenario, draw, config.sumo_checks)
        self._connection, self._channel, self._config = connection, draw.channel, config
        self._n_steps, self._step_length_s = config.n_steps, config.step_length_s
        self._weights = RewardTerms(*[getattr(config.weights, name) for name in TERMS])
        convoy_ids = scenario.convoy_ids
        self._senders = convoy_ids[1 : MAX_PEERS + 1]
        self._reward: Any = find_own(config.reward) if config.reward else None
        self._boxes = draw.boxes
        self._own: State | None = None
        self._others = None if draw.others is None else Others(connection, scenario, draw.others)
        channels = [draw.channel] if draw.others is None else [draw.channel, draw.others.channel]
        self._channels: list[V2vChannel] = channels
        decoy = None if draw.others is None else draw.others.decoy
        self._decoy_kind = "none" if decoy is None else decoy.kind
        self._notes = EpisodeNotes(scenario.name, config.step_length_s, config.watch_behind)
        self._steps: list[float] = []
        self._reward_sum = 0.0
        self.step = 0
        self.terminated = self.truncated = False
        self.error = ""
        self.sumo_seed = self._convoy.sumo_seed
        self._situation: Situation | None = None
        self._terms: RewardTerms | None = None
        self._row = row
        self._observe(ego, row)

    @property
    def is_over(self) -> bool:
        """Whether the episode has ended."""
        return self.terminated or self.truncated

    def advance(self, assist_mps2: float, row: Row) -> float:
        """Drives one step; returns its reward, 0 if SUMO failed or the ego left the road in it.

        Args:
            assist_mps2: deceleration that the assist asks for, from 0.
            row: (`N_VALUES`,) float32 array; the observation after the step is written into it, or the last one if
                there is no other.
        """
        self._situation = self._terms = None
        try:
            is_on_road = self._drive(assist_mps2, row)
        except SimulationError as error:
            self.error = str(error)
            is_on_road = False
        if not is_on_road:
            row[:] = self._row
            self.truncated = True
            return 0.0
        self._row = row
        if self._convoy.collision is not None:
            self._notes.collision = self._convoy.collision
        self.terminated, self.truncated = self._convoy.collided, self.step >= self._n_steps
        return self._judge()

    def describe_step(self) -> dict[str, Any]:
        """Returns the figures of the last step as `ConvoyEnv`'s info holds them; empty if the step has none."""
        if self._situation is None or self._terms is None:
            return {}
        return describe_step(self._convoy, self._situation, self._terms)

    def take_snapshot(self) -> Snapshot:
        """Returns the whole road and this step's messages."""
        others = [] if self._others is None else self._others.ids
        return take_snapshot(self._connection, self._channels, (self._senders, others), self.step)

    def work_out(self) -> Outcome:
        """Returns the outcome of the steps so far."""
        notes, convoy = self._notes, self._convoy
        notes.reward, notes.overtook_leader = self._reward_sum, convoy.overtook_leader
        notes.sumo_interventions = convoy.sumo_interventions
        counts = [channel.count_messages(self.step + 1) for channel in self._channels]
        notes.messages_heard, notes.messages_lost = (sum(each) for each in zip(*counts, strict=True))
        if self._others is not None:
            notes.messages_dropped = self._channel.n_dropped + self._others.n_dropped
            if self._others.decoy_onset_s >= 0:
                notes.decoy_kind, notes.decoy_onset_s = self._decoy_kind, self._others.decoy_onset_s
        return work_out(notes, split_steps(self._steps))

    def _drive(self, assist_mps2: float, row: Row) -> bool:
        """Drives one step and observes; returns whether the ego is still on the road."""
        convoy, time_s = self._convoy, self.step * self._step_length_s
        convoy.drive(assist_mps2)
        kind = convoy.advance_hazard(time_s)
        if kind:
            self._notes.hazard_kind, self._notes.hazard_onset_s = kind, time_s
        self._connection.step()
        ego = convoy.sense()
        if ego is None:
            return False
        self.step += 1
        self._observe(ego, row)
        return True

    def _observe(self, ego: State, row: Row) -> None:
        convoy, channel, step = self._convoy, self._channel, self.step
        own = ego if self._boxes is None else self._boxes.sense(0, step, ego)
        channel.exchange(step, convoy.states[1 : MAX_PEERS + 1], ego[:2])
        if self._others is not None:
            self._others.exchange(step, step * self._step_length_s, ego, own, channel)
        self._own = hold_course(own, self._own)
        observe(row, self._own, (convoy.driver_mps2, convoy.assist_mps2), self._channels, step)

    def _judge(self) -> float:
        """Records the step; returns its reward."""
        convoy = self._convoy
        gap_m, leader_mps, leader_mps2 = convoy.leader
        speed_mps = convoy.speed_mps
        required_mps2 = metrics.required_deceleration_mps2(gap_m, speed_mps, (leader_mps, leader_mps2))
        # This call takes a fifth of the time of `Situation(...)`, which runs as plain Python.
        situation = tuple.__new__(
            Situation,
            (
                convoy.collided,
                required_mps2,
                convoy.assist_mps2,
                convoy.hazard.active,
                convoy.jerk_mps3,
                gap_m,
                speed_mps,
                convoy.acceleration_mps2,
                0.0 if convoy.states[1] is None else self._channel.silence_s(0, self.step),
                leader_mps,
                convoy.needed_mps2(required_mps2) if convoy.assist_mps2 else 0.0,
                convoy.added_mps2,
            ),
        )
        terms = reward_terms(situation)
        reward = weigh(terms, self._weights) if self._reward is None else float(self._reward(situation))
        self._reward_sum += reward
        follower = self._connection.find_follower(EGO_ID) if self._config.watch_behind else NO_FOLLOWER
        self._steps += situation
        self._steps += terms
        self._steps += follower
        self._situation, self._terms = situation, terms
        return reward
