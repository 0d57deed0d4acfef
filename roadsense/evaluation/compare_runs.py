"""Two runs side by side: `roadsense compare RUN RUN`, on the episodes that both were judged on."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import tyro

from roadsense.episodes.plan import POLICY
from roadsense.errors import RunError
from roadsense.evaluation.comparison import BETTER, NOTHING_SHOWN, compare_policies
from roadsense.evaluation.results import EPISODES_NAME, Evaluation, find_evaluations, open_evaluation


@dataclass(frozen=True)
class CompareConfig:
    """Settings of `roadsense compare`.

    Attributes:
        first: folder of a run or of an evaluation.
        second: folder of the run or evaluation to compare with.
        seed: seed of the bootstrap, 0 or more.
    """

    first: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    second: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    seed: int = 0


@dataclass(frozen=True)
class RunComparison:
    """Two runs' policies on the same episodes.

    Attributes:
        first: evaluation of the first run.
        second: evaluation of the second run.
        table: paired differences, see `compare_policies`; the second is called by its run's name.
        sentences: result in words.
    """

    first: Evaluation
    second: Evaluation
    table: pd.DataFrame
    sentences: tuple[str, ...]


def compare_runs(first: str | Path, second: str | Path, seed: int = 0) -> RunComparison:
    """Compares the policies of two runs by the newest evaluation of each.

    Args:
        first: folder of a run or of an evaluation.
        second: the same for the second policy.
        seed: seed of the bootstrap, 0 or more.

    Raises:
        RunError: if a run has not been evaluated.
        InputError: if the two have no episode in common.
    """
    one, two = _open_newest(first), _open_newest(second)
    table = compare_policies(one.held_out, POLICY, POLICY, np.random.default_rng(seed), two.held_out)
    return RunComparison(one, two, table, tuple(_say(one, two, table)))


def _say(one: Evaluation, two: Evaluation, table: pd.DataFrame) -> list[str]:
    names = [Path(evaluation.config.run_dir).name for evaluation in (one, two)]
    pairs, driven = int(table["pairs"].max()), [int((e.held_out["policy"] == POLICY).sum()) for e in (one, two)]
    sentences = [f"{names[0]} and {names[1]} have {pairs} held-out episodes in common, of {driven[0]} and {driven[1]}."]
    for row in table.to_dict("records"):
        ends = f"{row['difference']:+.3g}, {row['low']:+.3g} to {row['high']:+.3g}"
        if row["verdict"] == NOTHING_SHOWN:
            continue
        sentences.append(
            f"{names[0]} is {'better' if row['verdict'] == BETTER else 'worse'} in {row['label']}: {ends}."
        )
    if len(sentences) == 1:
        sentences.append("No difference between them is shown.")
    return sentences


def _open_newest(folder: str | Path) -> Evaluation:
    found = find_evaluations(folder)
    if not found and not (Path(folder) / EPISODES_NAME).is_file():
        raise RunError(
            f"Expected an evaluated run in {folder}, found no evaluation. Make one with `roadsense evaluate`."
        )
    return open_evaluation(found[-1] if found else folder)


def compare_and_print(config: CompareConfig) -> None:
    """Compares two evaluated runs on the episodes that both drove, and prints a table and the result in words."""
    found = compare_runs(config.first, config.second, config.seed)
    shown = found.table[
        ["label", "first_mean", "second_mean", "difference", "low", "high", "better", "worse", "verdict"]
    ]
    sys.stdout.write(f"{shown.to_string(index=False, float_format=lambda value: f'{value:.3g}')}\n\n")
    sys.stdout.write("".join(f"- {sentence}\n" for sentence in found.sentences))
