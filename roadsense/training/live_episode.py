"""Drives and records one episode in a separate process, so that a crash of SUMO does not reach the caller."""

from dataclasses import replace
from pathlib import Path

from roadsense.cloud.storage import find_dataset
from roadsense.envs.config import EnvConfig
from roadsense.episodes.plan import MUTED, POLICY, Plan
from roadsense.episodes.record import record_trajectory, take_trajectory
from roadsense.episodes.trajectory import Trajectory
from roadsense.policies.trained import load_policy
from roadsense.runs.run import Run
from roadsense.scenarios.scenario import find_scenarios
from roadsense.training.train_config import TrainConfig
from roadsense.utils.progress import working
from roadsense.utils.worker_processes import ignore_interrupts, start_pool


def record_episode(
    run: Run, scenario: str | Path | None = None, seed: int = 0, policy: str = POLICY, hazard: bool = True
) -> Trajectory:
    """Drives one episode with a run's settings, in a worker process, and returns its trajectory.

    Args:
        run: run whose policy and settings are used.
        scenario: path of a `.sumocfg`, or a folder of scenarios of which the first is driven; None for the folder that
            the run was trained on.
        seed: seed of the episode.
        policy: `policy` for the run's policy, the name of a baseline, or any other policy, see `load_policy`.
        hazard: whether a car ahead is made to brake hard.

    Raises:
        InputError: if the policy cannot be loaded, or there is none of this name.
        ScenarioError: if the scenario cannot be opened.
        SimulationError: if SUMO refuses the episode, fails in it or crashes.

    Examples:
        >>> import roadsense as rs
        >>> episode = rs.record_episode(rs.open_run("runs/first"), "scenarios/small/train", seed=1)
        >>> episode.facts["policy"]
        'policy'
    """
    saved = run.read_config()
    path = find_dataset(scenario or saved["dataset_dir"])
    path = find_scenarios(path)[0] if path.is_dir() else path
    known = {name: value for name, value in saved.items() if name in TrainConfig.__dataclass_fields__}
    config = replace(TrainConfig(**known).env_config(), step_info=True)
    plan = Plan(policy, path.resolve(), seed, hazard)
    with working("driving an episode"), start_pool(1, [__name__], ignore_interrupts) as pool:
        return take_trajectory(pool.submit(_record, plan, run.model_path, config))


def _record(plan: Plan, policy_path: Path, config: EnvConfig) -> Trajectory:
    own = plan.policy in (POLICY, MUTED)
    return record_trajectory(plan, load_policy(policy_path if own else plan.policy), config)
