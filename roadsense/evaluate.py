"""Judges a policy on held-out scenarios, beside baselines and null policies: run folder in, tables and figures out."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tyro

from roadsense import plots
from roadsense.command import run_command
from roadsense.dataset import find_dataset
from roadsense.envs.episode import EnvConfig
from roadsense.episodes import POLICIES, Plan, Worker, run_plans
from roadsense.errors import InputError, RunError
from roadsense.policies.trained import TFLITE_SUFFIX
from roadsense.runs import Run, open_run
from roadsense.scenario import find_scenarios, open_scenario
from roadsense.scratch import scratch_folder
from roadsense.summary import find_claims, summarise, write_markdown

EPISODES_NAME, SUMMARY_NAME, CLAIMS_NAME, CONFIG_NAME = "episodes.csv", "summary.csv", "claims.csv", "config.json"
DPI = 150


@dataclass(frozen=True)
class EvalConfig:
    """Settings of an evaluation; the command line and a notebook's parameters are these fields.

    Attributes:
        run_dir: the run whose policy is judged, and in which the evaluation is written.
        dataset_dir: folder; every `.sumocfg` below it is driven.
        episodes_per_scenario: episodes of each scenario, each with a seed of its own.
        calm_share: share of them, rounded, in which no car is made to brake hard; they measure false braking.
        n_steps: steps until an episode is cut.
        v2v: radio preset; each episode draws its own radio around it.
        seed: of everything random.
        workers: worker processes, one SUMO each; 0 for one a core. The results don't depend on it.
        sumo_checks: whether SUMO's safe-speed check protects the ego; then the figures say little of the policy.
        policy: a `.tflite` to be judged instead of the run's model.
    """

    run_dir: str
    dataset_dir: str = "scenarios/dataset_v1/eval"
    episodes_per_scenario: int = 15
    calm_share: float = 0.2
    n_steps: int = 500
    v2v: str = "esp_now"
    seed: int = 0
    workers: int = 0
    sumo_checks: bool = False
    policy: str | None = None

    def __post_init__(self) -> None:
        for name, least in {"episodes_per_scenario": 1, "n_steps": 1, "seed": 0, "workers": 0}.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise InputError(f"{name}: expected a whole number of {least} or more, got {value!r}.")
        if not 0 <= self.calm_share <= 1:
            raise InputError(f"calm_share: expected 0 to 1, got {self.calm_share}.")
        if self.policy is not None and Path(self.policy).suffix != TFLITE_SUFFIX:
            raise InputError(f"policy: expected a {TFLITE_SUFFIX} file, got {self.policy!r}.")
        self.env_config()

    def env_config(self) -> EnvConfig:
        """Returns the environment's settings."""
        return EnvConfig(n_steps=self.n_steps, v2v=self.v2v, sumo_checks=self.sumo_checks, step_info=False)


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation came to.

    Attributes:
        folder: where it lies.
        episodes: a row for each episode of each policy.
        summary: a row for each policy.
        claims: the paired comparisons with the null policies.
    """

    folder: Path
    episodes: pd.DataFrame
    summary: pd.DataFrame
    claims: pd.DataFrame


def evaluate(config: EvalConfig) -> Evaluation:
    """Drives every scenario with every policy on the same seeds and writes what came of it.

    It is written into the run's `evaluation` folder, all at once at the end. If that holds something already, it is
    kept, and the next free one of `evaluation_2`, `evaluation_3`, ... is made.

    Args:
        config: settings.

    Raises:
        RunError: if the run or its policy cannot be opened.
        ScenarioError: if the dataset folder holds no scenario, or one that cannot be opened.
        InputError: if the `.tflite` cannot be used.
        SimulationError: if a worker process dies.
    """
    policy_path = _find_policy(config)
    plans = plan_episodes(find_scenarios(find_dataset(config.dataset_dir)), config)
    worker = Worker(config.env_config(), policy_path)
    rows = run_plans(plans, worker, config.workers or os.cpu_count() or 1)
    return write_evaluation(pd.DataFrame(rows), config)


def plan_episodes(scenario_paths: Sequence[Path], config: EvalConfig) -> list[Plan]:
    """Returns all episodes, each seed of each scenario with every policy; the last seeds are without a hazard.

    Raises:
        ScenarioError: if a scenario cannot be opened.
    """
    n_hazards = config.episodes_per_scenario - round(config.calm_share * config.episodes_per_scenario)
    plans = []
    for number, path in enumerate(scenario_paths):
        open_scenario(path)
        seeds = np.random.SeedSequence((config.seed, number)).generate_state(config.episodes_per_scenario)
        for index, seed in enumerate(seeds.tolist()):
            plans += [Plan(policy, path, seed, index < n_hazards) for policy in POLICIES]
    return plans


def write_evaluation(episodes: pd.DataFrame, config: EvalConfig) -> Evaluation:
    """Sums the episodes up and writes tables and figures into a new folder of the run; see `evaluate`."""
    summary = summarise(episodes, np.random.default_rng(config.seed))
    claims = find_claims(episodes)
    run = Run(Path(config.run_dir))
    with scratch_folder(".evaluation.", run.folder) as outer:
        waiting = outer / "evaluation"
        waiting.mkdir()
        for name, table in {EPISODES_NAME: episodes, SUMMARY_NAME: summary, CLAIMS_NAME: claims}.items():
            table.to_csv(waiting / name, index=False)
        (waiting / "summary.md").write_text(write_markdown(summary))
        (waiting / CONFIG_NAME).write_text(json.dumps(asdict(config), indent=2) + "\n")
        figures = {
            "collision_rate.png": plots.plot_collision_rates(summary),
            "minimum_ttc.png": plots.plot_min_ttc(episodes),
            "outcomes_by_scenario.png": plots.plot_outcomes_by_scenario(episodes),
        }
        for name, figure in figures.items():
            figure.savefig(waiting / name, dpi=DPI)
        folder = waiting.rename(_free_folder(run.evaluation_dir))
    return Evaluation(folder, episodes, summary, claims)


def open_evaluation(folder: str | Path) -> Evaluation:
    """Reads an evaluation back.

    Raises:
        RunError: if the folder holds none.
    """
    folder = Path(folder)
    if not (folder / EPISODES_NAME).is_file():
        raise RunError(f"Expected an evaluation with {EPISODES_NAME} in {folder}, found none. Make one first.")
    episodes = pd.read_csv(folder / EPISODES_NAME, dtype={"error": str}).fillna({"error": ""})
    return Evaluation(folder, episodes, pd.read_csv(folder / SUMMARY_NAME), pd.read_csv(folder / CLAIMS_NAME))


def _find_policy(config: EvalConfig) -> Path:
    if config.policy is None:
        return open_run(config.run_dir).model_path
    if not Path(config.run_dir).is_dir():
        raise RunError(f"Expected the folder of a run, but {config.run_dir} is not there. Check the path.")
    if not Path(config.policy).is_file():
        raise InputError(f"policy: expected a file, but {config.policy} is not there. Check the path.")
    return Path(config.policy)


def _free_folder(wanted: Path) -> Path:
    folder, number = wanted, 1
    while folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        number += 1
        folder = wanted.with_name(f"{wanted.name}_{number}")
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluates as the command line says, prints the summary and where it lies, and returns the exit code."""
    return run_command(lambda: _evaluate_from(arguments))


def _evaluate_from(arguments: Sequence[str] | None) -> None:
    evaluation = evaluate(tyro.cli(EvalConfig, args=arguments, prog="roadsense evaluate"))
    sys.stdout.write(f"{write_markdown(evaluation.summary)}\n{evaluation.folder}\n")


if __name__ == "__main__":
    sys.exit(main())
