"""Dirt for simulated logs: what real boxes do to their files, counted, so that reading can be held against it."""

from dataclasses import dataclass, field

import numpy as np

Lines = list[str]


@dataclass
class Dirt:
    """Dirt that was made: count by kind and file, with the kinds of `roadsense.drives.findings`."""

    made: dict[str, dict[str, int]] = field(default_factory=dict)

    def note(self, kind: str, file: str, count: int) -> None:
        """Adds a count."""
        counts = self.made.setdefault(kind, {})
        counts[file] = counts.get(file, 0) + int(count)


def swap_rows(lines: Lines, rng: np.random.Generator, n: int) -> int:
    """Swaps pairs of neighbouring rows that are apart from each other; returns how many rows then come too late."""
    places = rng.choice(np.arange(10, len(lines) - 10, 4), n, replace=False)
    for place in places.tolist():
        lines[place], lines[place + 1] = lines[place + 1], lines[place]
    return n


def repeat_rows(lines: Lines, rng: np.random.Generator, n: int) -> int:
    """Repeats rows right after themselves; returns how many."""
    for place in sorted(rng.choice(np.arange(1, len(lines) - 10), n, replace=False).tolist(), reverse=True):
        lines.insert(place, lines[place])
    return n


def break_rows(lines: Lines, rng: np.random.Generator, n: int) -> int:
    """Puts lines of half a row between the others, as a card with bad contact leaves them; returns how many."""
    for place in sorted(rng.choice(np.arange(5, len(lines) - 10), n, replace=False).tolist(), reverse=True):
        lines.insert(place, lines[place][: len(lines[place]) // 3])
    return n


def cut_off(text: str) -> str:
    """Returns a file's text that ends in the middle of a further line."""
    last = text.rstrip("\n").rsplit("\n", 1)[-1]
    return text + last[: len(last) // 2]
