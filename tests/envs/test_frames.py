"""Frames of the environment: what they show, and that Gymnasium's wrappers for pictures work on them."""

from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import HumanRendering, RecordVideo

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.frames.camera import HEIGHT, WIDTH_PX, Film
from roadsense.envs.frames.canvas import CONVOY, HEARD, LOST, WHITE, Canvas, _cut
from roadsense.envs.frames.moment import Car, Moment
from roadsense.errors import InputError, SimulationError
from roadsense.scenarios.road_shape import RoadShape

ROAD = RoadShape((np.array([[-300, 0], [300, 0]], np.float32),), np.array([3.2], np.float32), ())
CARS = tuple(Car(f"V00{n}", 30.0 * n, 0.0, 0.0, 20.0, 4.5, 1.8) for n in (1, 2, 3))


def count(frame, colour):
    """How many pixels have a colour."""
    return int((frame == [int(colour[k : k + 2], 16) for k in (1, 3, 5)]).all(axis=-1).sum())


def film(*moments):
    shown = Film(ROAD, "straight", 5.0, 0.1)
    for moment in moments:
        shown.add(moment)
    return shown.draw()


def test_a_frame_has_the_size_of_video_codecs():
    frame = film(Moment(CARS, (), {}))
    assert frame.shape == (HEIGHT, WIDTH_PX, 3)
    assert frame.dtype == np.uint8
    assert HEIGHT % 16 == WIDTH_PX % 16 == 0


def test_a_frame_shows_the_convoy_and_what_is_heard_of_it():
    empty, alone = film(Moment((), (), {})), film(Moment(CARS, (), {}))
    assert count(empty, CONVOY) == 0
    assert count(alone, CONVOY) > 3 * 50
    scene = slice(0, HEIGHT - 320)
    heard = film(Moment(CARS, (("V002", True),), {}))
    lost = film(Moment(CARS, (("V002", False),), {}))
    assert count(alone[scene], HEARD) == count(lost[scene], HEARD) == 0 < count(heard[scene], HEARD)
    assert count(alone[scene], LOST) == count(heard[scene], LOST) == 0 < count(lost[scene], LOST)


def test_the_action_rises_in_its_strip():
    calm, hard = (film(*[Moment(CARS, (), {"action": a})] * 20) for a in (0.0, 1.0))
    rows = [np.flatnonzero((frame[HEIGHT - 320 :, 110] == [213, 94, 0]).all(axis=-1)) for frame in (calm, hard)]
    assert rows[0].max() - rows[1].max() > 30


def test_a_dashed_line_has_gaps():
    canvas = Canvas(100, 10)
    canvas.line([(0, 5), (100, 5)], "#000000", 2, (5, 5))
    assert 0.4 < (canvas.finish()[5].sum(axis=-1) == 0).mean() < 0.7
    assert count(Canvas(4, 4).finish(), WHITE) == 16


def test_dashes_end_wherever_they_are():
    rng = np.random.default_rng(0)
    for points in rng.uniform(0, 1e3, (200, 30, 2)).tolist():
        length = np.hypot(*np.diff(points, axis=0).T).sum()
        dashes = _cut(points, 4.0, 3.0)
        assert len(dashes) < length / 3.5 + 60
        assert sum(np.hypot(x1 - x0, y1 - y0) for (x0, y0), (x1, y1) in dashes) == pytest.approx(
            length * 4 / 7, rel=0.05
        )


@pytest.fixture
def scenario(small_dataset):
    return str(small_dataset.folder / "eval")


def make(scenario, **changes):
    config = EnvConfig(n_steps=6, step_info=False, **changes)
    return ConvoyEnv(scenario_dir=scenario, config=config, render_mode="rgb_array")


def test_the_environment_draws_each_step_and_drives_the_same(scenario):
    rewards = {}
    for mode in (None, "rgb_array"):
        with ConvoyEnv(scenario_dir=scenario, config=EnvConfig(n_steps=6), render_mode=mode) as env:
            env.reset(seed=1)
            frames = [env.render()]
            rewards[mode] = []
            for _ in range(6):
                rewards[mode].append(env.step(np.array([0.5], np.float32))[1])
                frames.append(env.render())
        if mode is None:
            assert frames == [None] * 7
    assert rewards[None] == rewards["rgb_array"]
    assert all(count(frame, CONVOY) > 50 for frame in frames)
    assert all((one != other).any() for one, other in pairwise(frames))


def test_frames_are_in_real_time_and_need_an_episode(scenario):
    for step_length_s, fps in ((0.1, 10), (0.2, 5)):
        assert make(scenario, step_length_s=step_length_s).metadata["render_fps"] == fps
    assert ConvoyEnv.metadata["render_fps"] == 10
    with pytest.raises(SimulationError, match="reset"):
        make(scenario).render()
    with pytest.raises(InputError, match="rgb_array"):
        ConvoyEnv(scenario_dir=scenario, render_mode="ansi")


def test_a_recorded_video_plays_back_frame_by_frame(scenario, tmp_path):
    pytest.importorskip("moviepy")
    imageio = pytest.importorskip("imageio.v2")
    env = RecordVideo(make(scenario), str(tmp_path), episode_trigger=lambda _: True)
    env.reset(seed=1)
    drawn = [env.unwrapped.render()]
    for _ in range(6):
        env.step(np.zeros(1, np.float32))
        drawn.append(env.unwrapped.render())
    env.close()
    (path,) = tmp_path.glob("*.mp4")
    reader = imageio.get_reader(path)
    played = [np.asarray(frame) for frame in reader]
    assert reader.get_meta_data()["fps"] == 10
    assert len(played) == len(drawn)
    for frame, shown in zip(drawn, played, strict=True):
        assert np.abs(frame.astype(int) - shown).mean() < 3


def test_human_rendering_shows_the_frames(scenario, monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with HumanRendering(make(scenario)) as env:
        env.reset(seed=1)
        env.step(np.zeros(1, np.float32))
        assert env.screen_size == (WIDTH_PX, HEIGHT)


def test_gymnasium_makes_it_with_pictures(scenario):
    env = gym.make("roadsense.envs:roadsense/Convoy-v0", scenario_dir=scenario, render_mode="rgb_array")
    env.reset(seed=1)
    assert env.render().shape == (HEIGHT, WIDTH_PX, 3)
    env.close()
