"""Recorded episodes: true to the episode, small, read back as they were, and free where nothing is recorded."""

import io
import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.episodes.plan import MUTED, Plan
from roadsense.episodes.record import record_trajectory
from roadsense.episodes.run import Worker, run_episode
from roadsense.episodes.trajectory import LOST, SCHEMA_VERSION, Trajectory, load_trajectory
from roadsense.errors import InputError
from roadsense.policies.rules import HeardBrakingRule

BASE_DIR = Path(__file__).parents[2] / "scenarios" / "base"
CONFIG = EnvConfig(n_steps=200, v2v_randomised=False)
PLAN = Plan("heard_braking_rule", BASE_DIR / "highway_merge" / "scenario.sumocfg", 11, True)


@pytest.fixture(scope="module")
def trajectory() -> Trajectory:
    return record_trajectory(PLAN, HeardBrakingRule(), CONFIG)


def same(one: Trajectory, other: Trajectory) -> None:
    for field in fields(Trajectory):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, theirs, err_msg=field.name)
            assert mine.dtype == theirs.dtype
        elif field.name == "ego":
            assert list(mine) == list(theirs)
            np.testing.assert_array_equal(list(mine.values()), list(theirs.values()))
        elif field.name in ("lanes", "junctions"):
            assert len(mine) == len(theirs)
            assert all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))
        else:
            assert mine == theirs, field.name


def test_recording_changes_nothing(trajectory: Trajectory) -> None:
    config = replace(CONFIG, step_info=False, watch_behind=True)
    with ConvoyEnv([PLAN.config_path], config=config) as env:
        row = run_episode(env, HeardBrakingRule(), PLAN)
    outcome = trajectory.facts["outcome"]
    assert {name: row[name] for name in outcome if outcome[name] is not None} == {
        name: value for name, value in outcome.items() if value is not None
    }
    assert trajectory.facts["drawn"]["driver"]["reaction_time_s"] == row["driver_reaction_time_s"]
    same(trajectory, record_trajectory(PLAN, HeardBrakingRule(), CONFIG))


def test_the_rows_are_the_episode(trajectory: Trajectory) -> None:
    outcome, ego = trajectory.facts["outcome"], trajectory.ego
    assert trajectory.n_rows == 201
    assert trajectory.time_s[-1] == outcome["duration_s"] == 20.0
    place = trajectory.vehicle_ids.index("V001")
    np.testing.assert_array_equal(trajectory.speed_mps[:, place], ego["speed_mps"])
    assert np.nanmin(ego["gap_m"]) == pytest.approx(outcome["min_gap_m"])
    assert np.nanmin(ego["ttc_s"]) == pytest.approx(outcome["min_ttc_s"])
    assert np.isnan(ego["action"][0])
    assert np.isfinite(ego["action"][1:]).all()
    # It moves as fast as it says: 0.1 s of the speed at the end of each step.
    way_m = np.hypot(np.diff(trajectory.x_m[:, place]), np.diff(trajectory.y_m[:, place]))
    np.testing.assert_allclose(way_m, ego["speed_mps"][1:] * 0.1, atol=0.02)
    # And in the direction of its heading.
    heading = np.arctan2(np.diff(trajectory.y_m[:, place]), np.diff(trajectory.x_m[:, place]))
    moving = way_m > 0.5
    off = np.angle(np.exp(1j * (heading - trajectory.heading_rad[1:, place])))
    assert np.abs(off[moving]).max() < 0.1


def test_other_cars_come_and_go_and_have_a_size(trajectory: Trajectory) -> None:
    there = np.isfinite(trajectory.x_m)
    assert there[0].any()
    assert not there.all()
    assert (there == np.isfinite(trajectory.speed_mps)).all()
    assert len(set(trajectory.vehicle_ids)) == len(trajectory.vehicle_types) == there.shape[1]
    assert (trajectory.vehicle_length_m > 2).all()
    assert (trajectory.vehicle_width_m > 1).all()


def test_messages_are_those_of_the_convoys_radio(trajectory: Trajectory) -> None:
    outcome = trajectory.facts["outcome"]
    lost = trajectory.message_heard_step == LOST
    assert (lost.sum(), (~lost).sum()) == (outcome["messages_lost"], outcome["messages_heard"])
    assert lost.any()
    senders = {trajectory.vehicle_ids[index] for index in trajectory.message_sender}
    assert senders <= {"V002", "V003", "V004", "V005", "V006"}
    delay = (trajectory.message_heard_step - trajectory.message_sent_step)[~lost]
    assert set(delay) == {1}  # ESP-NOW's 4 ms: in the ear at the next step
    mute = record_trajectory(replace(PLAN, policy=MUTED), HeardBrakingRule(), CONFIG)
    assert (mute.message_heard_step == LOST).all()
    assert (mute.ego["assist_mps2"][1:] == 0).all()


def test_other_cars_with_a_radio_are_senders_too() -> None:
    config = replace(CONFIG, penetration=1.0, n_steps=20)
    trajectory = record_trajectory(PLAN, HeardBrakingRule(), config)
    senders = {trajectory.vehicle_ids[index] for index in trajectory.message_sender}
    assert any(not name.startswith("V0") for name in senders)


def test_it_is_read_back_as_it_was_and_small(trajectory: Trajectory, tmp_path: Path) -> None:
    path = trajectory.save(tmp_path / "episode.npz")
    same(load_trajectory(path), trajectory)
    long = record_trajectory(replace(PLAN, config_path=BASE_DIR / "urban_intersection" / "scenario.sumocfg"),
                             HeardBrakingRule(), EnvConfig())  # fmt: skip
    assert long.x_m.shape[1] > 30
    assert long.save(tmp_path / "long.npz").stat().st_size < 400_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["episode.npz", "long.npz"]


def test_the_road_is_in_it(trajectory: Trajectory) -> None:
    assert len(trajectory.lanes) == len(trajectory.lane_width_m)
    points = np.concatenate(trajectory.lanes)
    place = trajectory.vehicle_ids.index("V001")
    ego = np.stack([trajectory.x_m[:, place], trajectory.y_m[:, place]], axis=1)
    assert (ego >= points.min(axis=0) - 5).all()
    assert (ego <= points.max(axis=0) + 5).all()
    assert all(line.shape[1] == 2 and len(line) > 1 for line in (*trajectory.lanes, *trajectory.junctions))


def test_nothing_is_read_when_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("read")

    monkeypatch.setattr("roadsense.envs.sumo.connection.SumoConnection.vehicle_ids", refuse)
    monkeypatch.setattr("roadsense.envs.sumo.connection.SumoConnection.find_follower", refuse)
    worker = Worker(replace(CONFIG, step_info=False))
    assert worker.run(PLAN)["error"] == ""
    worker.close()


def test_what_is_no_trajectory_is_refused(trajectory: Trajectory, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.npz"):
        trajectory.save(tmp_path / "episode.json")
    with pytest.raises(InputError, match="xpected a recorded episode"):
        load_trajectory(tmp_path / "missing.npz")
    (tmp_path / "text.npz").write_text("nothing of the kind")
    with pytest.raises(InputError, match="xpected a recorded episode"):
        load_trajectory(tmp_path / "text.npz")
    np.savez(tmp_path / "pickled.npz", words=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="xpected a recorded episode"):
        load_trajectory(tmp_path / "pickled.npz")
    words = np.frombuffer(json.dumps({"schema_version": SCHEMA_VERSION + 1}).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, words=words)
    (tmp_path / "newer.npz").write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match="version"):
        load_trajectory(tmp_path / "newer.npz")
