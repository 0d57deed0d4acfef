"""Who else is heard, what is relayed, and the decoys: that they are there, and that they change nothing else."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.decoy import KINDS, Decoy, draw_decoy
from roadsense.envs.hazard import HazardRanges
from roadsense.envs.hazard_profile import HazardProfile
from roadsense.envs.outcome import REACTION_LIMIT_S
from roadsense.envs.radio.channel import V2vChannel
from roadsense.envs.radio.others import Relays
from roadsense.envs.radio.presets import get_preset
from roadsense.envs.radio.radio_cars import N_DRAWN, N_SPAWNS, RadioCars
from roadsense.envs.surroundings import (
    SURROUNDINGS,
    Surroundings,
    SurroundingsRanges,
    draw_surroundings,
    format_surroundings,
    parse_surroundings,
)
from roadsense.errors import InputError

BASES = Path(__file__).parents[2] / "scenarios" / "base"
HIGHWAY, RURAL = (BASES / name / "scenario.sumocfg" for name in ("highway_fast", "rural_curve"))
NOTHING = np.zeros(1, np.float32)
FULL = np.ones(1, np.float32)
DECOY = Decoy("behind", onset_s=3.0, deceleration_mps2=7.0)


def drive(options, scenario=RURAL, n_steps=60, action=NOTHING, seed=3, **config):
    """The observations, the last road, and the outcome of an episode without a hazard, and its reset's info."""
    settings = EnvConfig(n_steps=n_steps, v2v_randomised=False, **config)
    with ConvoyEnv([scenario], config=settings) as env:
        first, drawn = env.reset(seed=seed, options={"hazard": False, "v2v": "ideal", **options})
        seen, over, info = [first], False, {}
        while not over:
            observation, _, terminated, truncated, info = env.step(action)
            seen.append(observation)
            over = terminated or truncated
        return seen, env.snapshot(), info["outcome"], drawn


def test_every_preset_is_drawn_within_its_ranges():
    rng = np.random.default_rng(0)
    for ranges in SURROUNDINGS.values():
        for drawn in (draw_surroundings(rng, ranges) for _ in range(50)):
            for each in fields(drawn):
                low, high = getattr(ranges, each.name)
                assert low <= getattr(drawn, each.name) <= high
    drawn = [draw_surroundings(rng, SURROUNDINGS["mixed"]) for _ in range(200)]
    assert {one.cars_behind for one in drawn} == {0, 1, 2, 3}
    assert np.mean([one.penetration for one in drawn]) == pytest.approx(0.5, abs=0.1)


def test_surroundings_are_read_back_from_a_scenarios_param():
    asked = Surroundings(0.3, 2, 4, 0.1, 0.25, 0.5)
    found = draw_surroundings(np.random.default_rng(0), parse_surroundings(format_surroundings(asked)))
    assert found == asked


@pytest.mark.parametrize("text", ["penetration=2", "cars_behind=1.5", "ghosts=3", "penetration"])
def test_a_param_that_cannot_be_read_is_refused(text):
    with pytest.raises(InputError):
        parse_surroundings(text)


def test_wrong_ranges_names_and_options_are_refused():
    with pytest.raises(InputError, match="penetration"):
        SurroundingsRanges(penetration=(0.5, 0.2))
    with pytest.raises(InputError, match="surroundings of none"):
        EnvConfig(surroundings="mars")
    for options in ({"decoy": "loud"}, {"surroundings": 3}, {"sensors": "mars"}):
        with pytest.raises(InputError), ConvoyEnv([RURAL]) as env:
            env.reset(seed=0, options=options)


def test_cars_behind_drive_in_sumo_are_heard_and_get_no_place():
    alone, _, few, _ = drive({"surroundings": "none"})
    seen, road, outcome, drawn = drive({"surroundings": "cars_behind"})
    behind = [name for name in road.states if name.startswith("roadsense_behind")]
    assert len(behind) == drawn["surroundings"].cars_behind > 0
    ego = road.states["V001"]
    for name in behind:
        x_m, y_m = np.subtract(road.states[name][:2], ego[:2])
        assert x_m * np.cos(ego[4]) + y_m * np.sin(ego[4]) < -4
    assert outcome["messages_heard"] > few["messages_heard"] + 40 * len(behind)
    assert max(one["peer_mask"].sum() for one in seen) == max(one["peer_mask"].sum() for one in alone)


def test_an_episode_has_the_same_hazard_driver_and_radio_in_any_surroundings():
    settings = EnvConfig(n_steps=5)
    with ConvoyEnv([HIGHWAY], config=settings) as env:
        drawn = [env.reset(seed=5, options={"surroundings": name})[1] for name in SURROUNDINGS]
    same = [{key: one[key] for key in ("hazard", "driver", "v2v")} for one in drawn]
    assert all(one == same[0] for one in same)


def test_what_is_relayed_is_dropped_by_sender_and_sequence_and_changes_nothing():
    plain, _, _, _ = drive({"surroundings": "none"})
    relayed, _, outcome, _ = drive({"surroundings": "relayed"})
    assert outcome["messages_dropped"] > 20
    for one, other in zip(plain, relayed, strict=True):
        np.testing.assert_array_equal(one["peers"], other["peers"])


def test_a_relayed_message_is_news_only_where_the_original_was_lost():
    channel = V2vChannel(get_preset("ideal"), 1, 10, 0.1, np.random.default_rng(0))
    old, new = (1, 50.0, 0.0, 10.0, 0.0, 0.0), (3, 52.0, 0.0, 10.0, 0.0, 0.0)
    assert channel.take(0, new)
    assert not channel.take(0, old)
    assert not channel.take(0, new)
    assert (channel.messages[0], channel.n_dropped) == (new, 2)
    assert channel.take(0, (4, *old[1:]))


def test_relayed_messages_come_later_within_their_delay():
    channel = V2vChannel(get_preset("ideal"), 1, 100, 0.1, np.random.default_rng(0))
    relays = Relays(1.0, 1.0, 100, 0.1, np.random.default_rng(1))
    for step in range(100):
        channel.exchange(step, [(30.0, 0.0, 10.0, 0.0, 0.0)], (0.0, 0.0))
        relays.exchange(step, (0.0, 0.0, 10.0, 0.0, 0.0), [channel])
    assert 80 < relays.n_dropped <= 99
    assert 80 < channel.n_dropped <= 99


def test_a_decoy_is_drawn_as_hazards_are_and_forced_without_another_draw():
    ranges = HazardRanges(deceleration_min_mps2=5.0)
    drawn = [draw_decoy(np.random.default_rng(seed), ranges, 1.0) for seed in range(200)]
    assert {one.kind for one in drawn} == set(KINDS)
    assert all(5 <= one.deceleration_mps2 <= 8 and 5 <= one.onset_s <= 35 for one in drawn)
    one, other = np.random.default_rng(1), np.random.default_rng(1)
    assert draw_decoy(one, ranges, 0.0) is None
    assert draw_decoy(other, ranges, 0.0, DECOY) == DECOY
    assert one.uniform() == other.uniform()
    with pytest.raises(InputError, match="kind of decoy"):
        Decoy("above", 1.0, 5.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_decoy_of_each_kind_brakes_and_is_counted_apart(kind):
    decoy = replace(DECOY, kind=kind)
    _, _, calm, drawn = drive({"decoy": decoy})
    assert drawn["decoy"] == decoy
    assert (calm["decoy_kind"], calm["hazard"], calm["decoy_answered"]) == (kind, False, False)
    assert calm["decoy_onset_s"] == pytest.approx(3.0, abs=0.2)
    _, _, braking, _ = drive({"decoy": decoy}, action=np.full(1, 0.3, np.float32))
    assert braking["decoy_answered"]


def test_the_car_behind_brakes_as_hard_as_its_decoy_says():
    with ConvoyEnv([RURAL], config=EnvConfig(n_steps=60)) as env:
        env.reset(seed=3, options={"hazard": False, "decoy": DECOY})
        speeds_mps = []
        for _ in range(45):
            env.step(NOTHING)
            speeds_mps.append(env.snapshot().states["roadsense_behind_1"][2])
    hardest_mps2 = -np.diff(speeds_mps).min() / 0.1
    assert hardest_mps2 == pytest.approx(7.0, abs=0.1)


def test_braking_long_after_a_decoy_is_no_answer():
    assert REACTION_LIMIT_S == 5.0
    with ConvoyEnv([RURAL], config=EnvConfig(n_steps=120)) as env:
        env.reset(seed=3, options={"hazard": False, "decoy": replace(DECOY, onset_s=1.0)})
        for step in range(120):
            _, _, _, over, info = env.step(FULL if step > 80 else NOTHING)
            if over:
                break
    assert info["outcome"]["decoy_kind"] == "behind"
    assert not info["outcome"]["decoy_answered"]


def test_cars_on_other_roads_stay_in_range_and_off_the_egos_way():
    spawns = np.random.default_rng(0).uniform(size=(N_SPAWNS, N_DRAWN))
    cars = RadioCars(8, spawns, None, HazardProfile(None, 0.1), 0.1)
    seen = []
    for step in range(400):
        ego = (20.0 * 0.1 * step, 0.0, 20.0, 0.0, 0.0)
        cars.advance(0.1 * step, ego)
        seen += [(state[0] - ego[0], state[1], np.cos(state[4])) for state in cars.states]
    forward_m, left_m, likeness = np.array(seen).T
    assert np.hypot(forward_m, left_m).max() < 260
    on_the_way = (forward_m > 0) & (forward_m < 100) & (np.abs(left_m) < 4) & (likeness > 0.9)
    assert on_the_way.mean() < 0.005
    assert (likeness < -0.5).mean() > 0.1
    assert (likeness > 0.5).mean() > 0.1


def test_a_car_of_the_convoy_behind_is_placed_only_where_there_is_room():
    _, road, outcome, _ = drive({"surroundings": Surroundings(cars_behind=3)}, n_steps=100, action=NOTHING)
    behind = sorted(name for name in road.states if name.startswith("roadsense_behind"))
    assert behind[0] == "roadsense_behind_1"
    assert not outcome["collision"]


def test_what_a_scenario_asks_for_is_drawn_and_others_are_mixed():
    config = EnvConfig(surroundings="scenario", sensors="scenario")
    assert config.find_surroundings("penetration=0.4 cars_behind=1").cars_behind == (1, 1)
    assert config.find_surroundings(None) == SURROUNDINGS["mixed"]
    assert (config.find_sensors("worst"), config.find_sensors(None)) == ("worst", "mixed")
