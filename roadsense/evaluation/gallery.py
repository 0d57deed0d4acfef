"""The worst episodes of the judged policy: trajectory, picture, and the command that replays each exactly."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from roadsense.episodes.plan import POLICY, Plan
from roadsense.episodes.record import record_trajectory
from roadsense.episodes.run import EPISODE_LIMIT_S, Worker
from roadsense.episodes.trajectory import Trajectory
from roadsense.errors import SimulationError
from roadsense.evaluation.plans import HELD_OUT
from roadsense.evaluation.results import Evaluation
from roadsense.evaluation.summary import complete
from roadsense.utils.progress import progress_bar
from roadsense.utils.worker_processes import map_in_workers


@dataclass(frozen=True)
class Exhibit:
    """One of the worst episodes.

    Attributes:
        number: number of its row in the table of episodes, from 0.
        row: figures of the episode.
        trajectory: trajectory of the episode.
    """

    number: int
    row: dict[str, Any]
    trajectory: Trajectory

    @property
    def name(self) -> str:
        """Name of its folder and files."""
        return f"episode_{self.number:05d}"

    def command(self, folder: Path) -> str:
        """Returns the command that replays the episode, given the folder of the evaluation."""
        return f"roadsense replay {shlex.quote(str(folder))} {self.number}"


def choose_worst(episodes: pd.DataFrame, n: int, policy: str = POLICY) -> pd.DataFrame:
    """Returns the worst held-out episodes of a policy: collisions by impact speed, then the smallest time to collision.

    Args:
        episodes: table of an evaluation.
        n: largest number of episodes.
        policy: name of the policy.
    """
    own = complete(episodes[(episodes["policy"] == policy) & (episodes["part"] == HELD_OUT)])
    order = ["collision", "impact_speed_mps", "min_ttc_s", "min_gap_m", "scenario", "seed"]
    return own.sort_values(order, ascending=[False, False, True, True, True, True]).head(n)


def plan_of(row: dict[str, Any]) -> Plan:
    """Returns the plan of a row of the table, for parts with the environment's own radio."""
    return Plan(row["policy"], Path(row["config_path"]), int(row["seed"]), bool(row["hazard_forced"]),
                sumo_checks=bool(row["sumo_checks"]))  # fmt: skip


def record_gallery(evaluation: Evaluation, worker: Worker, n_workers: int) -> list[Exhibit]:
    """Drives the worst episodes again and returns them with their trajectories, the worst first.

    Raises:
        SimulationError: if an episode differs from the first time.
    """
    worst = choose_worst(evaluation.episodes, evaluation.config.gallery_size)
    rows = [{str(name): value for name, value in row.items()} for row in worst.to_dict("records")]
    if not rows:
        return []
    trajectories = map_in_workers(_record, [plan_of(row) for row in rows], worker, n_workers, EPISODE_LIMIT_S)
    with progress_bar(len(rows), "recording the worst", "episode") as bar:
        exhibits = []
        for number, row, trajectory in zip(worst.index, rows, trajectories, strict=True):
            _expect_same(row, trajectory)
            exhibits.append(Exhibit(int(number), row, trajectory))
            bar.update()
    return exhibits


def _expect_same(row: dict[str, Any], trajectory: Trajectory) -> None:
    outcome = trajectory.facts["outcome"]
    differs = [
        name
        for name in ("collision", "duration_s", "min_gap_m", "distance_m")
        if outcome[name] not in (row[name], None)
    ]
    if differs:
        raise SimulationError(
            f"{row['scenario']}, seed {row['seed']}: expected the episode to come out as before, but {differs} differ. "
            "Were files of the scenario or the policy changed meanwhile?"
        )


def _record(worker: Worker, plan: Plan) -> Trajectory:
    return record_trajectory(plan, worker.policy(plan), worker.env_config(plan))
