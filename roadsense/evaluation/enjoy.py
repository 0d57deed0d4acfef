"""Shows a policy at the wheel: one episode in SUMO's window, as a video, or in the player."""

import math
import os
import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from roadsense.cloud.storage import find_dataset
from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.episodes.drive import drive
from roadsense.episodes.plan import Plan, reset_options
from roadsense.episodes.record import record_trajectory
from roadsense.errors import InputError, RunError, SimulationError
from roadsense.pictures.player import player_page, summarise_episode
from roadsense.pictures.video import GIF, MP4, write_video
from roadsense.policies.rules import Policy
from roadsense.policies.source import DEFAULT, PolicySource, find_policy
from roadsense.policies.trained import load_policy
from roadsense.runs.run import open_run
from roadsense.scenarios.scenario import find_scenarios
from roadsense.utils.bounds import MAX_SEED, bounded, check_bounds
from roadsense.utils.files import check_writable, find_free, write_atomically
from roadsense.utils.workspace import find_file, resolve

NO_SCREEN = "gui: expected a screen for SUMO's window, found none. Watch it with --html or --video."


@dataclass(frozen=True)
class EnjoyConfig:
    """Settings of `roadsense enjoy`.

    Attributes:
        policy: a run folder, a `.zip` of Stable-Baselines3, a `.tflite`, `module:name`, a rule's name, or `default`;
            empty for the newest trained run, or `default` if there is none.
        scenario: a `.sumocfg`, or a folder of scenarios, of which the seed chooses one.
        hazard: whether a car ahead is made to brake hard.
        seed: seed of the episode.
        v2v: radio preset.
        episode_steps: number of steps after which the episode ends, ten a second.
        gui: whether to show it in SUMO's window, which needs a screen.
        video: new file for a video, `.mp4` or `.gif`.
        html: new file for the player, a page for any browser. Without `gui`, `video` and `html` it is written into
            `runs/enjoy`.
        start_s: time at which the video begins, from 0.
        end_s: time at which the video ends; None for the end of the episode.
        trust: whether code inside the policy's file may run, if it cannot be opened without; prints its SHA-256.

    Raises:
        InputError: for values out of their bounds.
    """

    FIRST: ClassVar[str] = "policy"

    policy: str = ""
    scenario: str = "scenarios/base"
    hazard: bool = True
    seed: int = bounded(0, 0, MAX_SEED)
    v2v: str = "esp_now"
    episode_steps: int = bounded(500, 1, 1_000_000)
    gui: bool = False
    video: Path | None = None
    html: Path | None = None
    start_s: float = bounded(0.0, 0.0, 1e6)
    end_s: float | None = None
    trust: bool = False

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.end_s is not None and not self.start_s < self.end_s < math.inf:
            raise InputError(f"Expected end_s to be a number above start_s ({self.start_s:g}), got {self.end_s!r}.")
        for path, suffixes in ((self.video, (MP4, GIF)), (self.html, (".html",))):
            if path is not None and path.suffix not in suffixes:
                raise InputError(f"Expected a new file that ends in {' or '.join(suffixes)}, got {path}.")
            if path is not None and path.exists():
                raise InputError(f"Expected a new file, but {path} is there already. Name another one.")


def enjoy(config: EnjoyConfig) -> list[Path]:
    """Drives an episode and shows it; returns the files that were written.

    It opens its own simulation: call it in a process without one.

    Args:
        config: settings.

    Raises:
        InputError: if the policy cannot be loaded, a package for videos is missing, or there is no screen for `gui`.
        ScenarioError: if the scenario cannot be opened.
        SimulationError: if SUMO fails.
    """
    source = _choose(config.policy)
    policy = load_policy(source, config.trust)
    plan = Plan(source.name, _find_scenario(config), config.seed, config.hazard)
    env_config = EnvConfig(n_steps=config.episode_steps, v2v=config.v2v)
    if config.gui:
        _drive_in_window(plan, policy, env_config)
    pages = [config.html] if config.html else []
    if not (config.gui or config.video or pages):
        name = f"{source.name}_{plan.config_path.parent.name}_{config.seed}.html"
        pages = [find_free(resolve("runs") / "enjoy" / name)]
    if not (config.video or pages):
        return []
    for path in (*pages, *([config.video] if config.video else [])):
        path.parent.mkdir(parents=True, exist_ok=True)
        check_writable(path.parent)
    trajectory = record_trajectory(plan, policy, env_config)
    for page in pages:
        write_atomically(page, player_page(trajectory))
    sys.stdout.write(f"{summarise_episode(trajectory)}\n")
    videos = [write_video(trajectory, config.video, config.start_s, config.end_s)] if config.video else []
    return [*pages, *videos]


def _choose(given: str) -> PolicySource:
    if given:
        return find_policy(given)
    try:
        return find_policy(open_run().folder)
    except RunError:  # nothing was trained yet
        return find_policy(DEFAULT)


def _find_scenario(config: EnjoyConfig) -> Path:
    path = find_dataset(find_file(config.scenario))
    if path.is_dir():
        paths = find_scenarios(path)
        path = paths[config.seed % len(paths)]
    return path.resolve()


def _drive_in_window(plan: Plan, policy: Policy, env_config: EnvConfig) -> None:
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        raise InputError(NO_SCREEN)
    with ConvoyEnv([plan.config_path], config=env_config, render_mode="human") as env:
        try:
            observation, _ = env.reset(seed=plan.seed, options=reset_options(plan))
        except SimulationError as error:
            if "unable to open display" in str(error):  # DISPLAY names a screen that does not answer
                raise InputError(NO_SCREEN) from error
            raise
        for _ in drive(env, policy, observation):
            pass


def enjoy_and_print(config: EnjoyConfig) -> None:
    """Drives one episode with a policy and shows it: in SUMO's window, as a video, or in the player."""
    for path in enjoy(config):
        sys.stdout.write(f"{path}\n")
        if path.suffix == ".html" and sys.stdout.isatty():
            webbrowser.open(path.resolve().as_uri())
