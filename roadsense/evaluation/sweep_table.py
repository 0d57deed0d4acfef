"""Results of a sweep's jobs on held-out scenarios: a row for each job, for each variant over its seeds, and by road.

All policies drive the same episodes, so further seeds of a variant add no episodes: its interval is that of the mean
of its seeds' collisions over the episodes of one seed.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roadsense.evaluation.sweep_judging import name_policies
from roadsense.runs.experiment import find_best_folder
from roadsense.runs.metric_lines import read_metric_lines
from roadsense.utils.files import write_atomically
from roadsense.utils.statistics import CONFIDENCE, Interval, binomial_interval

if TYPE_CHECKING:
    import pandas as pd

NOT_JUDGED = "was not judged"
HEADER = "| variant | seed | collisions | of episodes | rate (95 %) | false braking | what came of it |"
REFERENCES = ("unassisted", "heard_braking_rule")
"""References for the variants if all were judged together: the driver alone, and a rule with the same radio."""
SEED_WORD = "_seed_"


@dataclass(frozen=True)
class SweepRow:
    """Results of one job, or of all jobs of a variant.

    Attributes:
        variant: name of the variant.
        seed: seed of the training; `all` for the whole variant.
        n_collisions: number of collisions on held-out scenarios, of all seeds together.
        n_episodes: number of episodes they drove; 0 without an evaluation.
        false_braking: share of calm time with false braking, 0 to 1; None without an evaluation.
        end: how the job ended.
        n_seeds: number of seeds counted in it.
    """

    variant: str
    seed: str
    n_collisions: int
    n_episodes: int
    false_braking: float | None
    end: str
    n_seeds: int = 1

    def as_line(self) -> str:
        """Returns it as a line of a Markdown table."""
        if not self.n_episodes or self.false_braking is None:
            return f"| {self.variant} | {self.seed} | | 0 | | | {self.end} |"
        counts = f"{self.n_collisions} | {self.n_episodes}"
        shown = show_rate(self.n_collisions, self.n_episodes, self.n_seeds)
        return f"| {self.variant} | {self.seed} | {counts} | {shown} | {self.false_braking:.4f} | {self.end} |"


def show_rate(n_collisions: int, n_episodes: int, n_seeds: int) -> str:
    """Returns a rate with its interval, as text; the module's docstring explains seeds."""
    rate = mean_rate_interval(n_collisions, n_episodes, n_seeds)
    return f"{rate.value:.3f} ({rate.low:.3f} to {rate.high:.3f})"


def mean_rate_interval(n_events: int, n_trials: int, n_repeats: int) -> Interval:
    """Returns the rate of repeated trials, with an interval that does not count the repeats as further trials.

    It is Clopper and Pearson's for the mean number of events among the trials of one repeat, which need not be whole.

    Args:
        n_events: number of events in all repeats together.
        n_trials: number of trials in all repeats together; each repeat has the same number.
        n_repeats: number of repeats of the same trials: policies that drove the same episodes.
    """
    from scipy.stats import beta

    if n_repeats == 1:
        return binomial_interval(n_events, n_trials)
    events, trials, tail = n_events / n_repeats, n_trials / n_repeats, (1 - CONFIDENCE) / 2
    low = beta.ppf(tail, events, trials - events + 1) if events > 0 else 0.0
    high = beta.ppf(1 - tail, events + 1, trials - events) if events < trials else 1.0
    return Interval(n_events / n_trials, float(low), float(high))


def make_table(
    folders: Mapping[str, Path], ends: Mapping[str, str], judged: "pd.DataFrame | None" = None
) -> list[SweepRow]:
    """Returns the rows of a sweep: for each variant its jobs, then all of them together.

    Args:
        folders: folders of the results, by `<variant>_seed_<seed>`.
        ends: how each job ended.
        judged: table of the held-out episodes that all trained runs drove, in the order of `folders`; None: use each
            training's last evaluation.
    """
    found = judged if judged is None else _summarise(judged)
    names = name_policies(list(find_trained(folders))) if judged is not None else {}
    by_variant: dict[str, list[SweepRow]] = defaultdict(list)
    for name, folder in folders.items():
        variant, _, seed = name.rpartition(SEED_WORD)
        end, last = (
            ends.get(name, NOT_JUDGED),
            _read_last_evaluation(folder) if found is None else found.get(names.get(name)),
        )
        by_variant[variant].append(_make_row(variant, seed, last, end))
    rows = [row for variant, own in by_variant.items() for row in (*own, _pool(variant, own))]
    return rows + [_make_row(name, "", found[name], "") for name in REFERENCES if found and name in found]


def find_trained(folders: Mapping[str, Path]) -> dict[str, Path]:
    """Returns the folders of the runs that were trained to a policy, by the names of their jobs."""
    runs = {name: find_best_folder(folder / "model") for name, folder in folders.items()}
    return {name: run for name, run in runs.items() if (run / "model.zip").is_file()}


def tabulate_roads(folders: Mapping[str, Path], judged: "pd.DataFrame") -> list[str]:
    """Returns a Markdown table of collision rates by base road: a line for each variant, over its seeds."""
    from roadsense.evaluation.summary import complete

    names, good = name_policies(list(find_trained(folders))), complete(judged)
    members: dict[str, list[str]] = defaultdict(list)
    for name, policy in names.items():
        members[name.rpartition(SEED_WORD)[0]].append(policy)
    members |= {name: [name] for name in REFERENCES if name in set(good["policy"])}
    roads = sorted(set(good["base"]))
    lines = [f"| variant | {' | '.join(road.replace('_', ' ') for road in roads)} |", "|---" * (len(roads) + 1) + "|"]
    for variant, policies in members.items():
        own = good[good["policy"].isin(policies)]
        cells = [own.loc[own["base"] == road, "collision"] for road in roads]
        texts = [
            f"{int(each.sum())} of {len(each)}: {show_rate(int(each.sum()), len(each), len(policies))}"
            for each in cells
        ]
        lines.append(f"| {variant} | {' | '.join(texts)} |")
    return lines


def write_table(rows: Sequence[SweepRow], path: Path, roads: Sequence[str] = ()) -> Path:
    """Writes the table as Markdown, with that of the roads below, and JSON beside it; returns the Markdown's path."""
    lines = [HEADER, "|---|---|---|---|---|---|---|", *(row.as_line() for row in rows)]
    if roads:
        lines += ["", "Collisions by base road, all seeds of a variant together:", "", *roads]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, "\n".join(lines) + "\n")
    write_atomically(path.with_suffix(".json"), json.dumps([vars(row) for row in rows], indent=2) + "\n")
    return path


def _make_row(variant: str, seed: str, last: Mapping[str, Any] | None, end: str) -> SweepRow:
    if last is None:
        return SweepRow(variant, seed, 0, 0, None, f"{end}, {NOT_JUDGED}" if end != NOT_JUDGED else end)
    counts = int(last["eval_collisions"]), int(last["eval_episodes"])
    return SweepRow(variant, seed, *counts, float(last["eval_false_braking_share"]), end)


def _summarise(judged: "pd.DataFrame") -> dict[Any, dict[str, Any]]:
    """Returns the figures of each policy's episodes, by the names that a training uses."""
    from roadsense.evaluation.summary import complete

    return {
        policy: {
            "eval_collisions": int(rows["collision"].sum()),
            "eval_episodes": len(rows),
            "eval_false_braking_share": rows["false_braking_s"].sum() / max(rows["calm_s"].sum(), 1e-9),
        }
        for policy, rows in complete(judged).groupby("policy")
    }


def _read_last_evaluation(folder: Path) -> dict[str, Any] | None:
    rows = read_metric_lines(folder / "model" / "metrics.jsonl")
    judged = [row for row in rows if row.get("eval_episodes")]
    return judged[-1] if judged else None


def _pool(variant: str, rows: Sequence[SweepRow]) -> SweepRow:
    judged = [row for row in rows if row.n_episodes and row.false_braking is not None]
    shares = [row.false_braking for row in judged if row.false_braking is not None]
    mean = sum(shares) / len(shares) if shares else None
    counts = sum(row.n_collisions for row in judged), sum(row.n_episodes for row in judged)
    return SweepRow(variant, "all", *counts, mean, f"{len(judged)} of {len(rows)} judged", max(len(judged), 1))
