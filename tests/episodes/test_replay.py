"""An episode that was recorded is replayed to the last bit, from one word and the scenario."""

import base64
import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.hazard import HazardRanges
from roadsense.episodes.replay import RecordedEpisode, ReplayConfig, replay, replay_and_print
from roadsense.errors import InputError
from roadsense.utils.command import run_with_options
from roadsense.utils.reproducible import generator_from_words, generator_words

BASES = sorted((Path(__file__).parents[2] / "scenarios" / "base").glob("*/scenario.sumocfg"))
CONFIG = EnvConfig(n_steps=60, v2v="bursty", hazards=HazardRanges(probability=1.0, onset_max_s=6.0))


def record(n_steps):
    """Drives the second episode of an environment; returns its scenario, record and rewards."""
    rng = np.random.default_rng(1)
    with ConvoyEnv(BASES, config=CONFIG) as env:
        env.reset(seed=4)
        words = tuple(generator_words(env.np_random))
        _, info = env.reset()
        actions = rng.uniform(0, 1, (n_steps, 1)).astype(np.float32)
        rewards = [env.step(action)[1] for action in actions]
    path = next(path for path in BASES if path.parent.name == info["scenario"])
    return path, RecordedEpisode(CONFIG, len(BASES), words, actions), rewards


def test_a_generator_is_rebuilt_from_its_words():
    rng = np.random.default_rng(3)
    rng.integers(10, dtype=np.int32)  # leaves half of a draw behind
    copy = generator_from_words(generator_words(rng))
    assert copy.integers(1000, size=9, dtype=np.int32).tolist() == rng.integers(1000, size=9, dtype=np.int32).tolist()


def test_a_record_survives_being_a_word():
    _, episode, _ = record(5)
    again = RecordedEpisode.decode(episode.encode())
    assert (again.config, again.n_scenarios, again.generator) == (CONFIG, 5, episode.generator)
    np.testing.assert_array_equal(again.actions, episode.actions)


def main(arguments):
    return run_with_options(replay_and_print, ReplayConfig, "python -m roadsense.replay", arguments)


def test_a_replayed_episode_has_the_same_rewards():
    path, episode, rewards = record(60)
    steps = replay(path, RecordedEpisode.decode(episode.encode()))
    assert [reward for reward, _ in steps] == rewards
    assert steps[-1][1]["outcome"]["hazard"]


def test_the_command_says_how_it_went(capsys):
    path, episode, rewards = record(30)
    assert main([str(path), episode.encode()]) == 0
    assert f"30 of 30 steps replayed, reward {sum(rewards):.9g}: still running" in capsys.readouterr().out


@pytest.mark.parametrize("cut", [slice(0, -9), slice(9, None), slice(0, 0)], ids=["end", "beginning", "all"])
def test_a_word_that_was_cut_is_refused(cut, capsys):
    path, episode, _ = record(3)
    assert main([str(path), episode.encode()[cut]]) == 2
    assert "error: Expected the episode" in capsys.readouterr().err


def test_a_scenario_that_is_gone_is_named(capsys):
    _, episode, _ = record(3)
    assert main(["nowhere.sumocfg", episode.encode()]) == 2
    assert "nowhere.sumocfg" in capsys.readouterr().err


def test_settings_of_another_version_are_refused():
    _, episode, _ = record(3)
    text, _, actions = zlib.decompress(base64.urlsafe_b64decode(episode.encode())).partition(b"\n")
    facts = json.loads(text)
    facts[0]["colour"] = "red"
    word = base64.urlsafe_b64encode(zlib.compress(json.dumps(facts).encode() + b"\n" + actions)).decode()
    with pytest.raises(InputError, match="another version"):
        RecordedEpisode.decode(word)
