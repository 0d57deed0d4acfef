"""Replays an episode of an evaluation exactly: `roadsense replay EVALUATION NUMBER`."""

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from roadsense.envs.config import SCENARIO_V2V
from roadsense.envs.radio.presets import get_preset
from roadsense.episodes.plan import OTHER_MESSAGES, POLICY, Plan
from roadsense.episodes.record import record_trajectory
from roadsense.episodes.run import Worker
from roadsense.episodes.trajectory import Trajectory
from roadsense.errors import InputError, RunError
from roadsense.evaluation.conditions import find_condition
from roadsense.evaluation.plans import CURVE_RADIO, LATENCY, LOSS, degraded_radios
from roadsense.evaluation.results import Evaluation, open_evaluation
from roadsense.evaluation.schema import DRAW_COLUMNS, OUTCOME_COLUMNS
from roadsense.policies.source import SUFFIXES, find_policy
from roadsense.policies.trained import load_policy

NOT_OF_ONE_EPISODE = ("time_lost_s", "excess_braking_mps")
"""Columns that also depend on another policy's episode."""


@dataclass(frozen=True)
class ReplayConfig:
    """Settings of `roadsense replay`.

    Attributes:
        evaluation: folder of the evaluation.
        number: the episode's row in `episodes.parquet`, from 0.
        save: path of an `.npz` file for the episode's trajectory, for the player; empty: not saved.
        trust: whether code of the policy may run, if it cannot be opened without, or is `module:name`.
    """

    evaluation: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="EVALUATION")]
    number: Annotated[int, tyro.conf.Positional, tyro.conf.arg(metavar="NUMBER")]
    save: Path | None = None
    trust: bool = False


def replay_episode(evaluation: Evaluation, number: int, trust: bool = False) -> tuple[dict[str, Any], list[str]]:
    """Drives an episode again; returns its row and the columns that differ from the table, normally none.

    It opens its own simulation: call it in a process without one.

    Args:
        evaluation: evaluation that holds the episode.
        number: the episode's row in its table, from 0.
        trust: whether code of the policy may run.

    Raises:
        InputError: if there is no such row, or a file is missing.
        RunError: if the policy's file has changed since the evaluation.
    """
    row = _find_row(evaluation, number)
    worker = _make_worker(evaluation, row, trust)
    try:
        again = worker.run(plan_row(evaluation, row))
    finally:
        worker.close()
    columns = [column.name for column in (*DRAW_COLUMNS, *OUTCOME_COLUMNS) if column.name not in NOT_OF_ONE_EPISODE]
    return again, [name for name in columns if name in again and not _same(again[name], row[name])]


def record_replay(evaluation: Evaluation, number: int, trust: bool = False) -> Trajectory:
    """Drives an episode again and returns its trajectory; raises as `replay_episode` does."""
    row = _find_row(evaluation, number)
    worker, plan = _make_worker(evaluation, row, trust), plan_row(evaluation, row)
    if plan.policy == OTHER_MESSAGES:
        raise InputError(f"Expected an episode with its own messages to record, got one of {OTHER_MESSAGES!r}.")
    return record_trajectory(plan, worker.policy(plan), worker.env_config(plan))


def plan_row(evaluation: Evaluation, row: dict[str, Any]) -> Plan:
    """Returns the plan of an episode."""
    config, radio = evaluation.config, None
    if row["part"] in (LOSS, LATENCY):
        base = get_preset(CURVE_RADIO if config.v2v == SCENARIO_V2V else config.v2v)
        radios = {(part, value): one for part, value, one in degraded_radios(base)}
        radio = radios[row["part"], row["curve_value"]]
    plan = Plan(
        row["policy"], Path(row["config_path"]), int(row["seed"]), bool(row["hazard_forced"]), radio,
        bool(row["sumo_checks"]),
    )  # fmt: skip
    return find_condition(row["condition"]).apply(plan, config.v2v) if row["condition"] else plan


def _find_row(evaluation: Evaluation, number: int) -> dict[str, Any]:
    if not 0 <= number < len(evaluation.episodes):
        raise InputError(f"Expected the number of an episode from 0 to {len(evaluation.episodes) - 1}, got {number}.")
    row = {str(name): value for name, value in evaluation.episodes.iloc[number].items()}
    if not Path(row["config_path"]).is_file():
        raise InputError(f"Expected the scenario {row['config_path']}, but it is not there. Run this where it is.")
    return row


def _make_worker(evaluation: Evaluation, row: dict[str, Any], trust: bool) -> Worker:
    """Returns a worker with the row's policy; only the file of that policy has to exist."""
    given, name = evaluation.origin["policy_files"], str(row["policy"])
    name = POLICY if name.startswith(POLICY) else name
    if name not in given:
        return Worker(evaluation.config.env_config())
    if Path(given[name]).suffix in SUFFIXES and not Path(given[name]).is_file():
        raise InputError(f"Expected the policy {given[name]}, but it is not there. Run this where it is.")
    source = find_policy(given[name])
    if source.kind == "code" and not trust:
        raise InputError(f"The policy {source.text} is code, named by a file. If you trust it, replay with --trust.")
    if source.digest() != evaluation.origin["policy_sha256"][name]:
        raise RunError(f"{source.text}: expected the policy that drove the episode, but it has changed since.")
    policy = load_policy(source, trust)
    return Worker(evaluation.config.env_config(), policy, {} if name == POLICY else {name: policy})


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, float) and math.isnan(value):
        return bool(np.isnan(other))
    return bool(value == other)


def replay_and_print(config: ReplayConfig) -> int:
    """Drives an episode of an evaluation again, and prints its figures and whether they are the same.

    Returns:
        0 if the figures are the same, else 1.
    """
    evaluation = open_evaluation(config.evaluation)
    row, differs = replay_episode(evaluation, config.number, config.trust)
    shown = ("policy", "scenario", "seed", "collision", "impact_speed_mps", "min_ttc_s", "min_gap_m", "duration_s")
    sys.stdout.write("".join(f"{name:18}{row[name]}\n" for name in shown if name in row))
    if config.save is not None:
        sys.stdout.write(f"{record_replay(evaluation, config.number, config.trust).save(config.save)}\n")
    sys.stdout.write(f"differs in {', '.join(differs)}\n" if differs else "the same as before in every figure\n")
    return 1 if differs else 0
