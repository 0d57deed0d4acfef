"""The environments of a training: worker processes, one SUMO each."""

import multiprocessing
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import SubprocVecEnv

from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.observation import Observation
from roadsense.train_config import TrainConfig

PRELOADED = ["stable_baselines3.common.vec_env.subproc_vec_env", "roadsense.envs.convoy_env"]
"""Imported once in the server that workers are forked from."""


class WeightedConvoyEnv(ConvoyEnv):
    """A `ConvoyEnv` whose scenarios can be made more or less likely."""

    _scenario_weights: NDArray[np.float64] | None = None

    def set_weights(self, weights: NDArray[np.float64] | None) -> None:
        """Sets the probability of each scenario at later resets; None for all alike."""
        self._scenario_weights = weights

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode; see `ConvoyEnv.reset`."""
        if self._scenario_weights is None:
            return super().reset(seed=seed, options=options)
        super(ConvoyEnv, self).reset(seed=seed)
        place = int(self.np_random.choice(len(self.scenario_paths), p=self._scenario_weights))
        return super().reset(options={"scenario": self.scenario_paths[place], **(options or {})})


class Workers(SubprocVecEnv):
    """Environments in processes of their own, which can all begin anew from a seed."""

    def restart(self, seed: int) -> Observation:
        """Ends all episodes and begins new ones that the seed decides; returns the first observations."""
        self.seed(seed)
        return self.reset()

    def set_weights(self, weights: NDArray[np.float64] | None) -> None:
        """Sets the probability of each scenario at later resets; None for all alike."""
        self.env_method("set_weights", weights)

    def close(self) -> None:
        """Ends the processes, also when some have died."""
        with suppress(EOFError, OSError):
            super().close()
        for process in self.processes:
            process.kill()


def start_workers(scenario_paths: Sequence[Path], config: TrainConfig, deaths_path: Path) -> Workers:
    """Starts the worker processes of a training.

    Args:
        scenario_paths: of the `.sumocfg` files.
        config: settings, with the number of workers filled in.
        deaths_path: file in which a line says of each process that dies what it did last.
    """
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    paths, env_config = [str(path.resolve()) for path in scenario_paths], config.env_config()

    def _make_env() -> ConvoyEnv:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trainer's business: it still needs its workers
        return WeightedConvoyEnv(paths, config=env_config)

    env = Workers([_make_env] * config.n_workers, start_method="forkserver")
    env.seed(config.seed)
    return env
