"""What the jobs of a sweep reached on held-out scenarios: a row each, and one for each variant over its seeds."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadsense.files import write_atomically
from roadsense.statistics import binomial_interval

NOT_JUDGED = "was not judged"
HEADER = "| variant | seed | collisions | of episodes | rate (exact 95 %) | false braking | what came of it |"


@dataclass(frozen=True)
class SweepRow:
    """One job, or all of a variant.

    Attributes:
        variant: its name.
        seed: of the training; `all` for the whole variant.
        n_collisions: on held-out scenarios, at the last evaluation.
        n_episodes: of that evaluation; 0 if there was none.
        false_braking: share of calm time; None without an evaluation.
        end: what came of the job.
    """

    variant: str
    seed: str
    n_collisions: int
    n_episodes: int
    false_braking: float | None
    end: str

    def as_line(self) -> str:
        """Returns it as a line of a Markdown table."""
        if not self.n_episodes or self.false_braking is None:
            return f"| {self.variant} | {self.seed} | | 0 | | | {self.end} |"
        rate = binomial_interval(self.n_collisions, self.n_episodes)
        shown = f"{self.n_collisions / self.n_episodes:.3f} ({rate.low:.3f} to {rate.high:.3f})"
        counts = f"{self.n_collisions} | {self.n_episodes}"
        return f"| {self.variant} | {self.seed} | {counts} | {shown} | {self.false_braking:.4f} | {self.end} |"


def make_table(folders: Mapping[str, Path], ends: Mapping[str, str]) -> list[SweepRow]:
    """Returns the rows of a sweep: of each variant its jobs, then all of them together.

    Args:
        folders: of the results, by `<variant>_seed_<seed>`.
        ends: what came of each job.
    """
    by_variant: dict[str, list[SweepRow]] = defaultdict(list)
    for name, folder in folders.items():
        variant, _, seed = name.rpartition("_seed_")
        by_variant[variant].append(_read_row(variant, seed, folder, ends.get(name, NOT_JUDGED)))
    return [row for variant, rows in by_variant.items() for row in (*rows, _pool(variant, rows))]


def write_table(rows: Sequence[SweepRow], path: Path) -> Path:
    """Writes the table as Markdown and, beside it, as JSON; returns the former's path."""
    lines = [HEADER, "|---|---|---|---|---|---|---|", *(row.as_line() for row in rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, "\n".join(lines) + "\n")
    write_atomically(path.with_suffix(".json"), json.dumps([vars(row) for row in rows], indent=2) + "\n")
    return path


def _read_row(variant: str, seed: str, folder: Path, end: str) -> SweepRow:
    last = _read_last_evaluation(folder / "model" / "metrics.jsonl")
    if last is None:
        return SweepRow(variant, seed, 0, 0, None, f"{end}, {NOT_JUDGED}" if end != NOT_JUDGED else end)
    counts = int(last["eval_collisions"]), int(last["eval_episodes"])
    return SweepRow(variant, seed, *counts, float(last["eval_false_braking_share"]), end)


def _read_last_evaluation(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    judged = [row for row in rows if row.get("eval_episodes")]
    return judged[-1] if judged else None


def _pool(variant: str, rows: Sequence[SweepRow]) -> SweepRow:
    judged = [row for row in rows if row.n_episodes and row.false_braking is not None]
    shares = [row.false_braking for row in judged if row.false_braking is not None]
    mean = sum(shares) / len(shares) if shares else None
    counts = sum(row.n_collisions for row in judged), sum(row.n_episodes for row in judged)
    return SweepRow(variant, "all", *counts, mean, f"{len(judged)} of {len(rows)} judged")
