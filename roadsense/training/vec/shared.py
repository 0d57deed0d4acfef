"""Memory that `ConvoyVecEnv` and its workers share: rows of steps for each worker.

The memory has no name and no file, so it disappears when the last process ends, even by a crash.
"""

import ctypes
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawArray
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import N_VALUES, Row, split_observation
from roadsense.utils.reproducible import N_STATE_WORDS

MAX_ROWS = 512
"""Most steps that a worker drives between two messages. More would gain nothing: a message costs less than a step."""


@dataclass(frozen=True)
class DrivenEpisode:
    """The data to replay a worker's episode.

    Attributes:
        scenario_index: index of the episode's scenario; -1 for none.
        generator: state of the random generator before the episode was drawn.
        actions: actions of the steps begun, shape (n, 1).
    """

    scenario_index: int
    generator: tuple[int, ...]
    actions: NDArray[np.float32]


class SharedArrays:
    """Observations, actions, rewards and ends of up to `MAX_ROWS` steps, and the data to replay each episode.

    It can be passed to a worker process as an argument.

    Args:
        n_workers: number of workers, each with one environment.
        n_episode_steps: largest number of steps of an episode.

    Attributes:
        observations: (n, `MAX_ROWS` + 1, `N_VALUES`) float32; row k holds the observation before step k.
        actions: (n, `MAX_ROWS`, 1) float32 actions; with a policy, the noise until the step is driven.
        rewards: (n, `MAX_ROWS`) float64 rewards of the steps.
        dones: (n, `MAX_ROWS`) bool; whether the episode ended with the step.
        n_rows: (n,) number of steps that are driven.
        n_steps: (n,) number of steps begun in the running episode.
        scenarios: (n,) index of the running episode's scenario; -1 while there is none.
        states: (n, 6) state of the generator that the running episode was drawn from.
        episode_actions: (n, `n_episode_steps`) float32 actions of the running episode.
    """

    def __init__(self, n_workers: int, n_episode_steps: int):
        self._layout: dict[str, tuple[str, tuple[int, ...]]] = {
            # The widest numbers come first, so that every array is aligned.
            "states": ("u8", (n_workers, N_STATE_WORDS)),
            "n_rows": ("i8", (n_workers,)),
            "n_steps": ("i8", (n_workers,)),
            "scenarios": ("i8", (n_workers,)),
            "rewards": ("f8", (n_workers, MAX_ROWS)),
            "observations": ("f4", (n_workers, MAX_ROWS + 1, N_VALUES)),
            "actions": ("f4", (n_workers, MAX_ROWS, 1)),
            "episode_actions": ("f4", (n_workers, n_episode_steps)),
            "dones": ("?", (n_workers, MAX_ROWS)),
        }
        n_bytes = sum(np.dtype(kind).itemsize * int(np.prod(shape)) for kind, shape in self._layout.values())
        self._memory: Any = RawArray(ctypes.c_char, n_bytes)
        self._make_arrays()
        self.scenarios[:] = -1

    def __getstate__(self) -> dict[str, Any]:
        return {name: vars(self)[name] for name in ("_layout", "_memory")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._make_arrays()

    def _make_arrays(self) -> None:
        arrays, used = {}, 0
        for name, (kind, shape) in self._layout.items():
            array = np.frombuffer(self._memory, kind, int(np.prod(shape)), used)
            arrays[name], used = array.reshape(shape), used + array.nbytes
        self.states: NDArray[np.uint64] = arrays["states"]
        self.n_rows: NDArray[np.int64] = arrays["n_rows"]
        self.n_steps: NDArray[np.int64] = arrays["n_steps"]
        self.scenarios: NDArray[np.int64] = arrays["scenarios"]
        self.rewards: NDArray[np.float64] = arrays["rewards"]
        self.observations: NDArray[np.float32] = arrays["observations"]
        self.actions: NDArray[np.float32] = arrays["actions"]
        self.episode_actions: NDArray[np.float32] = arrays["episode_actions"]
        self.dones: NDArray[np.bool_] = arrays["dones"]

    def driven_episode(self, worker: int) -> DrivenEpisode:
        """Returns the data to replay a worker's episode."""
        actions = self.episode_actions[worker, : self.n_steps[worker]].reshape(-1, 1).copy()
        return DrivenEpisode(int(self.scenarios[worker]), tuple(self.states[worker].tolist()), actions)


def by_key(rows: Row) -> dict[str, NDArray[np.float32]]:
    """Returns the observations in rows as views by key, the format of Stable-Baselines3."""
    views = split_observation(rows)
    return {"ego": views["ego"], "peers": views["peers"], "peer_mask": views["peer_mask"]}
