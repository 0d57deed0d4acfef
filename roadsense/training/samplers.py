"""Samplers of the next scenario: uniform, or more often where the value function is worst."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.errors import InputError

RANK_POWER = 1 / 0.3
"""Weight of a scenario: 1 / rank to this power (the inverse of PLR's temperature)."""
STALE_SHARE = 0.3
"""Share of the probability that depends on the time since a scenario was seen."""


class UniformSampler:
    """Every scenario has the same probability."""

    def weights(self) -> NDArray[np.float64] | None:
        """Returns None: no weights."""
        return None

    def begin(self) -> None:
        """Does nothing: it has no state."""

    def update(self, errors: NDArray[np.float32], ends: Sequence[tuple[int, int, str]]) -> None:
        """Does nothing: it does not use errors."""

    def state(self) -> dict[str, Any]:
        """Returns the state for a checkpoint: it is empty."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Does nothing."""


class PlrSampler(UniformSampler):
    """Prioritised level replay (Jiang, Grefenstette, Rocktaeschel, 2021) over a fixed list of scenarios.

    The score of a scenario is the mean absolute advantage (GAE, an estimate of the value's error) over its latest
    episode. The total probability of scenarios never seen is their share of the list, the same for each.

    Args:
        names: names of the scenarios, in the order of the weights.
        n_workers: number of parallel environments.

    Raises:
        InputError: if two scenarios have the same name.
    """

    def __init__(self, names: Sequence[str], n_workers: int):
        if len(set(names)) < len(names):
            raise InputError("Expected scenarios whose folders have different names with the sampler plr, got doubles.")
        self._index = {name: place for place, name in enumerate(names)}
        self._scores = np.full(len(names), np.nan)
        self._seen_at = np.zeros(len(names))
        self._n_episodes = 0
        self._sums, self._counts = np.zeros(n_workers), np.zeros(n_workers)

    def weights(self) -> NDArray[np.float64]:
        """Returns the probability of each scenario."""
        seen = ~np.isnan(self._scores)
        weights = np.where(seen, 0.0, 1 / len(seen))
        if seen.any():
            weights[seen] = seen.mean() * self._weigh_seen(seen)
        return weights / weights.sum()

    def begin(self) -> None:
        """Drops the episodes under way: all environments restart."""
        self._sums[:], self._counts[:] = 0.0, 0.0

    def update(self, errors: NDArray[np.float32], ends: Sequence[tuple[int, int, str]]) -> None:
        """Updates the scores from a rollout.

        Args:
            errors: errors of the value function, shape (steps, workers).
            ends: episodes that ended in the rollout, sorted by row: row of the last step, index of the worker, and
                name of the scenario; the name is empty if the episode was cut short.
        """
        begun = np.zeros(errors.shape[1], dtype=int)
        for row, worker, name in ends:
            self._add(errors[begun[worker] : row + 1, worker], worker)
            begun[worker] = row + 1
            if name:
                self._n_episodes += 1
                place = self._index[name]
                self._scores[place] = self._sums[worker] / max(self._counts[worker], 1)
                self._seen_at[place] = self._n_episodes
            self._sums[worker] = self._counts[worker] = 0.0
        for worker in range(errors.shape[1]):
            self._add(errors[begun[worker] :, worker], worker)

    def state(self) -> dict[str, Any]:
        """Returns the state for a checkpoint as lists and numbers."""
        arrays = {"scores": self._scores, "seen_at": self._seen_at, "sums": self._sums, "counts": self._counts}
        return {**{name: array.tolist() for name, array in arrays.items()}, "n_episodes": self._n_episodes}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets the state that `state` returned."""
        self._scores, self._seen_at = np.array(state["scores"]), np.array(state["seen_at"])
        self._sums, self._counts = np.array(state["sums"]), np.array(state["counts"])
        self._n_episodes = state["n_episodes"]

    def _add(self, errors: NDArray[np.float32], worker: int) -> None:
        self._sums[worker] += float(np.abs(errors, dtype=np.float64).sum())
        self._counts[worker] += len(errors)

    def _weigh_seen(self, seen: NDArray[np.bool_]) -> NDArray[np.float64]:
        order = np.argsort(-self._scores[seen], kind="stable")
        ranks = np.empty(len(order))
        ranks[order] = np.arange(1, len(order) + 1)
        by_score, ages = ranks**-RANK_POWER, self._n_episodes - self._seen_at[seen]
        by_age = ages / ages.sum() if ages.any() else np.full(len(ages), 1 / len(ages))
        return (1 - STALE_SHARE) * by_score / by_score.sum() + STALE_SHARE * by_age
