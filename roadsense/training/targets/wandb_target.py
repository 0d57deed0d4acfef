"""Writes a run to Weights & Biases; with `WANDB_MODE=offline` into its folder `wandb`, to be sent by `wandb sync`."""

import os
import uuid
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import KVWriter

from roadsense.runs.run import Run
from roadsense.training.targets.ids import read_id, write_id

PROJECT = "roadsense"


class WandbTarget(KVWriter):
    """A run in Weights & Biases; a resumed one goes on in the same. Its variables, as `WANDB_PROJECT`, hold.

    Args:
        run: run whose metrics are written.
        parents: folders of the experiment and of the search that the run belongs to, the nearest first; the farthest
            is its group, the nearest its job type.
    """

    def __init__(self, run: Run, parents: tuple[Path, ...]):
        import wandb

        known = read_id(run.folder, "wandb") or write_id(run.folder, "wandb", uuid.uuid4().hex[:12])
        nested = {"group": parents[-1].name, "job_type": parents[0].name} if parents else {}
        manifest = run.read_manifest()
        facts = {name: manifest.get(name) for name in ("dataset_digest", "train_digest", "git_commit")}
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=known, resume="allow", name=run.folder.name, dir=str(run.folder), config=run.read_config() | facts,
            **nested,
        )  # fmt: skip

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Writes figures of a step."""
        self._run.log(dict(key_values), step=step)

    def finish(self, run: Run) -> None:
        """Adds the model."""
        import wandb

        model = wandb.Artifact(f"model-{self._run.id}", type="model")
        model.add_file(str(run.model_path))
        self._run.log_artifact(model)

    def close(self) -> None:
        """Ends the run, and waits until everything is written."""
        self._run.finish()
