"""The results of an evaluation: its table of episodes, everything computed from it, and its folder."""

import json
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from roadsense.envs.config import SCENARIO_V2V
from roadsense.episodes.plan import POLICY
from roadsense.errors import RunError
from roadsense.evaluation import generalisation
from roadsense.evaluation.comparison import compare_all
from roadsense.evaluation.conditions import by_condition, find_condition, tabulate_conditions
from roadsense.evaluation.config import EvalConfig
from roadsense.evaluation.evidence import Evidence
from roadsense.evaluation.plans import CHECKS_ON, HELD_OUT, UNSEEN
from roadsense.evaluation.policies import NULL_POLICIES
from roadsense.evaluation.schema import read_episodes
from roadsense.evaluation.summary import complete, summarise
from roadsense.evaluation.verdicts import Verdict, find_verdicts
from roadsense.utils.files import read_json, reading
from roadsense.utils.workspace import resolve

EPISODES_NAME, CONFIG_NAME, ORIGIN_NAME = "episodes.parquet", "config.json", "origin.json"
JOURNAL = "journal_sha256"
"""Key in the origin: the SHA-256 of the journal that the episodes were read from."""
_ORIGIN_KINDS: dict[str, type] = {"policy_files": dict, "policy_sha256": dict}


@dataclass(frozen=True)
class Evaluation:
    """An evaluation.

    Attributes:
        folder: path of its folder.
        config: its settings.
        origin: policies, dataset, versions and command that it comes from.
        episodes: a row for each episode of each policy, see `roadsense.evaluation.schema`.
        summary: a row for each policy on the held-out episodes.
        unseen: summary of the episodes on roads that no training has seen; empty if they were not driven.
        conditions: summary in each other condition, `HOME` first, see `roadsense.evaluation.conditions`; empty if none
            was driven.
        checks_on: summary of the episodes with SUMO's checks on; empty if it was not driven.
        comparisons: paired comparisons of the judged policy with each other one, see `compare_policies`.
        factors: figures by what was varied, see `generalisation.by_factor`.
        splits: figures on held-out scenarios and on the dataset's other splits.
        curves: figures over loss and latency of the radio.
        verdicts: sentences that the numbers support.
    """

    folder: Path
    config: EvalConfig
    origin: dict[str, Any]
    episodes: pd.DataFrame
    summary: pd.DataFrame
    unseen: pd.DataFrame
    conditions: pd.DataFrame
    checks_on: pd.DataFrame
    comparisons: pd.DataFrame
    factors: pd.DataFrame
    splits: pd.DataFrame
    curves: pd.DataFrame
    verdicts: tuple[Verdict, ...]

    @property
    def held_out(self) -> pd.DataFrame:
        """The judged episodes."""
        return part_of(self.episodes, HELD_OUT)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Returns the computed tables, by name."""
        names = ("summary", "unseen", "conditions", "checks_on", "comparisons", "factors", "splits", "curves")
        return {name: getattr(self, name) for name in names}


def part_of(episodes: pd.DataFrame, part: str) -> pd.DataFrame:
    """Returns the episodes of a part."""
    return episodes[episodes["part"] == part]


def conclude(folder: Path, config: EvalConfig, origin: dict[str, Any], episodes: pd.DataFrame) -> Evaluation:
    """Computes everything from the table of episodes; the same table and settings give the same results.

    Args:
        folder: folder of the evaluation.
        config: its settings.
        origin: its origin, see `Evaluation`.
        episodes: table of episodes.
    """
    rng = partial(np.random.default_rng, config.seed)
    held_out, checks_on = part_of(episodes, HELD_OUT), part_of(episodes, CHECKS_ON)
    summary = summarise(held_out, rng())
    with_checks = summarise(checks_on, rng()) if len(checks_on) else pd.DataFrame()
    unseen = part_of(episodes, UNSEEN)
    on_unseen = summarise(unseen, rng()) if len(unseen) else pd.DataFrame()
    driven = [name for name in summary.loc[summary["episodes"] > 0, "policy"] if name != POLICY]
    comparisons = compare_all(held_out, POLICY, driven, rng())
    splits = generalisation.by_split(episodes)
    conditions = by_condition(episodes, config.seed)
    evidence = Evidence(
        summary.set_index("policy"),
        comparisons,
        config.claimed_rate,
        with_checks.set_index("policy") if len(with_checks) else with_checks,
        generalisation.generalisation_gap(splits, POLICY),
        _failures_by_base(held_out),
        on_unseen.set_index("policy") if len(on_unseen) else on_unseen,
        compare_all(unseen, POLICY, unseen["policy"].unique(), rng()),
        {find_condition(name).label: found for name, found in conditions.items()},
    )
    shown = [POLICY, *(name for name in driven if name not in NULL_POLICIES), "unassisted"]
    factors = generalisation.by_factor(held_out, shown)
    if config.v2v != SCENARIO_V2V:  # all drive one radio, whatever their scenarios ask for
        factors = factors[factors["factor"] != "factor_radio"]
    return Evaluation(
        folder, config, origin, episodes, summary, on_unseen, tabulate_conditions(summary, conditions), with_checks,
        comparisons, factors, splits, generalisation.degradation(episodes), tuple(find_verdicts(evidence)),
    )  # fmt: skip


def _failures_by_base(held_out: pd.DataFrame) -> dict[str, tuple[int, int]]:
    own = complete(held_out[held_out["policy"] == POLICY])
    return {str(base): (int(rows["collision"].sum()), len(rows)) for base, rows in own.groupby("base")}


def open_evaluation(folder: str | Path) -> Evaluation:
    """Reads an evaluation and computes its results from its table.

    Raises:
        RunError: if the folder holds no evaluation, or one of another version.
    """
    folder = resolve(folder)
    episodes = read_episodes(folder / EPISODES_NAME)
    settings = read_json(folder / CONFIG_NAME, "the settings of an evaluation", RunError, seed=int)
    origin = read_json(folder / ORIGIN_NAME, "the origin of an evaluation", RunError, **_ORIGIN_KINDS)
    unknown = set(settings) - {field.name for field in fields(EvalConfig)}
    if unknown:
        raise RunError(f"{folder}: expected settings of this version, got {sorted(unknown)}. Evaluate again.")
    with reading(folder / CONFIG_NAME, "the settings of an evaluation", RunError):
        config = EvalConfig(**settings)
    return conclude(folder, config, origin, episodes)


def find_evaluations(run_dir: str | Path) -> list[Path]:
    """Returns the folders of a run's evaluations, the oldest first."""
    paths = [path.parent for path in Path(run_dir).glob(f"evaluation*/{EPISODES_NAME}")]
    return sorted(paths, key=lambda path: (path / EPISODES_NAME).stat().st_mtime)


def summary_json(evaluation: Evaluation) -> dict[str, Any]:
    """Returns all computed results as plain JSON; values that are not finite become null."""
    return {
        "verdicts": [asdict(verdict) for verdict in evaluation.verdicts],
        "config": asdict(evaluation.config),
        "origin": evaluation.origin,
        **{name: json.loads(table.to_json(orient="records")) for name, table in evaluation.tables().items()},
    }
