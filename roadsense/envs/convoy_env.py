"""The environment under Gymnasium's interface, and its specification."""

import numbers
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from roadsense.envs.assist import assist_deceleration_mps2
from roadsense.envs.config import EnvConfig
from roadsense.envs.draw import draw_episode, read_options
from roadsense.envs.episode import Episode
from roadsense.envs.observation import N_VALUES, Observation, Row, observation_space, split_observation
from roadsense.envs.own_parts import describe_own, find_observation
from roadsense.envs.step_info import Snapshot
from roadsense.envs.sumo.connection import SumoConnection
from roadsense.errors import InputError, SimulationError
from roadsense.scenarios.scenario import find_scenarios, open_scenario
from roadsense.utils.values import make_settings

if TYPE_CHECKING:
    from roadsense.envs.frames.camera import Camera
    from roadsense.envs.frames.canvas import Frame


class ConvoyEnv(gym.Env[Observation, NDArray[np.float32]]):
    """Brake assist for the last car of a convoy, which hears the cars ahead by lossy radio.

    ## Action space
    `Box(0, 1, (1,), float32)`. 0 leaves the car to its driver, 1 asks for -8 m/s2; up to 0.05 is a dead zone. The
    stronger of driver and assist brakes. Braking grows by at most 40 m/s3 and is released by at most 15 m/s3.

    ## Observation space
    `Dict` of float32 arrays, scaled by fixed constants and cut to -5..5:

    | key | shape | columns (scale) |
    |---|---|---|
    | `ego` | (4,) | speed (30 m/s), acceleration, the driver's demand, the assist's last demand (8 m/s2) |
    | `peers` | (8, 8) | forward (100 m), left (20 m), relative speed (20 m/s), acceleration (8 m/s2), |
    | | | relative heading (1 rad), message age (1 s), aside of the way (10 m), |
    | | | running mean of its accelerations (8 m/s2) |
    | `peer_mask` | (8,) | 1 where a message no older than 2 s was heard, else 0 and the row of `peers` is 0 |

    Peers are cars as the radio delivered them and as their boxes measured themselves (`EnvConfig.sensors`): those ahead
    on the ego's way, the nearest first, whoever they are; see `roadsense.envs.observation` for the rule. Who else sends
    is `EnvConfig.surroundings`: cars behind, on other roads, oncoming; and frames that are relayed, which are dropped
    by sender and sequence. Only the driver can react to cars without a radio.

    ## The ego's driver
    A model of a person: `roadsense.envs.driver`, with a reaction time of 0.8 to 1.6 s to the leader, drawn per episode.
    SUMO's safe-speed check is off for the ego unless `EnvConfig.sumo_checks`.

    ## Reward
    Terms from 0 to 1, weighted by `RewardWeights`: collision (-50), danger (-2), early braking (+0.15),
    needless braking (-0.9), hard needless braking (-3.0), jerk (-2.4), blind following (-1.2); see
    `roadsense.envs.reward`. Range of a step: -59.5 to 0.15.

    ## Starting state
    A scenario drawn uniformly from the list, loaded with a drawn SUMO seed and run until its convoy is on the road. If
    traffic leaves it no room, the next seeds are tried.

    ## End
    Terminated when the ego collides. Truncated after `n_steps`, when the ego reaches the end of its route, or when
    SUMO fails (then `info["error"]` says how).

    ## Info
    With `step_info`: `gap_m`, `ttc_s`, `time_headway_s`, `drac_mps2`, `required_mps2`, `jerk_mps3`, `speed_mps`,
    `leader_speed_mps`, `acceleration_mps2`, `assist_mps2`, `needed_mps2`, `added_mps2`, `driver_mps2`, `silence_s`,
    `collision`, `hazard_active`, `overtook_leader`, `sumo_interventions` and `terms`, all ground truth. After
    `reset`: `scenario`, `sumo_seed`, `hazard`, `driver`, `v2v`, `surroundings`, `sensors`, `decoy`. At the end of an
    episode: `outcome`, a row of figures (`roadsense.envs.outcome.Outcome`).

    ## Reset options
    `scenario` (path of a `.sumocfg`), `hazard` (True, False or a `Hazard`), `decoy` (True, False or a `Decoy`: a car
    that brakes hard behind, beside or oncoming), `surroundings` and `sensors` (names, or `Surroundings`), `driver` (a
    `DriverProfile`, with perfect judgement of gaps), `time_headway_s` (that the drawn driver keeps), `v2v` (a preset or
    its name, not randomised).

    Args:
        scenario_list: paths of `.sumocfg` files, or one.
        scenario_dir: folder instead; every `.sumocfg` below it is used.
        config: settings of the environment, also as a mapping; None for the defaults.
        render_mode: `human` shows every step in SUMO's window, in real time; with `rgb_array`, `render` returns a
            picture of 960 x 608 pixels; or None.

    Raises:
        InputError: if neither or both sources of scenarios are given, or for another render mode or backend.
        ScenarioError: if `scenario_dir` holds none.

    ## Example
        >>> import roadsense as rs
        >>> with rs.ConvoyEnv(scenario_dir="scenarios/base", config=rs.EnvConfig(n_steps=20)) as env:
        ...     observation, info = env.reset(seed=1)
        ...     truncated = False
        ...     while not truncated:
        ...         observation, reward, terminated, truncated, info = env.step(env.action_space.low)
        >>> info["outcome"]["collision"]
        False

    ## Versions
    v0: first. Observation version 1 forgot messages after 0.5 s, the scale of their age; 2 after 2 s, scale 1 s.
    Version 3 has the last two columns of `peers`, and rows only for cars ahead on the way; policies of version 2 still
    drive, on its first six columns.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012, as Gymnasium declares it
        "render_modes": ["human", "rgb_array"],
        "render_fps": 10,
    }

    def __init__(
        self,
        scenario_list: Sequence[str | Path] | None = None,
        scenario_dir: str | Path | None = None,
        config: EnvConfig | Mapping[str, Any] | None = None,
        render_mode: str | None = None,
    ):
        if bool(scenario_list) == bool(scenario_dir):
            raise InputError(
                "Expected one of scenario_list=[paths of .sumocfg] and scenario_dir=folder, "
                f"got {scenario_list!r} and {scenario_dir!r}."
            )
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InputError(f"Expected render_mode 'human', 'rgb_array' or None, got {render_mode!r}.")
        paths = find_scenarios(scenario_dir) if scenario_dir else scenario_list or ()
        paths = [paths] if isinstance(paths, str | Path) else paths
        self.scenario_paths = tuple(Path(path) for path in paths)
        self.config = config if isinstance(config, EnvConfig) else make_settings(EnvConfig, config or {})
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": max(round(1 / self.config.step_length_s), 1)}  # in real time
        describe_own(self.config)
        own = find_observation(self.config)
        self._see: Any = own[0] if own else None
        self.observation_space = own[1] if own else observation_space()
        self.action_space = spaces.Box(0.0, 1.0, (1,), np.float32)
        self._connection = self._make_connection()
        self._camera = self._make_camera()
        self._episode: Episode | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode; see the class for `options`.

        Raises:
            InputError: for an unknown option.
            ScenarioError: if the scenario is missing, broken or not safe.
            SimulationError: if SUMO refuses the scenario or the convoy finds no room.
        """
        row = np.empty(N_VALUES, np.float32)
        info = self.reset_into(row, seed, options)
        return self._show(row), info

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Advances by one step; see the class.

        Raises:
            InputError: if the action is not one number from 0 to 1.
            SimulationError: if no episode is running.
        """
        row = np.empty(N_VALUES, np.float32)
        reward, terminated, truncated, info = self.step_into(row, action)
        return self._show(row), reward, terminated, truncated, info

    def _show(self, row: Row) -> Observation:
        observation = split_observation(row)
        return observation if self._see is None else self._see(observation)

    def reset_into(self, row: Row, seed: int | None = None, options: dict[str, Any] | None = None) -> dict[str, Any]:
        """Starts an episode as `reset` does, and writes the observation into a row of `N_VALUES` float32 numbers."""
        super().reset(seed=int(seed) if isinstance(seed, np.integer) else seed)
        options = read_options(options or {})
        index = int(self.np_random.integers(len(self.scenario_paths)))
        scenario = open_scenario(self._find_scenario(options.get("scenario")) or self.scenario_paths[index])
        draw = draw_episode(self.np_random, self.config, scenario, options)
        self._episode = None
        self._episode = Episode(self._connection, scenario, draw, self.config, row)
        if self._camera is not None:
            config = self.config
            self._camera.start(scenario, config.n_steps, config.step_length_s, self._episode.take_snapshot())
        return {"scenario": scenario.name, **draw.describe(), "sumo_seed": self._episode.sumo_seed}

    def _find_scenario(self, asked: str | Path | None) -> str | Path | None:
        """Returns the path of a scenario that is asked for by its path or, if it is one of these, by its name."""
        return next((path for path in self.scenario_paths if asked == path.parent.name), asked)

    def step_into(self, row: Row, action: NDArray[np.float32]) -> tuple[float, bool, bool, dict[str, Any]]:
        """Advances by one step as `step` does, and writes the observation into a row of `N_VALUES` float32 numbers."""
        episode = self._episode
        if episode is None or episode.is_over:
            raise SimulationError("No episode is running. Call reset() before step().")
        reward = episode.advance(assist_deceleration_mps2(_checked(action)), row)
        info = episode.describe_step() if self.config.step_info else {}
        if self._camera is not None and (figures := episode.describe_step()):
            self._camera.note(episode.take_snapshot(), {**figures, "action": _checked(action)})
        if episode.is_over:
            info["outcome"] = episode.work_out().as_row()
            if episode.error:
                info["error"] = episode.error
        return reward, episode.terminated, episode.truncated, info

    def render(self) -> "Frame | None":
        """Returns a picture of the last step, (height, width, 3), with `rgb_array`; SUMO's window needs no call.

        Raises:
            SimulationError: if no episode was started.
        """
        return self._camera.shoot() if self._camera is not None else None

    def snapshot(self) -> Snapshot:
        """Returns the whole road and this step's messages, for recordings; an episode without the call is not slower.

        Call it after `reset`, and after each `step` whose info holds the figures of the step: also after one that
        ended the episode, until the next reset.

        Raises:
            SimulationError: if no episode was started.
        """
        return self._started_episode().take_snapshot()

    def describe_vehicle(self, vehicle_id: str) -> tuple[str, float, float]:
        """Returns the type, length and width in m of a vehicle that is on the road.

        Raises:
            SimulationError: if no episode was started.
        """
        self._started_episode()
        return self._connection.describe_vehicle(vehicle_id)

    def close(self) -> None:
        """Ends the simulation. A second call does nothing."""
        self._episode = None
        self._connection.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_connection": None, "_camera": None, "_episode": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._connection = self._make_connection()
        self._camera = self._make_camera()

    def _make_camera(self) -> "Camera | None":
        if self.render_mode != "rgb_array":
            return None
        from roadsense.envs.frames.camera import Camera  # environments that show nothing need no Pillow

        return Camera(self._connection.describe_vehicle)

    def _make_connection(self) -> SumoConnection:
        """Returns a connection with nothing loaded; a copy of the environment makes its own."""
        human = self.render_mode == "human"
        return SumoConnection(self.config.step_length_s, "traci" if human else self.config.backend, gui=human)

    def _started_episode(self) -> Episode:
        if self._episode is None:
            raise SimulationError("No episode was started. Call reset() first.")
        return self._episode


def _checked(action: Any) -> float:
    try:
        value = float(action.item())
    except (AttributeError, ValueError, TypeError, RuntimeError):  # not an array, or of another size than 1
        (only, *others) = action if isinstance(action, list | tuple) and action else [action]
        value = float(only) if isinstance(only, numbers.Real) and not others else float("nan")
    if not -1e-6 <= value <= 1 + 1e-6:
        raise InputError(f"Expected an action of one number from 0 to 1, got {action!r}. Clip it first.")
    return value
