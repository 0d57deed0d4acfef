"""What makes the same seed give the same result everywhere: sums in order, and generators as numbers."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def add_in_order(values: Iterable[float]) -> float:
    """Returns the sum of values, added from the first to the last.

    From Python 3.12 on, the built-in `sum` corrects its rounding errors: with it, the same seed would give different
    datasets on Python 3.11 and 3.12.
    """
    total = 0.0
    for value in values:
        total += value
    return total


N_STATE_WORDS = 6
"""Number of 64-bit words in the state of a PCG64."""
_WORD = 2**64


def generator_words(rng: np.random.Generator) -> list[int]:
    """Returns the state of a PCG64 generator as six 64-bit numbers."""
    state: Mapping[str, Any] = rng.bit_generator.state
    inner = state["state"]
    halves = [*divmod(inner["state"], _WORD), *divmod(inner["inc"], _WORD)]
    return [*halves, int(state["has_uint32"]), int(state["uinteger"])]


def generator_from_words(words: list[int]) -> np.random.Generator:
    """Returns the generator with that state; the inverse of `generator_words`."""
    bits = np.random.PCG64()
    bits.state = {
        "bit_generator": "PCG64",
        "state": {"state": words[0] * _WORD + words[1], "inc": words[2] * _WORD + words[3]},
        "has_uint32": words[4],
        "uinteger": words[5],
    }
    return np.random.Generator(bits)
