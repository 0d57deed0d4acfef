"""All slots of a dataset, dealt to the bases and filled, on as many cores as wanted."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from roadsense.augment.bases.base import Base
from roadsense.augment.config import GenConfig
from roadsense.augment.validation.filling import Filler, FillRules, train_places
from roadsense.augment.validation.slots import Slot, deal_slots
from roadsense.scenarios.records import SPLITS, ScenarioRecord
from roadsense.utils.progress import progress_bar


def fill_dataset(
    working: Path, bases: Sequence[Base], config: GenConfig
) -> tuple[list[ScenarioRecord], list[dict[str, Any]]]:
    """Proves a scenario for every slot; returns their records and the draws that were refused.

    Args:
        working: the working folder.
        bases: what is varied.
        config: settings.

    Raises:
        GateError: if too many draws of one base are refused.
    """
    slots = _deal(bases, config)
    rules = FillRules(config.ranges, config.min_split_distance, config.max_refusals_per_base)
    n_all = sum(map(len, slots.values()))
    with _workers(config.workers or os.cpu_count()) as pool, progress_bar(n_all, "proving", "scenario") as bar:
        filler = Filler(working, rules, pool, bar)
        records = filler.fill(slots["train"], trained={})
        trained = train_places(slots["train"], config.ranges)
        for split in SPLITS[1:]:
            records += filler.fill(slots[split], trained)
    return records, filler.refusals


def _deal(bases: Sequence[Base], config: GenConfig) -> dict[str, list[Slot]]:
    counts = {"train": config.n_train, "eval": config.n_eval, "eval_wide": config.n_eval_wide}
    streams = np.random.SeedSequence(config.seed).spawn(len(SPLITS))
    slots, first = {}, 1
    for split, stream in zip(SPLITS, streams, strict=True):
        held_out = config.hold_out_base
        own = [one for one in bases if held_out is None or (one.name == held_out) == (split != "train")]
        numbers = range(first, first + counts[split])
        slots[split] = deal_slots(split, numbers, own, stream, config.split_ranges(split))
        first += counts[split]
    return slots


@contextmanager
def _workers(n: int | None) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(n)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
