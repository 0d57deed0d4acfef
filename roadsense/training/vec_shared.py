"""What `ConvoyVecEnv` and its workers write and read in the same memory: a row for each worker.

The memory has no name and no file, so nothing is left of it when the last process is gone, however that ended.
"""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawArray
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from roadsense.envs.observation import Observation

_WORD = 2**64
_N_STATE_WORDS = 6


@dataclass(frozen=True)
class EpisodeStart:
    """How an episode began, as a worker notes it down.

    Attributes:
        scenario_index: of its scenario; -1 for none.
        n_steps: steps begun since.
        generator: state of the generator before its draws.
    """

    scenario_index: int
    n_steps: int
    generator: tuple[int, ...]


class SharedArrays:
    """Observations, actions, rewards and ends of episodes, and how each running episode began.

    Can be handed to a worker process as one of its arguments.

    Args:
        observation_space: of one environment, a `Dict` of float32 boxes.
        n_workers: rows.

    Attributes:
        observations: (n, all fields side by side) float32.
        actions: (n, 1) float32.
        rewards: (n,) float64.
        dones: (n,) bool.
        n_steps: (n,) steps begun in the running episode.
        scenarios: (n,) index of its scenario; -1 while there is none.
        states: (n, 6) state of the generator it was drawn from.
    """

    def __init__(self, observation_space: spaces.Dict, n_workers: int):
        shapes = {key: space.shape or (1,) for key, space in observation_space.spaces.items()}
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
        starts = [0, *ends[:-1]]
        self._fields = [
            (key, slice(int(start), int(end)), shape)
            for (key, shape), start, end in zip(shapes.items(), starts, ends, strict=True)
        ]
        self._n_workers, width = n_workers, int(ends[-1])
        n_bytes = n_workers * (4 * width + 4 + 8 + 1 + 8 + 8 + 8 * _N_STATE_WORDS)
        self._memory: Any = RawArray(ctypes.c_char, n_bytes)
        self._lay_out()
        self.scenarios[:] = -1

    def __getstate__(self) -> dict[str, Any]:
        return {name: vars(self)[name] for name in ("_fields", "_n_workers", "_memory")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lay_out()

    def _lay_out(self) -> None:
        n, self._used = self._n_workers, 0
        # The widest numbers come first, so that every array is aligned.
        self.states = self._take(np.uint64, (n, _N_STATE_WORDS))
        self.n_steps = self._take(np.int64, (n,))
        self.scenarios = self._take(np.int64, (n,))
        self.rewards = self._take(np.float64, (n,))
        self.observations = self._take(np.float32, (n, self._fields[-1][1].stop))
        self.actions = self._take(np.float32, (n, 1))
        self.dones = self._take(np.bool_, (n,))

    def _take(self, kind: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
        count = int(np.prod(shape))
        array = np.frombuffer(self._memory, kind, count, self._used)
        self._used += array.nbytes
        return array.reshape(shape)

    def write_observation(self, worker: int, observation: Observation) -> None:
        """Puts an environment's observation into its worker's row."""
        row, values = self.observations[worker], dict(observation)
        for key, columns, _ in self._fields:
            row[columns] = values[key].ravel()  # type: ignore[attr-defined]

    def episode_start(self, worker: int) -> EpisodeStart:
        """Returns how a worker's episode began."""
        words = tuple(self.states[worker].tolist())
        return EpisodeStart(int(self.scenarios[worker]), int(self.n_steps[worker]), words)

    def split(self, rows: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Returns views of rows of `observations` by key; any leading axes."""
        lead = rows.shape[:-1]
        return {key: rows[..., columns].reshape(*lead, *shape) for key, columns, shape in self._fields}


def generator_words(rng: np.random.Generator) -> list[int]:
    """Returns the state of a PCG64 generator as six numbers of 64 bits."""
    state: Mapping[str, Any] = rng.bit_generator.state
    inner = state["state"]
    halves = [*divmod(inner["state"], _WORD), *divmod(inner["inc"], _WORD)]
    return [*halves, int(state["has_uint32"]), int(state["uinteger"])]


def generator_from_words(words: list[int]) -> np.random.Generator:
    """Returns the generator with that state; the inverse of `generator_words`."""
    bits = np.random.PCG64()
    bits.state = {
        "bit_generator": "PCG64",
        "state": {"state": words[0] * _WORD + words[1], "inc": words[2] * _WORD + words[3]},
        "has_uint32": words[4],
        "uinteger": words[5],
    }
    return np.random.Generator(bits)
