"""Searches for the rules' best settings on train scenarios: `roadsense tune-baselines`.

Each rule drives the same episodes with every setting of its grid. The setting with the best score wins, see
`roadsense.episodes.score`; the same score chooses the best checkpoint of a training.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from roadsense.envs.config import EnvConfig
from roadsense.episodes.plan import Plan, is_calm
from roadsense.episodes.run import Worker, run_plans
from roadsense.episodes.score import SCORED, score_episodes
from roadsense.policies.rules import HeardBrakingRule, HeardDracRule, HeardPredictionRule, Policy
from roadsense.scenarios.scenario import find_scenarios
from roadsense.utils.bounds import MAX_SEED, MAX_WORKERS, bounded, check_bounds
from roadsense.utils.files import write_atomically
from roadsense.utils.tables import markdown_table

SEED_DOMAIN = 0x54554E45
"""Keeps these seeds different from those of training and evaluation."""
GRIDS: dict[str, tuple[Policy, dict[str, tuple[float, ...]]]] = {
    "heard_braking_rule": (
        HeardBrakingRule(),
        {"threshold_mps2": (1.5, 2.0, 2.5, 3.0, 4.0), "gain": (1.0,)},
    ),
    "heard_drac_rule": (
        HeardDracRule(),
        {"threshold_mps2": (0.5, 1.0, 1.5, 2.0, 3.0), "car_length_m": (4.5,)},
    ),
    "heard_prediction_rule": (
        HeardPredictionRule(),
        {"threshold_mps2": (1.5, 2.0, 2.5, 3.0, 4.0), "margin_m": (2.0, 5.0)},
    ),
}
"""For each baseline: the rule with its fixed settings, and the values to try of the others."""


@dataclass(frozen=True)
class TuneConfig:
    """Settings of the search.

    Attributes:
        dataset_dir: folder of train scenarios.
        n_episodes: number of episodes of each setting, spread over the scenarios; every fifth has no hazard.
        v2v: name of the radio preset.
        surroundings: who else has a radio and what is relayed, as in `EvalConfig`.
        sensors: what the cars measure with, as in `EvalConfig`.
        seed: seed of the episodes, 0 or more.
        workers: number of worker processes; 0: one for each core.
        output: path of the Markdown table; empty: standard output.
    """

    dataset_dir: str = "scenarios/dataset_v1/train"
    n_episodes: int = bounded(80, 1, 1_000_000)
    v2v: str = "esp_now"
    surroundings: str = "scenario"
    sensors: str = "scenario"
    seed: int = bounded(0, 0, MAX_SEED)
    workers: int = bounded(0, 0, MAX_WORKERS)
    output: Path | None = None

    def __post_init__(self) -> None:
        check_bounds(self)


def tune_baselines(config: TuneConfig) -> pd.DataFrame:
    """Returns a row for each setting of each rule: its name, its settings, its figures and its score, the best first.

    Raises:
        ScenarioError: if there is no train scenario.
    """
    candidates = {name: rule for name, _, _, rule in list_settings()}
    paths = find_scenarios(config.dataset_dir)
    seeds = np.random.SeedSequence((SEED_DOMAIN, config.seed)).generate_state(config.n_episodes).tolist()
    places = np.arange(config.n_episodes) * max(1, len(paths) // config.n_episodes) % len(paths)
    plans = [
        Plan(name, paths[place], seed, not is_calm(index))
        for index, (place, seed) in enumerate(zip(places, seeds, strict=True))
        for name in candidates
    ]
    env = EnvConfig(v2v=config.v2v, surroundings=config.surroundings, sensors=config.sensors, step_info=False)
    worker = Worker(env, None, candidates)
    rows = pd.DataFrame(run_plans(plans, worker, config.workers or os.cpu_count() or 1))
    table = [
        {"rule": rule, "settings": words, **_figures(rows[(rows["policy"] == name) & (rows["error"] == "")])}
        for name, rule, words, _ in list_settings()
    ]
    return pd.DataFrame(table).sort_values(["rule", "score"], ascending=[True, False], ignore_index=True)


def list_settings() -> Iterator[tuple[str, str, str, Policy]]:
    """Yields every setting to try: its own name, the rule's name, the settings in words, and the rule."""
    for rule, (controller, grid) in GRIDS.items():
        for values in product(*grid.values()):
            settings = dict(zip(grid, values, strict=True))
            words = ", ".join(f"{name} {value:g}" for name, value in settings.items())
            yield f"{rule}: {words}", rule, words, replace(controller, **settings)  # type: ignore[type-var]


def _figures(rows: pd.DataFrame) -> dict[str, float]:
    score = score_episodes({name: rows[name] for name in SCORED})
    return {
        "episodes": score.n_episodes, "collisions": int(rows["collision"].sum()), "unsafe": score.n_unsafe,
        "unsafe_rate_low": score.unsafe.low, "unsafe_rate_high": score.unsafe.high,
        "needless_mps2": score.needless_mps2, "score": score.value,
    }  # fmt: skip


def write_table(table: pd.DataFrame, config: TuneConfig) -> str:
    """Returns the table as Markdown, with a note on how it was made."""
    head = (
        "rule",
        "settings",
        "episodes",
        "collisions",
        "unsafe",
        "unsafe, 95 %",
        "needless braking [m/s2]",
        "score",
    )
    lines = [
        (
            row["rule"], row["settings"], row["episodes"], row["collisions"], row["unsafe"],
            f"{row['unsafe_rate_low']:.1%} to {row['unsafe_rate_high']:.1%}",
            f"{row['needless_mps2']:.3f}", f"{row['score']:.3f}",
        )
        for row in table.to_dict("records")
    ]  # fmt: skip
    options = ("n_episodes", "v2v", "surroundings", "sensors", "seed")
    words = " ".join(["roadsense tune-baselines", *(f"--{name} {getattr(config, name)}" for name in options)])
    return f"Made by `{words}` on train scenarios.\n\n{markdown_table(head, lines)}\n"


def tune_and_print(config: TuneConfig) -> None:
    """Searches for the baselines' best settings on train scenarios, and prints the table or writes it."""
    text = write_table(tune_baselines(config), config)
    if config.output is None:
        sys.stdout.write(text)
    else:
        write_atomically(config.output, text)
