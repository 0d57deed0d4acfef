"""Makes environments in worker processes in one call, for any algorithm of Stable-Baselines3."""

from collections.abc import Sequence
from pathlib import Path

from roadsense.envs.config import EnvConfig
from roadsense.envs.make import list_paths
from roadsense.training.vec.env import ConvoyVecEnv


def make_vec_env(
    scenarios: str | Path | Sequence[str | Path], n_workers: int = 4, config: EnvConfig | None = None, seed: int = 0
) -> ConvoyVecEnv:
    """Starts worker processes with one `ConvoyEnv` each, as the vector environment of Stable-Baselines3.

    Args:
        scenarios: a folder, below which every `.sumocfg` is used, or the paths of `.sumocfg` files.
        n_workers: number of worker processes, from 1; four a core keep the cores busy.
        config: settings of the environments. `step_info=False`, the default here, is faster.
        seed: seed of all random draws.

    Raises:
        InputError: for no worker.
        ScenarioError: if the folder holds no scenario.

    Examples:
        >>> import roadsense as rs
        >>> from stable_baselines3 import A2C
        >>> envs = rs.make_vec_env("scenarios/base", n_workers=2)
        >>> model = A2C("MultiInputPolicy", envs, n_steps=8).learn(32)
        >>> model.num_timesteps
        32
        >>> envs.close()
    """
    return ConvoyVecEnv(list_paths(scenarios), config or EnvConfig(step_info=False), n_workers, seed)
