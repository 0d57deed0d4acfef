"""Dirt for simulated logs: what real boxes do to their files, counted, so that reading can be held against it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
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


def spoil_sensors(cars: tuple[str, ...], measured: Floats, awake: NDArray[np.bool_], dirt: Dirt) -> None:
    """Lets the last car's board wait for its first fix and sleep, and the ego's leader's position be stuck."""
    last, leader, n_steps = len(cars) - 1, 1, len(measured)
    no_fix, stuck, slept = 15, (n_steps // 2, n_steps // 2 + 40), (n_steps // 4, n_steps // 4 + 80)
    measured[:no_fix, last, :2] = np.nan
    dirt.note("no_fix", f"{cars[last]}_tx.csv", int(awake[:no_fix, last].sum()))
    measured[slice(*stuck), leader, :2] = measured[stuck[0], leader, :2]
    dirt.note("stuck", f"{cars[leader]}_tx.csv", stuck[1] - stuck[0] - 1)
    if last != leader:
        awake[slice(*slept), last] = False
        dirt.note("slept", f"{cars[last]}_tx.csv", 1)


def spoil_files(
    files: Mapping[str, list[str]], cars: tuple[str, ...], rng: np.random.Generator, dirt: Dirt, dirty: bool
) -> dict[str, str]:
    """Returns the texts of files, their rows swapped, repeated, broken and cut off, one car's speeds in km/h."""
    lines = {name: list(rows) for name, rows in files.items()}
    if dirty:
        ego, leader, last = cars[0], cars[1], cars[-1]
        dirt.note("out_of_order", f"{leader}_tx.csv", swap_rows(lines[f"{leader}_tx.csv"], rng, 5))
        dirt.note("duplicate", f"{ego}_rx.csv", repeat_rows(lines[f"{ego}_rx.csv"], rng, 7))
        dirt.note("broken_line", f"{ego}_rx.csv", break_rows(lines[f"{ego}_rx.csv"], rng, 3))
        _to_kmh(lines, last, dirt)
    texts = {name: "\n".join(rows) + "\n" for name, rows in lines.items()}
    if dirty:
        texts[f"{last}_tx.csv"] = cut_off(texts[f"{last}_tx.csv"])
        dirt.note("cut_off", f"{last}_tx.csv", 1)
        texts[f"{ego}_rx.csv"] = "\ufeff" + texts[f"{ego}_rx.csv"]
        dirt.note("byte_order_mark", f"{ego}_rx.csv", 1)
    return texts


def _to_kmh(lines: Mapping[str, list[str]], car: str, dirt: Dirt) -> None:
    """Writes one car's speeds in km/h, in its own log and in the messages that others heard of it."""
    for name, rows in lines.items():
        column = rows[0].split(",").index("speed_mps")
        for place, line in enumerate(rows[1:], start=1):
            parts = line.split(",")
            if len(parts) > column and (name.startswith(car) if "_tx" in name else parts[1] == car):
                parts[column] = f"{3.6 * float(parts[column]):.2f}"
                rows[place] = ",".join(parts)
    dirt.note("kmh", f"{car}_tx.csv", 1)
