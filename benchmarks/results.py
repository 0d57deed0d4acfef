"""The tables of results in the README and the training log: `python -m benchmarks.results [--policy RUN]`.

The policy, the confirmed rule and the driver alone drive the same episodes on held-out scenarios, some calm and some
with a hazard, in each of several surroundings. The scenarios are made by

    roadsense gen-scenarios --output_dir scenarios/judged --seed 21 --n_train 5 --n_eval 150

Three tables are printed as Markdown: the README's, and the two of "With others' radios" in the training log. `--rows`
drives some of the surroundings only.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from roadsense.envs.config import EnvConfig
from roadsense.episodes.plan import Plan
from roadsense.episodes.run import Worker, run_plans
from roadsense.errors import InputError
from roadsense.policies.trained import load_policy
from roadsense.scenarios.scenario import find_scenarios
from roadsense.utils.command import run_with_options
from roadsense.utils.statistics import binomial_interval
from roadsense.utils.tables import markdown_table

UNSEEN = Path(__file__).parents[1] / "scenarios" / "unseen"
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "home": ("as each held-out scenario asks", {}),
    "all_equipped": ("everybody has a radio", {"surroundings": "all_equipped"}),
    "decoys": ("decoys: others brake behind, beside, oncoming", {"surroundings": "decoys"}),
    "bursty": ("`bursty`, messages lost in groups", {"v2v": "bursty"}),
    "blocked_antenna": ("`blocked_antenna`, 85 % of messages lost", {"v2v": "blocked_antenna"}),
    "worst": ("the worst sensors", {"sensors": "worst"}),
    "unseen": ("roads that no training saw", {}),
    "cars_behind": ("the convoy goes on behind the ego", {"surroundings": "cars_behind"}),
    "relayed": ("messages come again later", {"surroundings": "relayed"}),
}
"""Names of the rows: what the README calls each, and the settings that differ."""
JUDGED, RULE, ALONE = "judged", "confirmed_rule", "unassisted"
STRIDE, FIRST_SEED, HAZARD_SEED = 37, 1_000, 51_000
"""The scenarios take turns in strides, so that few episodes meet all roads."""
NEAR_S = 1.5


@dataclass(frozen=True)
class ResultsConfig:
    """Settings.

    Attributes:
        policy: run, file or name of the judged policy.
        dataset_dir: folder of the held-out scenarios.
        rows: names of the surroundings; `cars_behind` and `relayed` are not in the README.
        n_calm: episodes of 50 s without a hazard, for each policy and row.
        n_hazard: episodes with a hazard.
        workers: worker processes; 0 for one a core.
    """

    policy: str = "default"
    dataset_dir: Path = Path("scenarios/judged/eval")
    rows: tuple[str, ...] = tuple(ROWS)[:-2]
    n_calm: int = 80
    n_hazard: int = 150
    workers: int = 0

    def __post_init__(self) -> None:
        unknown = sorted({*self.rows} - {*ROWS})
        if unknown:
            raise InputError(f"Expected rows of {', '.join(ROWS)}, got {', '.join(unknown)}.")


def drive_all(config: ResultsConfig) -> pd.DataFrame:
    """Returns a row for each episode, with the name of its surroundings in the column `row`."""
    env_config = EnvConfig(
        v2v="scenario", surroundings="scenario", sensors="scenario", step_info=False, watch_behind=True
    )
    worker = Worker(env_config, None, {JUDGED: load_policy(config.policy)})
    tables = []
    for row in config.rows:
        paths = find_scenarios(UNSEEN if row == "unseen" else config.dataset_dir)
        plans = [
            Plan(policy, paths[place * STRIDE % len(paths)], first + place, hazard, settings=(*ROWS[row][1].items(),))
            for hazard, n, first in ((False, config.n_calm, FIRST_SEED), (True, config.n_hazard, HAZARD_SEED))
            for place in range(n)
            for policy in (JUDGED, RULE, ALONE)
        ]
        tables.append(pd.DataFrame(run_plans(plans, worker, config.workers or os.cpu_count() or 1)).assign(row=row))
    episodes = pd.concat(tables, ignore_index=True)
    return episodes.assign(unsafe=episodes["collision"].eq(True) | (episodes["min_ttc_s"] < NEAR_S))


def summarise(episodes: pd.DataFrame) -> dict[tuple[str, str], dict[str, str]]:
    """Returns the figures of each row and policy, as they are printed."""
    calm = episodes[~episodes["hazard_forced"].astype(bool)].groupby(["row", "policy"])
    forced = episodes[episodes["hazard_forced"].astype(bool)].groupby(["row", "policy"])
    return {key: _calm_figures(calm.get_group(key)) | _hazard_figures(drives) for key, drives in forced}


def _calm_figures(calm: pd.DataFrame) -> dict[str, str]:
    calm_s = max(calm["calm_s"].sum(), 1e-9)
    decoys = calm[calm["decoy_kind"] != "none"]
    return {
        "needless": f"{100 * calm['false_braking_s'].sum() / calm_s:.2f}",
        "onsets": f"{3600 * calm['false_brakings'].sum() / calm_s:.0f}",
        "speed": f"{60 * calm['calm_speed_loss_mps'].sum() / calm_s:.1f}",
        "decoys": f"{int(decoys['decoy_answered'].sum())} of {len(decoys)}",
    }


def _hazard_figures(hazard: pd.DataFrame) -> dict[str, str]:
    collisions = int(hazard["collision"].sum())
    rate = binomial_interval(collisions, len(hazard))
    return {
        "collisions": f"{collisions}",
        "interval": f"{100 * rate.low:.1f} to {100 * rate.high:.1f} %",
        "unsafe": f"{int(hazard['unsafe'].sum())}",
        "reaction": f"{hazard['assist_reaction_time_s'].median():.1f}",
        "jerk": f"{hazard['rms_jerk_mps3'].mean():.1f}",
    }


def write_tables(config: ResultsConfig, episodes: pd.DataFrame) -> str:
    """Returns the three tables in Markdown."""
    found = summarise(episodes)
    columns = {
        "README": (
            "radio, or what surrounds the convoy",
            [("collisions", f"collisions of {config.n_hazard}", (JUDGED, RULE, ALONE)),
             ("needless", "needless braking, % of calm time", (JUDGED, RULE))],
        ),
        "Training log, calm": (
            "calm episodes",
            [("needless", "needless braking, %", (JUDGED, RULE)), ("onsets", "onsets an hour", (JUDGED, RULE)),
             ("speed", "speed taken off, m/s a minute", (JUDGED, RULE)), ("decoys", "decoys answered", (JUDGED, RULE))],
        ),
        "Training log, hazards": (
            "with a hazard",
            [("collisions", f"collisions of {config.n_hazard}", (JUDGED, RULE)), ("interval", "95 %", (JUDGED,)),
             ("unsafe", "unsafe", (JUDGED, RULE, ALONE)), ("reaction", "assist's reaction, s", (JUDGED, RULE)),
             ("jerk", "jerk, rms, m/s3", (JUDGED, RULE))],
        ),
    }  # fmt: skip
    texts = []
    for title, (first, figures) in columns.items():
        cells = [(name, policy) for name, _, policies in figures for policy in policies]
        head = (first, *(f"{text}: {policy}" for _, text, policies in figures for policy in policies))
        rows = [(ROWS[row][0], *(found[row, policy][name] for name, policy in cells)) for row in config.rows]
        texts.append(f"{title}\n\n{markdown_table(head, rows)}\n")
    return "\n".join(texts)


def drive_and_print(config: ResultsConfig) -> None:
    """Drives all episodes, and prints the tables of results of the README and the training log."""
    sys.stdout.write(write_tables(config, drive_all(config)))


if __name__ == "__main__":
    sys.exit(run_with_options(drive_and_print, ResultsConfig, "python -m benchmarks.results"))
