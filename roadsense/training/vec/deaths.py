"""Reports on workers that died, or whose simulation failed: what happened, where, and how to replay it."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from roadsense.envs.config import EnvConfig
from roadsense.episodes.replay import RecordedEpisode
from roadsense.errors import SimulationError
from roadsense.training.vec.shared import DrivenEpisode

N_LAST_ACTIONS = 50


@dataclass(frozen=True)
class WorkerDeath:
    """Why and where a worker died, or its simulation failed.

    Attributes:
        worker: index of the worker.
        reason: traceback, signal, SUMO's message, or that the worker was stuck.
        scenario: path of the `.sumocfg` that it drove; None if none was drawn.
        generator: state of the random generator before the episode was drawn; None if there was no episode.
        n_steps: number of steps begun in the episode.
        last_actions: actions of the last of these steps, up to 50.
        command: command line that replays the episode; empty if there was no episode.
    """

    worker: int
    reason: str
    scenario: Path | None
    generator: tuple[int, ...] | None
    n_steps: int
    last_actions: tuple[float, ...]
    command: str

    def __str__(self) -> str:
        where = f"in {self.scenario} after {self.n_steps} steps" if self.scenario else "with no scenario loaded"
        return f"worker {self.worker}, {where}: {self.reason.strip()}"


class DeathRegister:
    """Counts deaths and describes them.

    Args:
        scenario_paths: `.sumocfg` files that the workers draw from.
        config: settings of their environments.
        on_death: function called with every report.
        max_deaths: highest number of deaths that does not end the training.
    """

    def __init__(
        self,
        scenario_paths: Sequence[Path],
        config: EnvConfig,
        on_death: Callable[[WorkerDeath], None] | None,
        max_deaths: int,
    ):
        self.deaths: list[WorkerDeath] = []
        self.scenario_paths, self.config = tuple(scenario_paths), config
        self._on_death, self._max_deaths = on_death, max_deaths

    def report(self, worker: int, reason: str, episode: DrivenEpisode) -> None:
        """Reports a death.

        Args:
            worker: index of the worker.
            reason: reason of its death.
            episode: episode that it drove.

        Raises:
            SimulationError: if there are more than `max_deaths`.
        """
        death = self._describe(worker, reason, episode)
        self.deaths.append(death)
        if self._on_death:
            self._on_death(death)
        if len(self.deaths) > self._max_deaths:
            lines = "\n".join(str(death) for death in self.deaths)
            raise SimulationError(
                f"Expected at most {self._max_deaths} dead workers, got {len(self.deaths)}. Replay the last with\n"
                f"{death.command or '(no episode to replay)'}\nand look at the reasons:\n{lines}"
            )

    def _describe(self, worker: int, reason: str, episode: DrivenEpisode) -> WorkerDeath:
        actions, n_steps = episode.actions, len(episode.actions)
        if episode.scenario_index < 0:
            return WorkerDeath(worker, reason, None, None, n_steps, (), "")
        scenario = self.scenario_paths[episode.scenario_index]
        recorded = RecordedEpisode(self.config, len(self.scenario_paths), episode.generator, actions)
        command = shlex.join(("python", "-m", "roadsense.replay", str(scenario), recorded.encode()))
        last = tuple(actions[-N_LAST_ACTIONS:, 0].tolist())
        return WorkerDeath(worker, reason, scenario, episode.generator, n_steps, last, command)
