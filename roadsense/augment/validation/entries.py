"""Entries of a dataset: a number, a base and a draw for each scenario."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from roadsense.augment.bases.base import Base
from roadsense.augment.draws.ranges import VariationRanges
from roadsense.augment.draws.stratified_sampling import Strata, deal_strata
from roadsense.augment.draws.variations import Variation, draw_around, draw_variations, redraw
from roadsense.scenarios.records import ScenarioName


@dataclass
class Entry:
    """An entry of a dataset.

    Attributes:
        number: number of the scenario, from 1.
        split: name of its split.
        base: its base scenario.
        strata: parts of the density and driver ranges that its draws come from.
        ranges: ranges that its draws come from.
        variation: the current draw.
        rng: random generator of further draws.
        n_redraws: number of further draws so far.
    """

    number: int
    split: str
    base: Base
    strata: Strata
    ranges: VariationRanges
    variation: Variation
    rng: np.random.Generator
    n_redraws: int = 0

    @property
    def name(self) -> str:
        """Name of the scenario's folder; it stays the same when the entry is drawn again."""
        return name_scenario(self.number, self.base, self.variation)

    def redraw(self) -> None:
        """Draws again."""
        drawn = redraw(self.strata, self.base.traffic, self.ranges, self.rng)
        self.variation = replace(drawn, surroundings=self.variation.surroundings, sensors=self.variation.sensors)
        self.n_redraws += 1


def name_scenario(number: int, base: Base, variation: Variation) -> str:
    """Returns the name of a scenario's folder."""
    return str(ScenarioName(number, base.name, variation.density_word, variation.driver_word))


def deal_entries(
    split: str,
    numbers: range,
    bases: Sequence[Base],
    stream: np.random.SeedSequence,
    ranges: Mapping[str, VariationRanges],
) -> list[Entry]:
    """Returns the entries of a split in the order of their numbers; the bases take turns.

    Each base has its own random stream and stratified sample; each entry has its own stream for further draws.

    Args:
        split: name of the split.
        numbers: the entries' numbers.
        bases: the base scenarios.
        stream: seed sequence of all random streams.
        ranges: ranges of each base's draws, by name.
    """
    words, *streams = stream.spawn(1 + len(bases))
    own = [numbers[place :: len(bases)] for place in range(len(bases))]
    strata = deal_strata([len(theirs) for theirs in own], np.random.default_rng(words))
    entries = []
    for base, theirs, parts, own_stream in zip(bases, own, strata, streams, strict=True):
        if not theirs:
            continue
        own_ranges = ranges[base.name]
        sample, *redraws, around = map(np.random.default_rng, own_stream.spawn(2 + len(theirs)))
        draws = draw_around(draw_variations(len(parts), base.traffic, own_ranges, sample, parts), own_ranges, around)
        for number, part, draw, rng in zip(theirs, parts, draws, redraws, strict=True):
            entries.append(Entry(number, split, base, part, own_ranges, draw, rng))
    return sorted(entries, key=lambda entry: entry.number)
