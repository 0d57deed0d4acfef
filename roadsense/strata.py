"""Which part of the density and of the driver range each scenario is to come from, so that words come evenly. Pure."""

from collections.abc import Sequence

import numpy as np

N_WORDS = 3
Strata = tuple[tuple[float, float], tuple[float, float]]
"""Where on its range, 0 to 1, a scenario's density level and its driver level are to lie."""

Cell = tuple[int, int]
"""Places of a density word and of a driver word among theirs."""


def deal_strata(counts: Sequence[int], rng: np.random.Generator) -> list[list[Strata]]:
    """Returns strata for each base's scenarios, in random order.

    Within a base, each pair of words comes equally often within one; each density word and each driver word comes
    equally often within one in every base, and over all bases together. Within a word, the draws share its third
    of the range in equal parts.

    Args:
        counts: how many scenarios each base gives.
        rng: decides which words come once more than others, and the order.
    """
    first = rng.integers(N_WORDS, size=2)
    dealt = []
    for n in counts:
        cells = _deal_cells(n, first, rng)
        first = (first + n) % N_WORDS
        density, driver = (_deal_parts([cell[axis] for cell in cells], rng) for axis in (0, 1))
        dealt.append(list(zip(density, driver, strict=True)))
    return dealt


def _deal_cells(n: int, first: np.ndarray, rng: np.random.Generator) -> list[Cell]:
    # Three cells on a diagonal of the table of word pairs hold each word once. What is left over lies on a diagonal of
    # its own, from the words that are next over all bases.
    n_tables, rest = divmod(n, N_WORDS**2)
    n_diagonals, n_left = divmod(rest, N_WORDS)
    own = int(first[1] - first[0]) % N_WORDS
    others = [k for k in rng.permutation(N_WORDS).tolist() if k != own or not n_left]
    cells = n_tables * [(i, j) for i in range(N_WORDS) for j in range(N_WORDS)]
    cells += [(i, (i + k) % N_WORDS) for k in others[:n_diagonals] for i in range(N_WORDS)]
    cells += [(int(first[0] + i) % N_WORDS, int(first[1] + i) % N_WORDS) for i in range(n_left)]
    return [cells[i] for i in rng.permutation(n)]


def _deal_parts(words: list[int], rng: np.random.Generator) -> list[tuple[float, float]]:
    parts = {word: iter(rng.permutation(words.count(word)).tolist()) for word in sorted(set(words))}
    strata = []
    for word in words:
        part, n = next(parts[word]), words.count(word)
        strata.append(((word + part / n) / N_WORDS, (word + (part + 1) / n) / N_WORDS))
    return strata
