"""The plain C policy, compiled for this machine to compare it with the trained policy."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import Observation
from roadsense.errors import ExportError
from roadsense.exporting.c_source import POLICY_SOURCE
from roadsense.utils.scratch import scratch_folder

FLAGS = ("-std=c99", "-O2", "-ffp-contract=off")
"""Without contraction, sums are rounded in the same way on every processor."""


def find_compiler() -> str | None:
    """Returns the path of this machine's C compiler, None if it has none."""
    return shutil.which("cc")


class CPolicy:
    """Runs `policy.c`, one observation after the other.

    Args:
        folder: folder with `policy.c` and its headers.
        compiler: path of a C compiler.

    Raises:
        ExportError: if it cannot be compiled.
    """

    def __init__(self, folder: Path, compiler: str):
        with scratch_folder(".c.") as scratch:
            library = scratch / "policy.so"
            command = [compiler, *FLAGS, "-shared", "-fPIC", str(folder / POLICY_SOURCE), "-o", str(library), "-lm"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ExportError(f"{compiler} refuses {POLICY_SOURCE}. It said:\n{done.stderr[-2000:]}")
            self._act = ctypes.CDLL(str(library)).roadsense_act
        self._act.restype = ctypes.c_bool

    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation of a batch, shape (n, 1)."""
        return self.act(observation)[0]

    def act(self, observation: Observation) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Returns an action for each observation of a batch, shape (n, 1), and whether it was accepted, shape (n,)."""
        n_rows = len(observation["ego"])
        parts = (observation["ego"], observation["peers"], observation["peer_mask"])
        rows = np.concatenate([part.reshape(n_rows, -1) for part in parts], axis=1, dtype=np.float32)
        actions, accepted = np.empty((n_rows, 1), np.float32), np.empty(n_rows, np.bool_)
        for row, values in enumerate(rows):
            accepted[row] = self._act(ctypes.c_void_p(values.ctypes.data), ctypes.c_void_p(actions[row].ctypes.data))
        return actions, accepted
