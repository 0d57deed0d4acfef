"""The range of everything that is varied: from the command line, a notebook or a TOML file."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

from roadsense.envs.radio.presets import PRESETS
from roadsense.envs.sensors import SENSORS
from roadsense.envs.surroundings import MIXED_RANGES, Surroundings, SurroundingsRanges
from roadsense.errors import InputError

Range = tuple[float, float]

LIMITS: Mapping[str, Range] = {
    "density": (0.01, 10.0),
    "speed_mean": (0.2, 2.0),
    "sigma": (0.0, 1.0),
    "tau": (0.2, 5.0),
    "accel": (0.2, 5.0),
    "decel": (0.2, 2.0),
    "min_gap": (0.2, 5.0),
    "convoy_shift_s": (-3600.0, 3600.0),
    "heavy_share": (0.0, 10.0),
    "friction": (0.2, 1.0),
    "convoy_size": (2, 100),
    "convoy_spacing": (0.2, 5.0),
    "speed_dev": (0.0, 0.5),
    "convoy_speed_dev": (0.0, 0.5),
    "background_shift_s": (0.0, 3600.0),
}
"""Widest allowed range of each quantity."""
AROUND = tuple(field.name for field in fields(Surroundings))
"""Names of the ranges of the surroundings, see `roadsense.envs.surroundings`."""


@dataclass(frozen=True)
class VariationRanges:
    """Lowest and highest value of everything that is varied."""

    given: ClassVar[frozenset[str]] = frozenset()
    """Names of the ranges that the caller gave; the others have their defaults."""
    density: Range = (0.7, 1.3)
    """Factor on each flow's rate; the words sparse, medium and dense name the thirds of this range."""
    sigma: Range = (0.0, 0.5)
    """Imperfection of each vehicle type's drivers; the ego's own type is not varied."""
    speed_mean: Range = (0.8, 1.2)
    """Mean speedFactor of each type; the words cautious, normal and aggressive name the thirds of this range."""
    speed_dev: Range = (0.05, 0.15)
    """Standard deviation of speedFactor within a background type."""
    convoy_speed_dev: Range = (0.0, 0.03)
    """Standard deviation of speedFactor in the convoy, whose cars share one mean; a large one separates the cars."""
    speed_cut: float = 0.2
    """speedFactor is cut off this far below and above its mean, 0 to 2."""
    background_shift_s: Range = (0.0, 10.0)
    """Delay of a flow's begin in s, at most its own mean headway; the same for single vehicles."""
    convoy_shift_s: Range = (-3.0, 3.0)
    """Delay of the whole convoy's departure in s."""
    tau: Range = (0.9, 1.3)
    """Factor on each type's desired time headway; the ego's own type is not varied, here and in the next three."""
    accel: Range = (0.85, 1.15)
    """Factor on each type's acceleration."""
    decel: Range = (0.85, 1.15)
    """Factor on each type's comfortable deceleration, at most its emergencyDecel."""
    min_gap: Range = (0.8, 1.3)
    """Factor on each type's gap at standstill."""
    heavy_share: Range = (0.5, 1.5)
    """Factor on the share of trucks and buses; the total rate stays."""
    friction: Range = (0.7, 1.0)
    """Friction of a wet road, 1 is dry. In SUMO it lowers the speed of vehicles, not their braking."""
    wet_share: float = 0.3
    """Share of the scenarios with a wet road, 0 to 1; the others keep their friction."""
    convoy_size: tuple[int, int] = (3, 6)
    """Number of cars in the convoy: cars are removed or added at its front, as far as the base allows."""
    convoy_spacing: Range = (0.9, 1.2)
    """Factor on the distances between the convoy's cars at departure; the ego's position stays."""
    v2v: tuple[str, ...] = ("ideal", "esp_now", "bursty", "blocked_antenna")
    """Names of the radios shared among the scenarios; empty: the scenarios name no radio."""
    sensors: tuple[str, ...] = tuple(SENSORS)
    """Names of the sensors shared among the scenarios; empty: the scenarios name none."""
    penetration: Range = MIXED_RANGES.penetration
    """Share of the other traffic that carries a radio."""
    cars_behind: tuple[int, int] = MIXED_RANGES.cars_behind
    """Number of the convoy's cars behind the ego; they are added while the scenario runs."""
    radio_cars: tuple[int, int] = MIXED_RANGES.radio_cars
    """Number of cars on other roads, which are only heard."""
    echo_share: Range = MIXED_RANGES.echo_share
    """Share of the ego's own messages that come back to it."""
    relay_share: Range = MIXED_RANGES.relay_share
    """Share of steps in which a peer's message comes again."""
    decoy_probability: Range = MIXED_RANGES.decoy_probability
    """Share of episodes in which a car that is nothing to the ego brakes hard."""
    level_spread: float = 0.25
    """Largest distance of a flow or type from the scenario's level, as a share of the range, 0 to 0.5."""

    def __new__(cls, *values: Any, **named: Any) -> "VariationRanges":
        """Notes which ranges were given and which have their defaults."""
        ranges = super().__new__(cls)
        names = [field.name for field in fields(cls)]
        object.__setattr__(ranges, "given", frozenset(named) | set(names[: len(values)]))
        return ranges

    def __post_init__(self) -> None:
        """Checks that scenarios can have these ranges.

        Raises:
            InputError: if a range is wrong; it names the range, what was expected and what was given.
        """
        for name, limits in LIMITS.items():
            value = _as_tuple(getattr(self, name))
            _check_range(name, value, limits)
            object.__setattr__(self, name, value)
        for name in ("v2v", "sensors", *AROUND):
            object.__setattr__(self, name, _as_tuple(getattr(self, name)))
        _check_presets("v2v", self.v2v, PRESETS)
        _check_presets("sensors", self.sensors, SENSORS)
        self.surroundings()
        if not all(isinstance(size, int) for size in self.convoy_size):
            raise InputError(f"convoy_size: expected two whole numbers, got {self.convoy_size}.")
        for name, highest in {"level_spread": 0.5, "wet_share": 1.0, "speed_cut": 2.0}.items():
            if not _is_number(getattr(self, name)) or not 0.0 <= getattr(self, name) <= highest:
                raise InputError(f"{name}: expected 0 to {highest:g}, got {getattr(self, name)}.")
        if not self.speed_cut < self.speed_mean[0]:
            raise InputError(
                f"speed_cut: expected 0 or more and less than the lowest speed_mean, "
                f"{self.speed_mean[0]}, so that every speedFactor is positive; got {self.speed_cut}."
            )

    def surroundings(self) -> SurroundingsRanges:
        """Returns the ranges of the surroundings.

        Raises:
            InputError: if one is wrong.
        """
        for name in AROUND:
            value = getattr(self, name)
            if not isinstance(value, tuple) or len(value) != 2 or not all(map(_is_number, value)):
                raise InputError(f"{name}: expected (lowest, highest), got {value}.")
        return SurroundingsRanges(**{name: getattr(self, name) for name in AROUND})

    def widened(self, factor: float) -> "VariationRanges":
        """Returns ranges wider by a factor around their middles, within `LIMITS`."""
        wide: dict[str, Any] = {}
        for name, (lowest, highest) in LIMITS.items():
            low, high = getattr(self, name)
            middle, half = (low + high) / 2, (high - low) / 2 * factor
            ends = max(lowest, middle - half), min(highest, middle + half)
            wide[name] = tuple(map(round, ends)) if name == "convoy_size" else tuple(round(end, 6) for end in ends)
        low, high = wide["speed_mean"]
        wide["speed_mean"] = (max(low, min(self.speed_mean[0], self.speed_cut + 0.05)), high)
        return replace(self, **wide)


def read_ranges(path: Path, given: VariationRanges) -> tuple[VariationRanges, dict[str, VariationRanges]]:
    """Returns the ranges of a TOML file, and the ranges of single bases (its tables) by base name.

    A base's ranges come from its table, and from the file where the table has none. A range that the caller gave in
    `given` overrides both, even if it has its default value.

    Raises:
        InputError: if the file is missing or not TOML, or a key or value in it is not one of a range.
    """
    names = sorted(field.name for field in fields(VariationRanges))
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"ranges_file: expected a TOML file of ranges, got {path}: {error}.") from error
    tables = {key: found.pop(key) for key in sorted(found.keys() - set(names)) if isinstance(found[key], dict)}
    own = {name: getattr(given, name) for name in given.given}
    ranges = _make_ranges(str(path), found, own)
    return ranges, {base: _make_ranges(f"{path}: [{base}]", found | table, own) for base, table in tables.items()}


def _make_ranges(where: str, found: Mapping[str, Any], own: Mapping[str, Any]) -> VariationRanges:
    names = sorted(field.name for field in fields(VariationRanges))
    unknown = sorted(found.keys() - set(names))
    if unknown:
        raise InputError(f"{where}: expected keys of {', '.join(names)}; got {', '.join(unknown)}. Correct the key.")
    try:
        return VariationRanges(**{**found, **own})
    except InputError as error:
        raise InputError(f"{where}: {error} Known keys: {', '.join(names)}.") from error


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value  # JSON, TOML and notebooks give lists


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_range(name: str, value: Any, limits: Range) -> None:
    numbers = isinstance(value, tuple) and len(value) == 2 and all(map(_is_number, value))
    if not numbers or not limits[0] <= value[0] <= value[1] <= limits[1]:
        raise InputError(f"{name}: expected (lowest, highest) within {limits[0]:g} to {limits[1]:g}, got {value}.")


def _check_presets(what: str, names: Any, known: Mapping[str, Any]) -> None:
    unknown = not isinstance(names, tuple) or [name for name in names if name not in known]
    if unknown or len(set(names)) < len(names):
        raise InputError(f"{what}: expected different names of {sorted(known)}, got {names}.")
