"""Judges a policy on held-out scenarios, beside baselines and null policies: run folder in, tables and figures out."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from roadsense.cloud.storage import find_dataset
from roadsense.envs.radio.presets import get_preset
from roadsense.episodes.journal import name_journal
from roadsense.episodes.plan import BOUND, POLICY
from roadsense.episodes.run import run_plans
from roadsense.evaluation.candidates import Candidates, find_candidates
from roadsense.evaluation.conditions import plan_conditions
from roadsense.evaluation.config import EvalConfig
from roadsense.evaluation.gallery import record_gallery
from roadsense.evaluation.plans import (
    CURVE_RADIO,
    UNSEEN,
    UNSEEN_DIR,
    PlannedEpisode,
    plan_curves,
    plan_held_out,
    plan_splits,
    plan_spread,
    with_checks,
)
from roadsense.evaluation.policies import RULES
from roadsense.evaluation.results import JOURNAL, Evaluation, conclude, open_evaluation
from roadsense.evaluation.schema import make_table
from roadsense.evaluation.styled import tabulate_policies
from roadsense.evaluation.writing import REPORT_NAME, find_made, write_evaluation
from roadsense.policies.source import MODEL_NAME
from roadsense.runs.run import describe_origin
from roadsense.scenarios.dataset import check_scenarios
from roadsense.scenarios.scenario import find_scenarios
from roadsense.utils.command import run_with_options
from roadsense.utils.files import check_writable, hash_file
from roadsense.utils.progress import working
from roadsense.utils.tables import print_table
from roadsense.utils.workspace import find_file

__all__ = ["EvalConfig", "Evaluation", "evaluate_and_print", "evaluate_policy", "open_evaluation", "plan_episodes"]


def evaluate_policy(config: EvalConfig, policy: Any = None) -> Evaluation:
    """Drives every scenario with every policy on the same seeds and writes what came of it.

    Rows are noted as episodes end: the same call continues an evaluation that was broken off.
    It is written into the run's `evaluation` folder, all at once at the end. If that holds something already, it is
    kept, and the next free one of `evaluation_2`, `evaluation_3`, ... is made. A policy without a run has a folder of
    its own below `runs/policies`.

    Args:
        config: settings.
        policy: policy to judge instead of what the settings name, such as a model of Stable-Baselines3 or an object
            with `predict(observation)`; see `load_policy`.

    Raises:
        RunError: if the run or its policy cannot be opened.
        ScenarioError: if the dataset folder holds no scenario, or one that cannot be opened.
        InputError: if the `.tflite` cannot be used.
        DatasetError: if a scenario is not what its dataset's manifest says.
        MachineError: if the run folder cannot be written to, or an episode ends several worker processes.

    Examples:
        >>> import roadsense as rs
        >>> short = {"episodes_per_scenario": 1, "n_steps": 50, "checks_column": False, "workers": 1, "gallery_size": 0}
        >>> short |= {"split_episodes": 0, "curve_episodes": 0, "surroundings_episodes": 0}
        >>> evaluation = rs.evaluate_policy(rs.EvalConfig("runs/first", "scenarios/small/eval", **short))
        >>> evaluation.summary.query("policy == 'policy'")["episodes"].item()
        2
    """
    config = replace(config, dataset_dir=str(find_dataset(config.dataset_dir)))
    with working("opening policies and scenarios"):
        candidates = find_candidates(config, policy)
        config = replace(config, run_dir=str(candidates.folder), policy=_name_judged(config, candidates))
        planned = plan_episodes(find_scenarios(config.dataset_dir), config, candidates)
        plans = [one.plan for one in planned]
        digest = check_scenarios({plan.config_path for plan in plans})
        worker = candidates.make_worker(config)
    n_workers = config.workers or os.cpu_count() or 1
    facts = plans, config.env_config(), candidates.hashes(), digest, version("roadsense")
    journal_path = name_journal(candidates.folder, facts)
    check_writable(candidates.folder)
    made = find_made(candidates.folder, config, journal_path)
    if made is None:
        rows = run_plans(plans, worker, n_workers, journal_path)
        episodes = make_table(planned, rows, config.sumo_checks)
        with working("computing the results"):
            origin = _describe_origin(candidates, episodes, digest) | {JOURNAL: hash_file(journal_path)}
            found = conclude(candidates.folder, config, origin, episodes)
        gallery = record_gallery(found, worker, n_workers)
        with working("drawing the report"):
            made = write_evaluation(found, gallery)
    journal_path.unlink(missing_ok=True)  # another process may have taken in the same rows
    return made


def plan_episodes(
    scenario_paths: Sequence[Path], config: EvalConfig, candidates: Candidates | None = None
) -> list[PlannedEpisode]:
    """Returns all episodes of an evaluation, those with SUMO's checks on last: a worker starts anew for them.

    Args:
        scenario_paths: the held-out scenarios.
        config: settings.
        candidates: who drives; if None, they are looked for.

    Raises:
        ScenarioError: if a scenario cannot be opened.
    """
    candidates = candidates or find_candidates(config)
    beside = list(candidates.beside)
    own = (config.episodes_per_scenario, config.calm_share, config.seed)
    held_out = plan_held_out(scenario_paths, *own, candidates.names)
    splits = plan_splits(
        Path(config.dataset_dir), config.split_episodes, config.calm_share, config.seed, (POLICY, "unassisted", *beside)
    )
    unseen = plan_spread(
        UNSEEN,
        find_scenarios(find_file(UNSEEN_DIR)),
        config.split_episodes,
        config.calm_share,
        config.seed,
        (POLICY, "unassisted", *RULES, BOUND, *beside),
    )
    radio = get_preset(CURVE_RADIO if config.v2v == "scenario" else config.v2v)
    elsewhere = plan_conditions(
        held_out, config.surroundings_episodes, config.v2v, (POLICY, "unassisted", *RULES, *beside)
    )
    curves = plan_curves(held_out, config.curve_episodes, radio, (POLICY, *RULES, *beside))
    column = config.checks_column and not config.sumo_checks
    return [*held_out, *unseen, *splits, *curves, *elsewhere, *(with_checks(held_out) if column else [])]


def _name_judged(config: EvalConfig, candidates: Candidates) -> str | None:
    """Returns the judged policy for the record; None if it is the model of the run in whose folder it is written."""
    source = candidates.policy
    is_the_runs = config.policy is None and source.path == candidates.folder / MODEL_NAME
    return None if is_the_runs or source.kind == "object" else source.text


def _describe_origin(candidates: Candidates, episodes: pd.DataFrame, dataset_digest: str | None) -> dict[str, Any]:
    return {
        **describe_origin(),
        "policy_files": {name: source.text for name, source in candidates.sources.items()},
        "policy_sha256": candidates.hashes(),
        "policy_trainings": candidates.describe_trainings(),
        "dataset_digest": dataset_digest,
        "n_scenarios": int(episodes["config_path"].nunique()),
    }


def evaluate_and_print(config: EvalConfig) -> None:
    """Evaluates a policy on held-out scenarios, beside baselines, and prints what the episodes show."""
    evaluation = evaluate_policy(config)
    table = tabulate_policies(evaluation.summary)
    print_table([str(name) for name in table.columns], table.to_numpy().tolist())
    sentences = "".join(f"{verdict.mark:5} {verdict.text}\n" for verdict in evaluation.verdicts)
    sys.stdout.write(f"\n{sentences}\nReport: {evaluation.folder / REPORT_NAME}\n")


if __name__ == "__main__":
    sys.exit(run_with_options(evaluate_and_print, EvalConfig, "roadsense evaluate"))
