"""The environments of a training: worker processes, one SUMO each, and a note of those that die."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from roadsense.training.train_config import TrainConfig
from roadsense.training.vec.deaths import WorkerDeath
from roadsense.training.vec.env import ConvoyVecEnv


def start_workers(scenario_paths: Sequence[Path], config: TrainConfig, deaths_path: Path) -> ConvoyVecEnv:
    """Starts the worker processes of a training.

    Args:
        scenario_paths: of the `.sumocfg` files.
        config: settings, with the number of workers filled in.
        deaths_path: file to which a JSON object is appended for each worker that dies, with what it did last.
    """

    def _note(death: WorkerDeath) -> None:
        with deaths_path.open("a") as file:
            file.write(json.dumps(asdict(death), default=str) + "\n")

    return ConvoyVecEnv(
        scenario_paths, config.env_config(), config.n_workers, config.seed, on_death=_note, max_deaths=config.max_deaths
    )
