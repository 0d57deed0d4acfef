"""What `ConvoyVecEnv` and its workers write and read in the same memory: rows of steps for each worker.

The memory has no name and no file, so nothing is left of it when the last process is gone, however that ended.
"""

import ctypes
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawArray
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from roadsense.utils.generator_state import N_STATE_WORDS

MAX_ROWS = 512
"""Steps that a worker drives between two messages, at most. More gain nothing: a message costs less than a step."""


@dataclass(frozen=True)
class DrivenEpisode:
    """How an episode began and what was done in it, as a worker notes it down.

    Attributes:
        scenario_index: of its scenario; -1 for none.
        generator: state of the generator before its draws.
        actions: (n, 1) of the steps begun.
    """

    scenario_index: int
    generator: tuple[int, ...]
    actions: NDArray[np.float32]


class SharedArrays:
    """Observations, actions, rewards and ends of up to `MAX_ROWS` steps, and what repeats each running episode.

    Can be handed to a worker process as one of its arguments.

    Args:
        observation_space: of one environment, a `Dict` of float32 boxes.
        n_workers: environments.
        n_episode_steps: of an episode, at most.

    Attributes:
        observations: (n, `MAX_ROWS` + 1, all fields side by side) float32; those a row's step leads to are in the next.
        actions: (n, `MAX_ROWS`, 1) float32; before a row is driven by a policy, what is added to its mean.
        rewards: (n, `MAX_ROWS`) float64.
        dones: (n, `MAX_ROWS`) bool.
        n_rows: (n,) rows that are driven.
        n_steps: (n,) steps begun in the running episode.
        scenarios: (n,) index of its scenario; -1 while there is none.
        states: (n, 6) state of the generator it was drawn from.
        episode_actions: (n, `n_episode_steps`) float32, of its steps.
    """

    def __init__(self, observation_space: spaces.Dict, n_workers: int, n_episode_steps: int):
        shapes = {key: space.shape or (1,) for key, space in observation_space.spaces.items()}
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
        starts = [0, *ends[:-1]]
        self._fields = [
            (key, slice(int(start), int(end)), shape)
            for (key, shape), start, end in zip(shapes.items(), starts, ends, strict=True)
        ]
        width = int(ends[-1])
        self._layout: dict[str, tuple[str, tuple[int, ...]]] = {
            # The widest numbers come first, so that every array is aligned.
            "states": ("u8", (n_workers, N_STATE_WORDS)),
            "n_rows": ("i8", (n_workers,)),
            "n_steps": ("i8", (n_workers,)),
            "scenarios": ("i8", (n_workers,)),
            "rewards": ("f8", (n_workers, MAX_ROWS)),
            "observations": ("f4", (n_workers, MAX_ROWS + 1, width)),
            "actions": ("f4", (n_workers, MAX_ROWS, 1)),
            "episode_actions": ("f4", (n_workers, n_episode_steps)),
            "dones": ("?", (n_workers, MAX_ROWS)),
        }
        n_bytes = sum(np.dtype(kind).itemsize * int(np.prod(shape)) for kind, shape in self._layout.values())
        self._memory: Any = RawArray(ctypes.c_char, n_bytes)
        self._lay_out()
        self.scenarios[:] = -1

    def __getstate__(self) -> dict[str, Any]:
        return {name: vars(self)[name] for name in ("_fields", "_layout", "_memory")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lay_out()

    def _lay_out(self) -> None:
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
        """Returns what repeats a worker's episode."""
        actions = self.episode_actions[worker, : self.n_steps[worker]].reshape(-1, 1).copy()
        return DrivenEpisode(int(self.scenarios[worker]), tuple(self.states[worker].tolist()), actions)

    def split(self, rows: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Returns views of rows of `observations` by key; any leading axes."""
        lead = rows.shape[:-1]
        return {key: rows[..., columns].reshape(*lead, *shape) for key, columns, shape in self._fields}
