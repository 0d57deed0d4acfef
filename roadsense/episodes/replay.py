"""Replays an episode of a training exactly: `python -m roadsense.replay SCENARIO EPISODE`.

The report of a dead worker process (`roadsense.training.vec.env.WorkerDeath`) has the whole command. The word EPISODE
holds the settings, the state of the random generator before the reset, and every action.
"""

import base64
import binascii
import json
import sys
import zlib
from dataclasses import asdict, dataclass, fields, is_dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.episodes.drive import drive
from roadsense.errors import InputError
from roadsense.utils.reproducible import generator_from_words


@dataclass(frozen=True)
class RecordedEpisode:
    """All that the replay of an episode needs besides its scenario.

    Attributes:
        config: settings of the environment.
        n_scenarios: number of scenarios that the environment drew from.
        generator: state of its random generator before the reset, see `roadsense.utils.reproducible`.
        actions: action of every step that began, shape (n, 1).
    """

    config: EnvConfig
    n_scenarios: int
    generator: tuple[int, ...]
    actions: NDArray[np.float32]

    def encode(self) -> str:
        """Returns it as one word for a command line."""
        facts = [_settings(self.config), self.n_scenarios, self.generator]
        text = json.dumps(facts, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(zlib.compress(text + b"\n" + self.actions.astype("<f4").tobytes())).decode()

    @classmethod
    def decode(cls, word: str) -> "RecordedEpisode":
        """Returns the episode that a word holds.

        Raises:
            InputError: if the word holds no episode, or was cut.
        """
        try:
            text, _, actions = zlib.decompress(base64.urlsafe_b64decode(word)).partition(b"\n")
            settings, n_scenarios, generator = json.loads(text)
        except (ValueError, zlib.error, binascii.Error) as error:
            raise InputError(f"Expected the episode as a report of a worker's death prints it ({error}).") from None
        table = np.frombuffer(actions, "<f4").reshape(-1, 1)
        return cls(_build(EnvConfig, settings), n_scenarios, tuple(generator), table)


@dataclass(frozen=True)
class ReplayConfig:
    """Settings.

    Attributes:
        scenario: path of the `.sumocfg`.
        episode: word that describes the episode.
    """

    scenario: tyro.conf.Positional[Path]
    episode: tyro.conf.Positional[str]


def replay(scenario: Path, episode: RecordedEpisode) -> list[tuple[float, dict[str, Any]]]:
    """Drives an episode again; returns the reward and info of every step.

    Args:
        scenario: path of its `.sumocfg`.
        episode: its settings, random state and actions.

    Raises:
        Exception: any error of the environment, the same as the first time.
    """
    actions = iter(episode.actions)
    # The same number of paths, so that choosing one uses the random generator in the same way.
    with ConvoyEnv([scenario] * episode.n_scenarios, config=episode.config) as env:
        env.np_random = generator_from_words(list(episode.generator))
        observation, _ = env.reset(options={"scenario": scenario})
        steps = drive(env, lambda _: next(actions)[None], observation)
        return [(step.reward, step.info) for step in islice(steps, len(episode.actions))]


def replay_and_print(config: ReplayConfig) -> None:
    """Drives again the episode in which a worker process died, step by step, and prints how it ends."""
    if not config.scenario.is_file():
        raise InputError(f"Expected the .sumocfg of a scenario, but {config.scenario} is not there.")
    episode = RecordedEpisode.decode(config.episode)
    steps = replay(config.scenario, episode)
    info = steps[-1][1] if steps else {}
    end = info.get("error") or ("the episode ended" if "outcome" in info else "still running")
    reward = sum(reward for reward, _ in steps)
    sys.stdout.write(f"{len(steps)} of {len(episode.actions)} steps replayed, reward {reward:.9g}: {end}\n")


def _settings(config: Any) -> dict[str, Any]:
    """Returns the settings that are not the default, nested ones included."""
    default, settings = type(config)(), {}
    for name in (field.name for field in fields(config)):
        value = getattr(config, name)
        if value != getattr(default, name):
            settings[name] = _settings(value) if is_dataclass(value) else value
    return settings


def _build(kind: type[Any], settings: dict[str, Any]) -> Any:
    """Returns the configuration with those settings; the inverse of `_settings`."""
    default, changed = kind(), {}
    unknown = set(settings) - set(asdict(default))
    if unknown:
        raise InputError(f"Expected settings of {kind.__name__}, got {sorted(unknown)}: recorded by another version?")
    for name, value in settings.items():
        current = getattr(default, name)
        if is_dataclass(current):
            value = _build(type(current), value)
        changed[name] = tuple(value) if isinstance(value, list) else value
    return kind(**changed)
