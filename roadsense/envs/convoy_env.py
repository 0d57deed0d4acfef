"""The environment: the order of calls, and the specification."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from roadsense.envs import metrics
from roadsense.envs.assist import assist_deceleration_mps2
from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy import Convoy, start_convoy
from roadsense.envs.draw import check_options, draw_episode
from roadsense.envs.observation import MAX_PEERS, Observation, observation_space, observe
from roadsense.envs.outcome import EpisodeNotes, EpisodeRecord, Outcome, work_out
from roadsense.envs.radio.equipped import EquippedTraffic
from roadsense.envs.reward import TERMS, Situation, reward_terms, weigh
from roadsense.envs.step_info import Snapshot, describe_step, take_snapshot
from roadsense.envs.sumo.connection import SumoConnection
from roadsense.envs.world import NO_FOLLOWER, State
from roadsense.errors import InputError, SimulationError
from roadsense.scenarios.scenario import EGO_ID, find_scenarios, open_scenario


class ConvoyEnv(gym.Env[Observation, NDArray[np.float32]]):
    """Brake assist for the last car of a convoy, which hears the cars ahead by lossy radio.

    ## Action space
    `Box(0, 1, (1,), float32)`. 0 leaves the car to its driver, 1 asks for -8 m/s2; up to 0.05 is a dead zone. The
    stronger of driver and assist brakes. Braking grows by at most 40 m/s3 and is released by at most 15 m/s3.

    ## Observation space
    `Dict` of float32 arrays, scaled by fixed constants and cut to -5..5:

    | key | shape | columns (scale) |
    |---|---|---|
    | `ego` | (4,) | speed (30 m/s), acceleration, what the driver asks for, what the assist last asked for (8 m/s2) |
    | `peers` | (8, 6) | forward (100 m), left (20 m), relative speed (20 m/s), acceleration (8 m/s2), |
    | | | relative heading (1 rad), message age (1 s) |
    | `peer_mask` | (8,) | 1 where a message no older than 2 s was heard, else 0 and the row of `peers` is 0 |

    Peers are cars as the radio delivered them: first the convoy's, up to 8, from the ego's leader forward; with
    `EnvConfig.penetration`, other cars with a radio in the places that are left, each keeping its place. Cars without a
    radio are the driver's business.

    ## The ego's driver
    A person: `roadsense.envs.driver`, with a reaction time of 0.8 to 1.6 s to the leader, drawn per episode. SUMO's
    safe-speed check is off for the ego unless `EnvConfig.sumo_checks`.

    ## Reward
    Terms from 0 to 1, weighted by `RewardWeights`: collision (-50), danger (-2), early braking (+0.15),
    needless braking (-0.9), jerk (-2.4), blind following (-0.6); see `roadsense.envs.reward`.
    Range of a step: -55.9 to 0.15.

    ## Starting state
    A scenario drawn uniformly from the list, loaded afresh with a drawn SUMO seed and run until its convoy is in; where
    traffic leaves it no room, with the next seeds.

    ## End
    Terminated when the ego collides. Truncated after `n_steps`, when the ego reaches the end of its route, or when
    SUMO fails (then `info["error"]` says how).

    ## Info
    With `step_info`: `gap_m`, `ttc_s`, `time_headway_s`, `drac_mps2`, `required_mps2`, `jerk_mps3`, `speed_mps`,
    `leader_speed_mps`, `acceleration_mps2`, `assist_mps2`, `driver_mps2`, `silence_s`, `collision`, `hazard_active`,
    `sumo_interventions` and `terms`, all ground truth. After `reset`: `scenario`, `sumo_seed`, `hazard`, `driver`,
    `v2v`. At the end of an episode: `outcome`, a row of figures (`roadsense.envs.outcome.Outcome`).

    ## Reset options
    `scenario` (path of a `.sumocfg`), `hazard` (True, False or a `Hazard`), `driver` (a `DriverProfile`, with perfect
    judgement of gaps), `v2v` (a preset or its name, not randomised).

    Args:
        scenario_list: paths of `.sumocfg` files.
        scenario_dir: or a folder; every `.sumocfg` below it.
        config: settings.
        render_mode: `human` shows every step in SUMO's window, as fast as in life, or None.

    Raises:
        InputError: if neither or both sources of scenarios are given, or for another render mode or backend.
        ScenarioError: if `scenario_dir` holds none.

    ## Versions
    v0: first. Observations: 1 forgot messages after 0.5 s, the scale of their age; 2 after 2 s, scale 1 s.
    """

    metadata: dict[str, Any] = {"render_modes": ["human"], "render_fps": 10}  # noqa: RUF012, as Gymnasium declares it

    def __init__(
        self,
        scenario_list: Sequence[str | Path] | None = None,
        scenario_dir: str | Path | None = None,
        config: EnvConfig | None = None,
        render_mode: str | None = None,
    ):
        if bool(scenario_list) == bool(scenario_dir):
            raise InputError(
                "Expected one of scenario_list=[paths of .sumocfg] and scenario_dir=folder, "
                f"got {scenario_list!r} and {scenario_dir!r}."
            )
        if render_mode not in (None, "human"):
            raise InputError(f"Expected render_mode 'human' or None, got {render_mode!r}.")
        paths = find_scenarios(scenario_dir) if scenario_dir else scenario_list or ()
        self.scenario_paths = tuple(Path(path) for path in paths)
        self.config = config or EnvConfig()
        self.render_mode = render_mode
        self.observation_space = observation_space()
        self.action_space = spaces.Box(0.0, 1.0, (1,), np.float32)
        human = render_mode == "human"
        backend = "traci" if human else self.config.backend
        self._connection = SumoConnection(self.config.step_length_s, backend, gui=human)
        self._convoy: Convoy | None = None
        self._weights = tuple(getattr(self.config.weights, name) for name in TERMS)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode; see the class for `options`.

        Raises:
            InputError: for an unknown option.
            ScenarioError: if the scenario is missing, broken or not safe.
            SimulationError: if SUMO refuses it or the convoy finds no room.
        """
        super().reset(seed=seed)
        options = options or {}
        check_options(options)
        index = int(self.np_random.integers(len(self.scenario_paths)))
        scenario = open_scenario(options.get("scenario") or self.scenario_paths[index])
        draw = draw_episode(self.np_random, self.config, scenario, options)
        self._convoy = None
        convoy, ego = start_convoy(self._connection, scenario, draw, self.config.sumo_checks)
        self._convoy, self._channel = convoy, draw.channel
        n_places = len(draw.channel.messages) - len(scenario.convoy_ids) + 1
        whose = scenario.convoy_ids, self.config.penetration
        self._others = EquippedTraffic(self._connection, *whose, draw.salt, n_places) if n_places > 0 else None
        self._step, self._record = 0, EpisodeRecord()
        self._senders = scenario.convoy_ids[1 : MAX_PEERS + 1]
        self._notes = EpisodeNotes(scenario.name, self.config.step_length_s, self.config.watch_behind)
        return self._observe(convoy, ego), {
            "scenario": scenario.name,
            **draw.describe(),
            "sumo_seed": convoy.sumo_seed,
        }

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Advances by one step; see the class.

        Raises:
            InputError: if the action is not one number from 0 to 1.
            SimulationError: if no episode is running.
        """
        convoy = self._convoy
        if convoy is None:
            raise SimulationError("No episode is running. Call reset() before step().")
        assist_mps2 = assist_deceleration_mps2(_checked(action))
        try:
            convoy.drive(assist_mps2)
            self._advance_hazard(convoy)
            self._connection.step()
            ego = convoy.sense()
            if ego is None:
                return self._end_early({})
            self._step += 1
            self._observe(convoy, ego)
        except SimulationError as error:
            return self._end_early({"error": str(error)})
        reward, info = self._judge(convoy)
        terminated, truncated = convoy.collided, self._step >= self.config.n_steps
        if terminated or truncated:
            self._convoy = None
            info["outcome"] = self._work_out().as_row()
        return self._observation, reward, terminated, truncated, info

    def render(self) -> None:
        """Does nothing: SUMO's window shows every step by itself."""

    def snapshot(self) -> Snapshot:
        """Returns the whole road and this step's messages, for recordings; it costs nothing unless it is called.

        To be called after `reset`, and after each `step` whose info holds the figures of the step: also after one that
        ended the episode, as long as nothing is reset.
        """
        others = self._others.places if self._others else []
        return take_snapshot(self._connection, self._channel, [*self._senders, *others], self._step)

    def describe_vehicle(self, vehicle_id: str) -> tuple[str, float, float]:
        """Returns the type, length and width in m of a vehicle that is on the road."""
        return self._connection.describe_vehicle(vehicle_id)

    def close(self) -> None:
        """Ends the simulation. May be called again."""
        self._convoy = None
        self._connection.close()

    def _observe(self, convoy: Convoy, ego: State) -> Observation:
        channel, senders = self._channel, convoy.states[1 : MAX_PEERS + 1]
        if self._others:
            senders = senders + self._others.read_states(ego, channel)
        channel.exchange(self._step, senders, ego[:2])
        pedals_mps2 = (convoy.driver_mps2, convoy.assist_mps2)
        self._observation = observe(ego, pedals_mps2, channel, self._step)
        return self._observation

    def _advance_hazard(self, convoy: Convoy) -> None:
        time_s = self._step * self.config.step_length_s
        kind = convoy.advance_hazard(time_s)
        if kind:
            self._notes.hazard_kind, self._notes.hazard_onset_s = kind, time_s

    def _judge(self, convoy: Convoy) -> tuple[float, dict[str, Any]]:
        """Returns the step's reward and info, and notes the step down."""
        gap_m, leader_mps, leader_mps2 = convoy.leader
        required_mps2 = metrics.required_deceleration_mps2(gap_m, convoy.speed_mps, (leader_mps, leader_mps2))
        situation = Situation(
            convoy.collided, required_mps2, convoy.assist_mps2, convoy.hazard.active, convoy.jerk_mps3,
            gap_m, convoy.speed_mps, convoy.acceleration_mps2, self._channel.silence_s(0, self._step),
        )  # fmt: skip
        terms = reward_terms(situation)
        reward = weigh(terms, self._weights)
        self._notes.reward += reward
        self._notes.sumo_interventions = convoy.sumo_interventions
        self._record.add(
            gap_m, convoy.speed_mps, leader_mps, convoy.acceleration_mps2, convoy.assist_mps2, required_mps2,
            convoy.jerk_mps3, convoy.collided, situation.hazard_active, *terms,
            *(self._connection.find_follower(EGO_ID) if self.config.watch_behind else NO_FOLLOWER),
        )  # fmt: skip
        return reward, describe_step(convoy, situation, terms) if self.config.step_info else {}

    def _work_out(self) -> Outcome:
        self._notes.messages_heard, self._notes.messages_lost = self._channel.count_messages(self._step + 1)
        return work_out(self._notes, self._record.columns())

    def _end_early(self, info: dict[str, Any]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        self._convoy = None
        return self._observation, 0.0, False, True, {**info, "outcome": self._work_out().as_row()}


def _checked(action: NDArray[np.float32]) -> float:
    try:
        value = float(action.item())
    except (AttributeError, ValueError):  # not an array, or of another size than 1
        value = float(action) if isinstance(action, int | float) else float("nan")
    if not -1e-6 <= value <= 1 + 1e-6:
        raise InputError(f"Expected an action of one number from 0 to 1, got {action!r}. Clip it first.")
    return value
