"""Is a policy good on a road it never saw anything like? Each base road in turn is left out of its training."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from roadsense.augment.config import GenConfig
from roadsense.augment.generate import generate_dataset
from roadsense.evaluate import EvalConfig, evaluate_policy
from roadsense.evaluation.generalisation import count_by
from roadsense.evaluation.plans import HELD_OUT
from roadsense.train_convoy import TrainConfig, train_policy


def leave_one_base_out(
    folder: Path, generation: GenConfig, training: TrainConfig, evaluation: EvalConfig, bases: Sequence[str]
) -> pd.DataFrame:
    """Makes a dataset without each base, trains on it, and judges the policy on that base alone.

    Args:
        folder: where datasets and runs go: `<folder>/<base>/dataset` and `<folder>/<base>/run`.
        generation: settings of the datasets; what it says of output and held-out base is replaced.
        training: settings of the trainings; dataset and run are replaced.
        evaluation: settings of the evaluations; dataset and run are replaced.
        bases: names of the bases to leave out, each in turn.

    Returns:
        A row for each base and policy: collisions and unsafe episodes on the base that was left out, with intervals.
    """
    tables = []
    for base in bases:
        place = folder / base
        generate_dataset(replace(generation, output_dir=place / "dataset", hold_out_base=base))
        run = train_policy(replace(training, dataset_dir=str(place / "dataset" / "train"), run_dir=str(place / "run")))
        judged = evaluate_policy(
            replace(evaluation, run_dir=str(run.folder), dataset_dir=str(place / "dataset" / "eval"))
        ).episodes
        own = judged[(judged["part"] == HELD_OUT) & (judged["base"] == base)]
        tables.append(count_by(own, ["policy"]).assign(left_out=base))
    return pd.concat(tables, ignore_index=True)
