"""The exported files drive the same episodes as the trained policy, and are compared with it in pairs.

The collision rate's difference has Tango's score interval, which has a width even without collisions; other figures
are means over pairs, with a bootstrap over scenarios.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from roadsense.envs.config import EnvConfig
from roadsense.episodes.journal import name_journal
from roadsense.episodes.plan import Plan
from roadsense.episodes.run import Worker, run_plans
from roadsense.errors import SimulationError
from roadsense.evaluation.summary import TTC_CAP_S, answer_times_s
from roadsense.exporting.parity import TRAINED
from roadsense.policies.trained import load_policy
from roadsense.utils.files import hash_file
from roadsense.utils.statistics import (
    Interval,
    bootstrap_over_groups,
    compare_pairs,
    paired_rate_difference,
    plain_mean,
)

PAIR = ["config_path", "seed"]
SIGNIFICANCE = 0.05
SMALL_RATE = 0.02
"""If the upper end of the collision rate's difference is at most this, the rate counts as not higher."""
WORSE, AS_GOOD, NOT_SHOWN = "worse", "as good", "not shown"
FIGURES: Mapping[str, tuple[str, float]] = {
    "false_braking_s": ("false braking per episode [s]", 0.05),
    "assist_reaction_s": ("assist's reaction to a hazard [s]", 0.05),
    "danger_s": ("lack of time to collision [s]", 0.05),
}
"""Figures beside collisions, for which lower is better, and the difference of the mean that is negligible."""


@dataclass(frozen=True)
class Comparison:
    """An exported policy compared with the trained one on the same episodes; differences are exported minus trained.

    Attributes:
        variant: variant of the exported policy, `float32` or `int8`.
        episodes: number of pairs without a failure of SUMO.
        failed: number of pairs with a failure of SUMO.
        collisions: number of collisions of the exported policy.
        trained_collisions: number of collisions of the trained policy.
        only_exported: number of episodes in which only the exported policy collided.
        only_trained: number of episodes in which only the trained policy collided.
        collision_rate: difference of the collision rates, with its 95 % interval.
        p_value: p value of McNemar's exact test, two-sided, 0 to 1.
        figures: difference of the mean of each of `FIGURES`, with its 95 % interval.
        brakes: share of the episodes in which the trained one braked at all; if 0, equality means nothing.
        verdict: verdict, `WORSE`, `AS_GOOD` or `NOT_SHOWN`.
    """

    variant: str
    episodes: int
    failed: int
    collisions: int
    trained_collisions: int
    only_exported: int
    only_trained: int
    collision_rate: Interval
    p_value: float
    figures: Mapping[str, Interval]
    brakes: float
    verdict: str = NOT_SHOWN

    def in_words(self) -> str:
        """Returns the finding in a sentence or two, the warning first if there is one."""
        low, high = self.collision_rate.low, self.collision_rate.high
        counts = (
            f"{self.collisions} collisions in {self.episodes} episodes, the trained policy {self.trained_collisions}; "
            f"the rate differs by {self.collision_rate.value:+.1%} (95 % interval {low:+.1%} to {high:+.1%})."
        )
        vacuous = "" if self.brakes else " The trained policy never braked in them, so this says little."
        warning = "WARNING: " if self.is_warning() else ""
        if self.verdict == WORSE:
            why = ", ".join(FIGURES[name][0] for name in self.worse_figures()) or "collisions"
            return f"{warning}{self.variant} drives worse than the trained policy ({why}). {counts}{vacuous}"
        if warning:
            return f"{warning}{self.variant} collides more often, which may be chance. {counts}{vacuous}"
        if self.verdict == AS_GOOD:
            return f"{self.variant} drives as well as the trained policy: {counts}{vacuous}"
        return f"{self.variant} was not shown to drive as well, because there were too few episodes: {counts}{vacuous}"

    def is_warning(self) -> bool:
        """Returns whether the exported policy drives worse or collides more often."""
        return self.verdict == WORSE or self.only_exported > self.only_trained

    def worse_figures(self) -> list[str]:
        """Returns the figures whose whole interval is above the negligible difference."""
        return [name for name, found in self.figures.items() if found.low > FIGURES[name][1]]


def drive_all(
    plans: Sequence[Plan],
    paths: Mapping[str, Path],
    env_config: EnvConfig,
    n_workers: int,
    run_dir: Path,
    trust: bool = False,
) -> pd.DataFrame:
    """Drives the same episodes with each policy; returns a row for each, with the name in `policy`.

    Args:
        plans: plans of the episodes, for the policy `POLICY`.
        paths: path of each policy's file, by name.
        env_config: settings of the environment.
        n_workers: number of processes, from 1.
        run_dir: folder for the journals, from which an interrupted drive resumes.
        trust: whether code in the policies' files may run.

    Raises:
        SimulationError: if SUMO fails in every episode.
        MachineError: if an episode crashes several processes.
        InputError: if a policy or scenario cannot be opened.
    """
    tables, journals = [], []
    for name, path in paths.items():
        # Loaded here, once: worker processes need no torch.
        journal_path = name_journal(run_dir, (plans, env_config, hash_file(path)))
        rows = run_plans(plans, Worker(env_config, load_policy(path, trust)), n_workers, journal_path)
        journals.append(journal_path)
        tables.append(pd.DataFrame(rows).assign(policy=name))
    for journal_path in journals:
        journal_path.unlink()
    table = pd.concat(tables, ignore_index=True)
    if (table["error"] != "").all():
        raise SimulationError(f"SUMO failed in each of {len(table)} episodes, at first with: {table['error'].iloc[0]}")
    return table


def compare_driving(episodes: pd.DataFrame, variant: str, rng: np.random.Generator) -> Comparison:
    """Compares an exported policy's driving with the trained one's.

    Args:
        episodes: table of episodes that `drive_all` returned.
        variant: variant of the exported policy, `float32` or `int8`.
        rng: generator of the bootstrap.
    """
    pairs = _pair(episodes, variant)
    is_good = (pairs["error_exported"] == "") & (pairs["error_trained"] == "")
    good = pairs[is_good]
    exported, trained = (good[f"collision_{name}"].astype(bool) for name in ("exported", "trained"))
    only_exported, only_trained = int((exported & ~trained).sum()), int((trained & ~exported).sum())
    found = Comparison(
        variant=variant,
        episodes=len(good),
        failed=int((~is_good).sum()),
        collisions=int(exported.sum()),
        trained_collisions=int(trained.sum()),
        only_exported=only_exported,
        only_trained=only_trained,
        collision_rate=paired_rate_difference(only_exported, only_trained, len(good)),
        p_value=compare_pairs(exported, trained).p_value,
        figures={name: _mean_difference(good, name, rng) for name in FIGURES},
        brakes=float(good["braked_trained"].mean()) if len(good) else 0.0,
    )
    return replace(found, verdict=_judge(found))


def _judge(found: Comparison) -> str:
    is_significant = found.only_exported > found.only_trained and found.p_value < SIGNIFICANCE
    if is_significant or found.worse_figures():
        return WORSE
    return AS_GOOD if found.collision_rate.high <= SMALL_RATE else NOT_SHOWN


def _pair(episodes: pd.DataFrame, variant: str) -> pd.DataFrame:
    reaction_s = episodes["assist_reaction_time_s"]
    prepared = episodes.assign(
        # No reaction to a hazard counts as a reaction at the limit; else a policy that never reacts would win.
        assist_reaction_s=answer_times_s(reaction_s).where(episodes["hazard"].eq(True)),
        danger_s=TTC_CAP_S - episodes["min_ttc_s"].clip(upper=TTC_CAP_S),
        braked=reaction_s.notna() | (episodes["false_braking_s"] > 0),
    )
    columns = [*PAIR, "scenario", "error", "collision", "braked", *FIGURES]
    sides = (prepared.loc[prepared["policy"] == name, columns] for name in (variant, TRAINED))
    exported, trained = sides
    return exported.merge(trained, on=[*PAIR, "scenario"], suffixes=("_exported", "_trained"), validate="one_to_one")


def _mean_difference(pairs: pd.DataFrame, figure: str, rng: np.random.Generator) -> Interval:
    difference = (pairs[f"{figure}_exported"] - pairs[f"{figure}_trained"]).astype(float)
    known = difference.notna()
    return bootstrap_over_groups(difference[known], pairs.loc[known, "scenario"], rng, plain_mean)
