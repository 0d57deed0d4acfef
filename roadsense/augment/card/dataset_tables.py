"""Tables from a dataset's manifest: draws, rejected draws, difficulty."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from roadsense.episodes.difficulty import measure_difficulty
from roadsense.scenarios.dataset import Dataset

NOT_COVERED = ("sumo_seed",)
"""Drawn values without a range to cover."""

_NUMBER = re.compile(r"(?<![A-Za-z\d.])\d+(\.\d+)?")


def tabulate_draws(dataset: Dataset) -> pd.DataFrame:
    """Returns a row for each drawn value of each scenario: `scenario`, `split`, `base`, `quantity`, `value`.

    Every number and every word in a scenario's `variation` is a value, at any depth. A quantity is named
    by its keys without the ids of flows and types: `flows.density`, `types.sigma`. Quantities that are the same
    everywhere are left out.
    """
    rows = [
        {"scenario": record.name, "split": record.split, "base": record.base, "quantity": quantity, "value": value}
        for record in dataset.scenarios
        for quantity, value in _drawn_values(record.variation)
        if quantity not in NOT_COVERED
    ]
    table = pd.DataFrame(rows, columns=["scenario", "split", "base", "quantity", "value"])
    n_values = table.groupby("quantity")["value"].transform("nunique")
    return table[n_values > 1].reset_index(drop=True)


def tabulate_refusals(dataset: Dataset) -> pd.DataFrame:
    """Returns how many draws were rejected for each reason: `base`, `draws`, `reason`, the most frequent first.

    Reasons that differ only in numbers count as one; the first of them is shown.
    """
    rows = [
        {"base": refusal["base"], "kind": _NUMBER.sub("#", reason), "reason": reason}
        for refusal in dataset.refusals
        for reason in refusal["reasons"]
    ]
    groups = pd.DataFrame(rows, columns=["base", "kind", "reason"]).groupby(["base", "kind"], sort=True)["reason"]
    table = groups.agg(draws="size", reason="first").reset_index()
    return table.sort_values(["base", "draws"], ascending=[True, False], kind="stable")[["base", "draws", "reason"]]


def tabulate_difficulty(dataset: Dataset, measure: bool = True, workers: int = 0) -> pd.DataFrame:
    """Returns a row for each scenario whose difficulty is known: `scenario`, `split`, `base`, and its figures.

    Args:
        dataset: dataset with the scenarios.
        measure: whether to drive scenarios now that have no difficulty in the manifest.
        workers: number of processes for that; 0: one for each core.

    Raises:
        SimulationError: if SUMO fails in a scenario.
    """
    known: dict[str, Any] = {record.name: getattr(record, "difficulty", None) for record in dataset.scenarios}
    missing = [record for record in dataset.scenarios if measure and not known[record.name]]
    figures = measure_difficulty([dataset.folder / record.config for record in missing], workers) if missing else []
    known.update({record.name: figure for record, figure in zip(missing, figures, strict=True)})
    rows = [
        {"scenario": record.name, "split": record.split, "base": record.base, **known[record.name]}
        for record in dataset.scenarios
        if known[record.name]
    ]
    return pd.DataFrame(rows, columns=None if rows else ["scenario", "split", "base", "min_ttc_s", "collision"])


def _drawn_values(node: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, float | str]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            by_id = all(isinstance(item, Mapping) for item in value.values())
            for part in value.values() if by_id else (value,):
                yield from _drawn_values(part, (*path, key))
        elif isinstance(value, bool):
            yield ".".join((*path, key)), str(value)
        elif isinstance(value, int | float | str):
            yield ".".join((*path, key)), value
