"""Wrappers for ablations. An environment without V2V needs none: its radio is `EnvConfig(v2v="muted")`."""

from collections import deque
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from roadsense.envs.observation import BOUND, Observation
from roadsense.errors import InputError


class StackFrames(gym.Wrapper[Observation, NDArray[np.float32], Observation, NDArray[np.float32]]):
    """Shows the last observations side by side, so that a policy without memory sees changes.

    `ego` becomes (4 n,) and `peers` (8, 8 n), the oldest first; `peer_mask` stays (8,): 1 where a peer was heard in any
    of them. Rows are in the order of distance, so a row may hold another car in another frame. Its keys stay those of
    `ConvoyEnv`, so that the same networks take it. (Gymnasium's own
    `FrameStackObservation` puts a new axis first.) After a reset all frames are the first observation.

    Args:
        env: a `ConvoyEnv`.
        n_frames: number of observations side by side, from 1.

    Raises:
        InputError: for `n_frames` below 1.
    """

    def __init__(self, env: gym.Env[Observation, NDArray[np.float32]], n_frames: int = 4):
        if n_frames < 1:
            raise InputError(f"Expected n_frames of 1 or more, got {n_frames}.")
        super().__init__(env)
        self._frames: deque[Observation] = deque(maxlen=n_frames)
        inner = env.observation_space
        if not isinstance(inner, spaces.Dict):
            raise InputError(f"Expected a ConvoyEnv with a Dict observation, got {inner}.")
        shapes: dict[str, tuple[int, ...]] = {name: inner[name].shape or () for name in ("ego", "peers")}
        stacked = {
            name: spaces.Box(-BOUND, BOUND, (*shape[:-1], n_frames * shape[-1]), np.float32)
            for name, shape in shapes.items()
        }
        self.observation_space = spaces.Dict({**stacked, "peer_mask": inner["peer_mask"]})

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode; see `ConvoyEnv.reset`."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._frames.extend([observation] * (self._frames.maxlen or 1))
        return self._stack(), info

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, Any, bool, bool, dict[str, Any]]:
        """Advances by one step; see `ConvoyEnv.step`."""
        observation, *rest = self.env.step(action)
        self._frames.append(observation)
        return self._stack(), *rest

    def _stack(self) -> Observation:
        frames = self._frames
        return Observation(
            ego=np.concatenate([frame["ego"] for frame in frames]),
            peers=np.concatenate([frame["peers"] for frame in frames], axis=-1),
            peer_mask=np.maximum.reduce([frame["peer_mask"] for frame in frames]),
        )
