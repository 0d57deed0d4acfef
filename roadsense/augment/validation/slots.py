"""Places in a dataset, dealt to the base scenarios, each with the draw that is to fill it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from roadsense.augment.bases.base import Base
from roadsense.augment.draws.ranges import VariationRanges
from roadsense.augment.draws.strata import Strata, deal_strata
from roadsense.augment.draws.variations import Variation, draw_variations, redraw
from roadsense.scenarios.scenario import ScenarioName


@dataclass
class Slot:
    """A place in a dataset.

    Attributes:
        number: of the scenario, from 1.
        split: where it lies.
        base: its base.
        strata: where its two levels lie.
        ranges: what its draws are drawn from.
        variation: the draw.
        rng: for further draws.
        n_redraws: how many there were.
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
        """Name of the scenario's folder; a redraw keeps it."""
        words = self.variation.density_word, self.variation.driver_word
        return str(ScenarioName(self.number, self.base.name, *words))

    def redraw(self) -> None:
        """Draws again."""
        self.variation = redraw(self.strata, self.base.traffic, self.ranges, self.rng)
        self.n_redraws += 1


def deal_slots(
    split: str, numbers: range, bases: Sequence[Base], stream: np.random.SeedSequence, ranges: VariationRanges
) -> list[Slot]:
    """Returns the slots of a split, in the order of their numbers, dealt to the bases in turn.

    Each base has its own stream and stratified layout and, within it, a stream for each scenario's further draws.
    """
    words, *streams = stream.spawn(1 + len(bases))
    own = [numbers[place :: len(bases)] for place in range(len(bases))]
    strata = deal_strata([len(theirs) for theirs in own], np.random.default_rng(words))
    slots = []
    for base, theirs, parts, own_stream in zip(bases, own, strata, streams, strict=True):
        layout, *redraws = map(np.random.default_rng, own_stream.spawn(1 + len(theirs)))
        draws = draw_variations(len(parts), base.traffic, ranges, layout, parts)
        for number, part, draw, rng in zip(theirs, parts, draws, redraws, strict=True):
            slots.append(Slot(number, split, base, part, ranges, draw, rng))
    return sorted(slots, key=lambda slot: slot.number)
