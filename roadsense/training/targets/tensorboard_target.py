"""Writes TensorBoard's event files by tensorboardX, which needs no TensorFlow: `tensorboard --logdir runs`."""

import json
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import KVWriter

from roadsense.runs.run import Run

FOLDER = "tensorboard"


class TensorBoardTarget(KVWriter):
    """The event file of a run, in its folder `tensorboard`; a resumed run gets another one there.

    Args:
        run: run whose metrics are written.
        parents: unused; TensorBoard shows the folders below one another as they are.
    """

    def __init__(self, run: Run, parents: tuple[Path, ...]):
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(run.folder / FOLDER))
        text = json.dumps(run.read_config(), indent=2)
        self._writer.add_text("config", f"```\n{text}\n```")

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Writes figures of a step, so that they can be seen at once."""
        for name, value in key_values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def finish(self, run: Run) -> None:
        """Does nothing: the model lies beside the event file."""

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()
