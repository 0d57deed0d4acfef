"""Stratified sampling: parts of the density and driver ranges, so that all words are equally frequent."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

N_WORDS = 3


class Strata(NamedTuple):
    """The parts of the density range and the driver range, within 0 to 1, that a scenario's levels come from."""

    density: tuple[float, float]
    driver: tuple[float, float]


def deal_strata(counts: Sequence[int], rng: np.random.Generator) -> list[list[Strata]]:
    """Returns strata for each base's scenarios, in random order.

    Numbers of scenarios differ by at most one between word pairs of a base, and between density words and between
    driver words of a base and of all bases; by at most two between word pairs of all bases. The draws of a word share
    its third of the range in equal parts.

    Args:
        counts: number of scenarios of each base.
        rng: random generator; it chooses the words that occur once more than others, and the order.
    """
    table = np.zeros((N_WORDS, N_WORDS), int)
    dealt = []
    for n in counts:
        cells = _deal_cells(n, table, rng)
        density, driver = (_deal_parts([cell[axis] for cell in cells], rng) for axis in (0, 1))
        dealt.append([Strata(*parts) for parts in zip(density, driver, strict=True)])
    return dealt


def _deal_cells(n: int, table: np.ndarray, rng: np.random.Generator) -> list[tuple[int, int]]:
    # Three cells on a diagonal of the table of word pairs hold each word once. A base gets the whole table, whole
    # diagonals and a part of another, chosen so that the table over all bases so far stays even.
    n_tables, rest = divmod(n, N_WORDS**2)
    n_diagonals, n_left = divmod(rest, N_WORDS)
    best: tuple[float, ...] = (np.inf,)
    own = np.zeros_like(table)
    for choice in rng.permutation(N_WORDS**3).tolist():
        start, shift, skipped = choice // 9, choice // 3 % 3, choice % 3
        others = [shift + k for k in (1, 2) if k != skipped] if n_diagonals == 1 else [shift + 1, shift + 2]
        tried = np.full_like(table, n_tables)
        for i in range(N_WORDS):
            for k in others[:n_diagonals]:
                tried[i, (i + k) % N_WORDS] += 1
        for i in range(start, start + n_left):
            tried[i % N_WORDS, (i + shift) % N_WORDS] += 1
        score = _unevenness(table + tried)
        if score < best:
            best, own = score, tried
    table += own
    cells = [(i, j) for i in range(N_WORDS) for j in range(N_WORDS) for _ in range(own[i, j])]
    return [cells[i] for i in rng.permutation(n)]


def _unevenness(table: np.ndarray) -> tuple[float, ...]:
    words = max(float(np.ptp(table.sum(axis))) for axis in (0, 1))
    return words, float(np.ptp(table)), float(np.sum(table.astype(float) ** 2))


def _deal_parts(words: list[int], rng: np.random.Generator) -> list[tuple[float, float]]:
    parts = {word: iter(rng.permutation(words.count(word)).tolist()) for word in sorted(set(words))}
    strata = []
    for word in words:
        part, n = next(parts[word]), words.count(word)
        strata.append(((word + part / n) / N_WORDS, (word + (part + 1) / n) / N_WORDS))
    return strata
