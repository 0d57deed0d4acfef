"""The exported file on TFLite Micro, the runtime of the microcontroller: operators it has, actions it gives."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import Observation
from roadsense.errors import ExportError, InputError
from roadsense.policies.guard import guard
from roadsense.policies.tflite_file import UNREADABLE, count_operators, has_channel_scales

MICRO_OPERATORS = {
    "ADD": "AddAdd",
    "CONCATENATION": "AddConcatenation",
    "DEQUANTIZE": "AddDequantize",
    "FULLY_CONNECTED": "AddFullyConnected",
    "MAXIMUM": "AddMaximum",
    "MINIMUM": "AddMinimum",
    "MUL": "AddMul",
    "QUANTIZE": "AddQuantize",
    "REDUCE_MAX": "AddReduceMax",
    "RELU": "AddRelu",
    "RESHAPE": "AddReshape",
    "TANH": "AddTanh",
}
"""Operators a conversion may lead to, and the method of `MicroMutableOpResolver` that registers each."""
ARENA_ALIGNMENT = 16
ARENA_MARGIN_SHARE, ARENA_MARGIN_BYTES = 0.1, 256
"""Added to the smallest arena that works, for the header."""
ARENA_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Arena:
    """Working memory of a policy on TFLite Micro.

    Attributes:
        smallest_bytes: the smallest arena with which it gives the right action on this 64-bit machine.
        persistent_bytes: of these, what the runtime keeps there for its own records.
    """

    smallest_bytes: int
    persistent_bytes: int

    @property
    def recommended_bytes(self) -> int:
        """Of a 64-bit machine, with a margin; tried as well."""
        return add_margin(self.smallest_bytes)

    @property
    def chip_bytes(self) -> int:
        """Of a 32-bit chip, with a margin; computed.

        The records are made of pointers and hold half as much there; tensors stay as they are. Without the margin this
        gave what a float32 policy took on a Cortex-M4 (3,952 bytes), and 2 % more than int8 took (3,872).
        """
        return add_margin(self.smallest_bytes - self.persistent_bytes // 2)


class MicroPolicy:
    """Runs a `.tflite` policy on TFLite Micro, one observation after the other.

    Args:
        path: the file.
        input_names: names of its inputs in the order of the file; TFLite Micro does not know them.

    Raises:
        InputError: if TFLite Micro is not installed, or refuses the file.
    """

    def __init__(self, path: Path, input_names: tuple[str, ...]):
        self._names = input_names
        runtime = _import_runtime()
        try:
            self._interpreter = runtime.Interpreter.from_file(str(path))
        except UNREADABLE as error:
            raise InputError(f"{path}: TFLite Micro refuses it ({error}). Export it again.") from error

    @guard
    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation of a batch, shape (n, 1)."""
        interpreter = self._interpreter
        arrays: list[NDArray[np.float32]] = [np.asarray(observation[name], np.float32) for name in self._names]  # type: ignore[literal-required]
        actions = np.empty((len(arrays[0]), 1), np.float32)
        for row in range(len(actions)):
            for place, values in enumerate(arrays):
                interpreter.set_input(values[row : row + 1], place)
            interpreter.invoke()
            actions[row] = interpreter.get_output(0)[0]
        return actions


def refuse_unknown_operators(path: Path) -> None:
    """Checks that TFLite Micro can run a file, before it is run: what it cannot, it may compute wrongly or crash on.

    Raises:
        ExportError: for an operator beyond `MICRO_OPERATORS`, or a tensor with a scale for each channel.
    """
    unknown = sorted(count_operators(path).keys() - MICRO_OPERATORS.keys())
    if unknown:
        raise ExportError(f"Expected operators of {sorted(MICRO_OPERATORS)}, the conversion led to {unknown} too.")
    if has_channel_scales(path):
        raise ExportError("Expected one scale a tensor, the conversion led to one a channel. Report this.")


def align(path: Path) -> None:
    """Aligns every buffer of a TFLite file to 16 bytes, as the schema asks; Python's writers align to 4."""
    _import_runtime()
    from tflite_micro.tensorflow.lite.micro.tools import tflite_flatbuffer_align_wrapper

    aligned = path.with_name(f"{path.name}.aligned")
    tflite_flatbuffer_align_wrapper.align_tflite_model(str(path), str(aligned))
    os.replace(aligned, path)


def measure_arena(path: Path) -> Arena:
    """Measures how small an arena can be, in processes of their own: one too small may crash its process.

    Raises:
        ExportError: if no arena is found, or the recommended one does not work.
    """
    command = [sys.executable, "-m", "roadsense.exporting.arena_search", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ARENA_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"Measuring the arena of {path.name} took more than {ARENA_TIMEOUT_S:g} s.") from error
    if done.returncode:
        raise ExportError(f"No arena was found in which TFLite Micro runs {path.name}. It said:\n{done.stderr[-2000:]}")
    persistent = re.search(r"Arena allocation tail (\d+) bytes", done.stderr)
    if persistent is None:
        raise ExportError(f"Expected the size of the records in {path.name}'s arena, TFLite Micro said:\n{done.stderr}")
    return Arena(int(done.stdout), int(persistent.group(1)))


def add_margin(smallest_bytes: int) -> int:
    """Returns the size of the firmware's arena."""
    wanted = smallest_bytes * (1 + ARENA_MARGIN_SHARE) + ARENA_MARGIN_BYTES
    return -int(-wanted // ARENA_ALIGNMENT) * ARENA_ALIGNMENT


def _import_runtime() -> Any:
    try:
        from tflite_micro import runtime
    except ImportError as error:
        raise InputError(f"This needs TFLite Micro ({error}). Install `roadsense[export]`.") from error
    return runtime
