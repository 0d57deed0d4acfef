"""The exported file on TFLite Micro, the runtime of the microcontroller: its operators, and its actions."""

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
from roadsense.policies.tflite import UNREADABLE, count_operators, has_channel_scales

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
"""Operators that a conversion may use, and the method of `MicroMutableOpResolver` that registers each."""
ARENA_ALIGNMENT = 16
ARENA_MARGIN_SHARE, ARENA_MARGIN_BYTES = 0.1, 256
"""Margin added to the smallest arena that works, for the header."""
ARENA_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Arena:
    """Working memory of a policy on TFLite Micro.

    Attributes:
        smallest_bytes: size of the smallest arena with the right action on this 64-bit machine.
        persistent_bytes: part of `smallest_bytes` that the runtime uses for its own records.
    """

    smallest_bytes: int
    persistent_bytes: int

    @property
    def recommended_bytes(self) -> int:
        """Size for a 64-bit machine, with a margin; it was tried as well."""
        return add_margin(self.smallest_bytes)

    @property
    def chip_bytes(self) -> int:
        """Size for a 32-bit chip, with a margin; computed.

        The records are made of pointers and take half as much there; tensors take the same. Without the margin this
        equalled the size for a float32 policy on a Cortex-M4 (3,952 bytes), and was 2 % above that for int8 (3,872).
        """
        return add_margin(self.smallest_bytes - self.persistent_bytes // 2)


class MicroPolicy:
    """Runs a `.tflite` policy on TFLite Micro, one observation after the other.

    Args:
        path: path of the file.
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
    """Checks that TFLite Micro can run a file before it does: with an unknown operator it may be wrong or crash.

    Raises:
        ExportError: for an operator beyond `MICRO_OPERATORS`, or a tensor with a scale for each channel.
    """
    unknown = sorted(count_operators(path).keys() - MICRO_OPERATORS.keys())
    if unknown:
        raise ExportError(f"Expected operators of {sorted(MICRO_OPERATORS)}, the conversion led to {unknown} too.")
    if has_channel_scales(path):
        raise ExportError("Expected one scale a tensor, the conversion led to one a channel. Report this.")


def align(path: Path) -> None:
    """Aligns every buffer of a TFLite file to 16 bytes, as the schema requires; Python's writers align to 4."""
    _import_runtime()
    from tflite_micro.tensorflow.lite.micro.tools import tflite_flatbuffer_align_wrapper

    aligned = path.with_name(f"{path.name}.aligned")
    tflite_flatbuffer_align_wrapper.align_tflite_model(str(path), str(aligned))
    os.replace(aligned, path)


def measure_arena(path: Path) -> Arena:
    """Measures the smallest arena, in separate processes: one that is too small may crash its process.

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
