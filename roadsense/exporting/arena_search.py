"""Finds the smallest arena of a policy: `python -m roadsense.exporting.arena_search FILE` prints its bytes.

TFLite Micro prints the content of the arena on standard error.

Each size is tried in a forked process, since an arena that is too small may be a segmentation fault.
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np
from tflite_micro import runtime

from roadsense.exporting.micro import ARENA_ALIGNMENT, add_margin

LARGEST_BYTES = 1 << 20
TIMEOUT_S = 10


def act(content: bytes, arena_bytes: int) -> bytes:
    """Returns the action on inputs that are not zero, as raw bytes."""
    interpreter = runtime.Interpreter.from_bytes(content, arena_size=arena_bytes)
    for place in range(3):
        shape = interpreter.get_input_details(place)["shape"]
        interpreter.set_input(np.linspace(0, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape), place)
    interpreter.invoke()
    return interpreter.get_output(0).tobytes()


def works(content: bytes, arena_bytes: int, expected: bytes) -> bool:
    """Returns whether the policy gives the expected action in an arena of this size."""
    child = os.fork()
    if child == 0:
        signal.alarm(TIMEOUT_S)
        try:
            os._exit(0 if act(content, arena_bytes) == expected else 1)
        except (RuntimeError, ValueError, MemoryError):
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def search(content: bytes) -> int:
    """Returns the smallest arena in steps of `ARENA_ALIGNMENT` bytes; it also tries the one with a margin.

    Raises:
        ValueError: if none works.
    """
    expected = act(content, LARGEST_BYTES)
    low, high = 0, LARGEST_BYTES // ARENA_ALIGNMENT
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if works(content, middle * ARENA_ALIGNMENT, expected) else (middle, high)
    smallest_bytes = high * ARENA_ALIGNMENT
    if not all(works(content, size, expected) for size in (smallest_bytes, add_margin(smallest_bytes))):
        raise ValueError(f"An arena of {smallest_bytes} bytes does not work.")
    return smallest_bytes


if __name__ == "__main__":
    policy = Path(sys.argv[1]).read_bytes()
    sys.stdout.write(str(search(policy)))
    interpreter = runtime.Interpreter.from_bytes(policy)
    interpreter.invoke()
    interpreter.print_allocations()
