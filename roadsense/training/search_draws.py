"""How a trial of Optuna draws its settings from a search space."""

from typing import Any

import optuna

from roadsense.training.search_space import Choice, Range, SearchSpace
from roadsense.training.train_config import TrainConfig


def suggest(trial: optuna.Trial, space: SearchSpace) -> dict[str, Any]:
    """Returns a trial's settings by name."""
    settings: dict[str, Any] = {}
    for name, searched in space.ranges().items():
        if isinstance(searched, Choice):
            settings[name] = trial.suggest_categorical(name, list(searched.values))
        else:
            settings[name] = _suggest_number(trial, name, searched)
    return settings


def settle_defaults(space: SearchSpace) -> dict[str, Any]:
    """Returns the defaults of `TrainConfig`, or what comes next to them in the space: what the first trial has."""
    defaults = {name: getattr(TrainConfig, name) for name in space.ranges()}
    for name, searched in space.ranges().items():
        if isinstance(searched, Range):
            defaults[name] = min(max(defaults[name], searched.low), searched.high)
        elif defaults[name] not in searched.values:
            defaults[name] = searched.values[0]
    return defaults


def _suggest_number(trial: optuna.Trial, name: str, searched: Range) -> float:
    if searched.whole:
        return trial.suggest_int(name, round(searched.low), round(searched.high), log=searched.log)
    return trial.suggest_float(name, searched.low, searched.high, log=searched.log)
