"""Frames side by side."""

from pathlib import Path

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.wrappers import StackFrames
from roadsense.errors import InputError

ROUNDABOUT = Path(__file__).parents[2] / "scenarios" / "base" / "urban_roundabout" / "scenario.sumocfg"
CONFIG = EnvConfig(n_steps=60)
ACTION = np.full(1, 0.3, np.float32)


def roll(env, n_steps):
    observations = [env.reset(seed=4)[0]]
    observations += [env.step(ACTION)[0] for _ in range(n_steps)]
    return observations


@pytest.mark.filterwarnings("ignore:.*Box.*precision.*")
def test_it_is_an_environment_like_the_one_inside():
    with StackFrames(ConvoyEnv([ROUNDABOUT], config=CONFIG), 3) as env:
        check_env(env, skip_render_check=True)
        assert {name: space.shape for name, space in env.observation_space.items()} == {
            "ego": (12,),
            "peers": (8, 24),
            "peer_mask": (8,),
        }


def test_frames_stand_side_by_side_the_oldest_first():
    with ConvoyEnv([ROUNDABOUT], config=CONFIG) as env:
        plain = roll(env, 10)
    with StackFrames(ConvoyEnv([ROUNDABOUT], config=CONFIG), 3) as env:
        stacked = roll(env, 10)
    np.testing.assert_array_equal(stacked[0]["ego"], np.tile(plain[0]["ego"], 3))
    for step in range(2, 11):
        for frame in range(3):
            one = plain[step - 2 + frame]
            np.testing.assert_array_equal(stacked[step]["ego"][4 * frame : 4 * frame + 4], one["ego"])
            np.testing.assert_array_equal(stacked[step]["peers"][:, 8 * frame : 8 * frame + 8], one["peers"])
        masks = [plain[step - 2 + frame]["peer_mask"] for frame in range(3)]
        np.testing.assert_array_equal(stacked[step]["peer_mask"], np.max(masks, axis=0))


def test_no_frames_are_refused():
    with ConvoyEnv([ROUNDABOUT]) as env, pytest.raises(InputError, match="n_frames"):
        StackFrames(env, 0)
