"""The reward: every term at its corners, where it grows, and the sum."""

import math
import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadsense.envs.config import RewardWeights
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.reward import TERMS, RewardTerms, Situation, reward_terms, weigh
from roadsense.errors import InputError

CALM = Situation(
    collision=False,
    required_mps2=0.0,
    assist_mps2=0.0,
    hazard_active=False,
    jerk_mps3=0.0,
    gap_m=20.0,
    speed_mps=20.0,
    acceleration_mps2=0.0,
    silence_s=0.1,
    leader_speed_mps=20.0,
    needed_mps2=0.0,
    added_mps2=0.0,
)
BLIND = CALM._replace(silence_s=0.5)
situations = st.builds(
    Situation,
    collision=st.booleans(),
    required_mps2=st.floats(0, 1e4),
    assist_mps2=st.floats(0, 8),
    hazard_active=st.booleans(),
    jerk_mps3=st.floats(-500, 500),
    gap_m=st.floats(-1, 1e3) | st.just(math.inf),
    speed_mps=st.floats(0, 60),
    acceleration_mps2=st.floats(-12, 5),
    silence_s=st.floats(0, 2),
    leader_speed_mps=st.floats(0, 60) | st.just(math.inf),
    needed_mps2=st.floats(0, 1e4),
    added_mps2=st.floats(0, 8),
)


def term(name, **changes):
    return by_name(CALM._replace(**changes))[name]


def by_name(situation):
    return reward_terms(situation)._asdict()


def reward(situation, weights=None):
    weights = weights or RewardWeights()
    return weigh(reward_terms(situation), RewardTerms(*(getattr(weights, name) for name in TERMS)))


def test_a_calm_step_has_no_terms():
    assert set(reward_terms(CALM)) == {0.0}
    assert reward(CALM) == 0.0


def test_a_collision_counts_once():
    assert term("collision", collision=True) == 1.0
    assert reward(CALM._replace(collision=True)) == RewardWeights().collision


@pytest.mark.parametrize(("required", "value"), [(0, 0), (2, 0), (3.5, 0.25), (5, 0.5), (8, 1), (1000, 1)])
def test_danger_goes_from_comfortable_to_full_braking(required, value):
    assert term("danger", required_mps2=required) == pytest.approx(value)


@pytest.mark.parametrize(
    ("needed", "assist", "value"),
    [(1.9, 8, 0), (2, 2, 0.25), (2, 8, 0.25), (4, 2, 0.25), (4, 8, 0.5), (8, 8, 1), (50, 8, 1), (50, 0, 0)],
)
def test_early_braking_is_what_the_assist_gives_towards_what_is_needed(needed, assist, value):
    assert term("early_braking", needed_mps2=needed, assist_mps2=assist) == pytest.approx(value)


@pytest.mark.parametrize(
    ("needed", "assist", "added", "value"),
    [
        (0, 0.1, 0.1, 0.0125), (0, 0.75, 0.75, 0.09375), (0, 4, 4, 0.5), (0, 8, 8, 1),  # the weakest counts
        (0, 4, 1, 0.125),  # the driver brakes with 3 m/s2 himself
        (0, 0.3, 2.1, 0.2625),  # the driver would start with 1.8 m/s2, and stands
        (2, 4, 4, 0.5), (3, 3, 3, 0), (3, 7, 7, 0.5), (9, 8, 8, 0),  # comfort needs none of it
    ],
)  # fmt: skip
def test_needless_braking_is_what_the_assist_takes_off_beyond_need(needed, assist, added, value):
    for hazard_active in (False, True):
        changes = {"needed_mps2": needed, "assist_mps2": assist, "added_mps2": added, "hazard_active": hazard_active}
        assert term("needless_braking", **changes) == pytest.approx(value)


@pytest.mark.parametrize(
    ("needed", "assist", "value"),
    [(0, 0.6, 0), (0, 1.4, 0.1), (0, 8, 0.925), (1.9, 1.4, 0.1), (3, 3.6, 0), (3, 4.4, 0.1), (9, 8, 0)],
)
def test_needless_braking_beyond_lifting_the_foot_counts_again(needed, assist, value):
    for silence_s in (0.0, 1.0):
        changes = {"needed_mps2": needed, "assist_mps2": assist, "silence_s": silence_s}
        assert term("hard_needless_braking", **changes) == pytest.approx(value)


def test_behind_a_silent_leader_the_drivers_wish_to_close_up_does_not_count():
    falling_back = {"assist_mps2": 0.45, "added_mps2": 1.45}
    assert term("needless_braking", silence_s=0.5, **falling_back) == pytest.approx(0.45 / 8)
    assert term("needless_braking", silence_s=0.2, **falling_back) == pytest.approx(1.45 / 8)


@pytest.mark.parametrize(("jerk", "value"), [(0, 0), (20, 0.0625), (-40, 0.25), (80, 1), (-200, 1)])
def test_jerk_is_squared(jerk, value):
    assert term("jerk", jerk_mps3=jerk) == pytest.approx(value)


@pytest.mark.parametrize(
    ("gap", "speed", "value"),
    [(10.5, 20, 0.75), (21, 20, 0.5), (42, 20, 0), (90, 20, 0), (math.inf, 20, 0), (2.5, 0, 0)],
)
def test_blind_following_is_how_far_the_gap_is_short_of_two_seconds(gap, speed, value):
    assert term("blind_following", gap_m=gap, speed_mps=speed, silence_s=0.3) == pytest.approx(value)
    assert term("blind_following", gap_m=gap, speed_mps=speed, silence_s=0.2) == 0.0


@pytest.mark.parametrize(("acceleration", "share"), [(1.5, 1), (0, 1), (-0.1, 0.5), (-0.2, 0), (-8, 0)])
def test_whoever_falls_back_is_not_blamed_for_the_gap(acceleration, share):
    full = by_name(BLIND)["blind_following"]
    assert full > 0.5
    assert by_name(BLIND._replace(acceleration_mps2=acceleration))["blind_following"] == pytest.approx(full * share)


def test_falling_back_from_a_silent_leader_by_the_assist_pays_off_at_once():
    falling_back = BLIND._replace(acceleration_mps2=-0.6, assist_mps2=0.6, added_mps2=0.6)
    assert reward(falling_back) > reward(BLIND)
    assert reward(falling_back._replace(silence_s=0.1)) < reward(CALM)


@given(situations)
def test_every_term_is_from_0_to_1(situation):
    terms = reward_terms(situation)
    assert len(terms) == len(TERMS)
    assert all(0.0 <= value <= 1.0 for value in terms)


@given(situations, st.floats(0, 20))
def test_terms_grow_the_way_they_should(situation, more):
    now = by_name(situation)
    needed_mps2 = situation.needed_mps2 + more
    nearer = by_name(situation._replace(required_mps2=situation.required_mps2 + more, needed_mps2=needed_mps2))
    assist_mps2, added_mps2 = situation.assist_mps2 + more, situation.added_mps2 + more
    harder = by_name(situation._replace(assist_mps2=assist_mps2, added_mps2=added_mps2))
    away = more if situation.jerk_mps3 >= 0 else -more
    rougher = by_name(situation._replace(jerk_mps3=situation.jerk_mps3 + away))
    assert nearer["danger"] >= now["danger"]
    assert nearer["early_braking"] >= now["early_braking"]
    assert nearer["needless_braking"] <= now["needless_braking"]
    assert harder["early_braking"] >= now["early_braking"]
    assert harder["needless_braking"] >= now["needless_braking"]
    assert harder["hard_needless_braking"] >= now["hard_needless_braking"]
    assert harder["danger"] == now["danger"]
    assert rougher["jerk"] >= now["jerk"]


def test_the_sum_is_the_one_by_hand():
    situation = BLIND._replace(
        collision=True, required_mps2=5.0, needed_mps2=5.0, assist_mps2=4.0, jerk_mps3=20.0, gap_m=10.5
    )
    weights = RewardWeights(
        collision=-10,
        danger=-2,
        early_braking=0.4,
        needless_braking=-3,
        hard_needless_braking=-2,
        jerk=-0.2,
        blind_following=-0.5,
    )
    assert reward(situation, weights) == pytest.approx(-10 - 2 * 0.5 + 0.4 * 0.5 - 0 - 0.2 * 0.0625 - 0.5 * 0.75)


def stated_range():
    low, high = re.search(r"Range of a step: (-?[\d.]+) to (-?[\d.]+)\.\n", ConvoyEnv.__doc__).groups()
    return float(low), float(high)


@given(situations)
def test_no_step_leaves_the_range_the_environment_states(situation):
    low, high = stated_range()
    assert low <= reward(situation) <= high


def test_the_environment_states_its_weights():
    weights = RewardWeights()
    stated = re.search(r"weighted by `RewardWeights`: (.*?);", ConvoyEnv.__doc__, re.S).group(1)
    numbers = [float(number) for number in re.findall(r"\(([-+][\d.]+)\)", stated)]
    assert numbers == [getattr(weights, name) for name in TERMS]


@pytest.mark.parametrize(("required", "hazard"), list(product((2.1, 6.0), (False, True))))
def test_braking_as_required_beyond_comfort_is_never_worse_than_not_braking(required, hazard):
    there = CALM._replace(required_mps2=required, needed_mps2=required, hazard_active=hazard)
    braking = there._replace(assist_mps2=required)
    assert reward(braking) >= reward(there)


@pytest.mark.parametrize(
    "wrong", [{"collision": 1.0}, {"early_braking": -0.1}, {"jerk": 0.1}, {"danger": float("nan")}]
)
def test_weights_of_the_wrong_sign_are_refused(wrong):
    with pytest.raises(InputError, match=f"weight of {next(iter(wrong))}"):
        RewardWeights(**wrong)
