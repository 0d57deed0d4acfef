"""The row of an episode, from hand-made sequences of figures."""

import math

import pytest

from roadsense.envs.outcome import STEP_FIELDS, EpisodeNotes, split_steps, work_out
from roadsense.envs.reward import TERMS
from roadsense.envs.world import Collision

QUIET = {
    "gap_m": 25.0, "required_mps2": 0.0, "jerk_mps3": 0.0, "speed_mps": 20.0, "leader_speed_mps": 20.0,
    "acceleration_mps2": 0.0, "assist_mps2": 0.0, "silence_s": 0.0, "collision": False, "hazard_active": False,
    "follower_gap_m": math.inf, "follower_speed_mps": 0.0, "needed_mps2": 0.0, "added_mps2": 0.0,
    **dict.fromkeys(TERMS, 0.0),
}  # fmt: skip


def play(steps, hazard_at_step=None, **notes):
    """The outcome of steps of 0.1 s, each given by what differs from a quiet one."""
    recorded = []
    for changes in steps:
        assert set(changes) <= set(STEP_FIELDS)
        values = QUIET | changes
        recorded += [values[name] for name in STEP_FIELDS]
    hazard = {} if hazard_at_step is None else {"hazard_kind": "brake", "hazard_onset_s": hazard_at_step * 0.1}
    return work_out(EpisodeNotes("somewhere", 0.1, **hazard, **notes), split_steps(recorded))


def test_a_quiet_episode():
    outcome = play([{}] * 100)
    assert outcome.duration_s == pytest.approx(10.0)
    assert outcome.distance_m == pytest.approx(200.0)
    assert outcome.calm_s == pytest.approx(10.0)
    assert (outcome.collision, outcome.hazard, outcome.false_brakings) == (False, False, 0)
    assert (outcome.min_gap_m, outcome.min_time_headway_s) == (25.0, 1.25)
    assert outcome.min_ttc_s == math.inf
    assert math.isnan(outcome.reaction_time_s)
    assert math.isnan(outcome.hazard_onset_s)
    assert outcome.max_jerk_mps3 == outcome.as_row()["rms_jerk_mps3"] == outcome.max_deceleration_mps2 == 0.0


def test_an_episode_without_leader_has_infinite_distances():
    outcome = play([{"gap_m": math.inf, "leader_speed_mps": math.inf}] * 5)
    assert outcome.max_drac_mps2 == 0.0
    assert outcome.min_gap_m == outcome.min_ttc_s == outcome.min_time_headway_s == math.inf


def test_reaction_is_from_the_hazards_onset_to_braking_with_1_mps2():
    steps = [{}] * 20 + [{"hazard_active": True}] * 30
    for step in range(23, 50):
        steps[step] = steps[step] | {"assist_mps2": 3.0}
    for step in range(25, 50):
        steps[step] = steps[step] | {"acceleration_mps2": -1.5}
    outcome = play(steps, hazard_at_step=20)
    assert outcome.hazard_onset_s == pytest.approx(2.0)
    assert outcome.assist_reaction_time_s == pytest.approx(0.4)
    assert outcome.reaction_time_s == pytest.approx(0.6)


@pytest.mark.parametrize(("braking", "reacts"), [(0.9, False), (1.0, True), (1.1, True)])
def test_weaker_braking_is_no_reaction(braking, reacts):
    steps = [{"hazard_active": True, "acceleration_mps2": -braking, "assist_mps2": braking}] * 10
    outcome = play(steps, hazard_at_step=0)
    assert math.isnan(outcome.reaction_time_s) != reacts
    assert math.isnan(outcome.assist_reaction_time_s) != reacts


def test_braking_before_the_hazard_is_no_reaction_to_it():
    outcome = play([{"acceleration_mps2": -3.0, "assist_mps2": 3.0}] * 5 + [{}] * 5, hazard_at_step=5)
    assert math.isnan(outcome.reaction_time_s)
    assert math.isnan(outcome.assist_reaction_time_s)


@pytest.mark.parametrize(("after_steps", "reacts"), [(1, True), (45, True), (55, False)])
def test_braking_more_than_5_s_later_is_no_reaction(after_steps, reacts):
    brake = {"acceleration_mps2": -3.0, "assist_mps2": 3.0}
    outcome = play([{"hazard_active": True}] * (after_steps - 1) + [brake] * 5, hazard_at_step=0)
    for time_s in (outcome.reaction_time_s, outcome.assist_reaction_time_s):
        assert time_s == pytest.approx(after_steps * 0.1) if reacts else math.isnan(time_s)


def test_a_hazard_nobody_answers_has_no_reaction_time():
    outcome = play([{"hazard_active": True}] * 30, hazard_at_step=0)
    assert outcome.hazard
    assert math.isnan(outcome.reaction_time_s)


def test_false_braking_counts_beginnings_and_time():
    brake = {"assist_mps2": 4.0}
    outcome = play([{}] * 10 + [brake] * 5 + [{}] * 10 + [brake] * 3 + [{}] * 2)
    assert outcome.false_brakings == 2
    assert outcome.false_braking_s == pytest.approx(0.8)
    assert outcome.calm_s == pytest.approx(3.0)


@pytest.mark.parametrize("reason", [{"hazard_active": True}, {"required_mps2": 2.1}])
def test_braking_for_a_reason_is_not_false_nor_is_carrying_it_on(reason):
    brake = {"assist_mps2": 4.0}
    outcome = play([{}] * 10 + [reason | brake] * 10 + [brake] * 2 + [{}] * 8, hazard_at_step=10)
    assert outcome.false_brakings == 0
    assert outcome.false_braking_s == pytest.approx(0.2)
    assert outcome.calm_s == pytest.approx(2.0)


def test_slight_assist_braking_is_not_counted():
    assert play([{"assist_mps2": 0.9}] * 10).false_braking_s == 0.0


def test_jerk_is_rms_and_largest_without_sign():
    outcome = play([{"jerk_mps3": jerk} for jerk in (3.0, -4.0, 0.0, 0.0)])
    assert outcome.as_row()["rms_jerk_mps3"] == pytest.approx(2.5)
    assert outcome.max_jerk_mps3 == 4.0


def test_extremes_are_kept():
    near = {"gap_m": 10.0, "speed_mps": 20.0, "leader_speed_mps": 15.0, "acceleration_mps2": -5.0}
    outcome = play([near, {"acceleration_mps2": 2.0}])
    assert (outcome.min_gap_m, outcome.min_ttc_s, outcome.min_time_headway_s) == (10.0, 2.0, 0.5)
    assert (outcome.max_drac_mps2, outcome.max_deceleration_mps2) == (1.25, 5.0)


@pytest.mark.parametrize("was_struck", [False, True])
def test_a_collision_is_what_sumo_recorded(was_struck):
    collision = Collision("V002", was_struck, 11.0)
    outcome = play([{}] * 5 + [{"gap_m": -0.3, "collision": True}], collision=collision)
    assert (outcome.collision, outcome.collision_partner) == (True, "V002")
    assert (outcome.was_struck, outcome.impact_speed_mps) == (was_struck, 11.0)
    assert play([{}] * 5).impact_speed_mps == 0.0


def test_touching_a_faster_car_has_no_impact_speed():
    hit = {"gap_m": 0.0, "collision": True, "speed_mps": 5.0, "leader_speed_mps": 9.0}
    assert play([hit]).impact_speed_mps == 0.0


def test_what_is_noted_beside_the_steps_is_kept():
    assert play([{}] * 4, sumo_interventions=3).sumo_interventions == 3


def test_terms_are_summed_and_the_row_holds_every_figure():
    row = play([{"jerk": 0.25, "danger": 0.5}] * 4, hazard_at_step=2, reward=-3.5).as_row()
    assert (row["reward"], row["hazard"], row["hazard_kind"]) == (-3.5, True, "brake")
    assert row["term_jerk"] == pytest.approx(1.0)
    assert row["term_danger"] == pytest.approx(2.0)
    assert set(row) == {
        "scenario", "duration_s", "collision", "was_struck", "collision_partner", "impact_speed_mps",
            "hazard", "hazard_kind", "decoy_kind", "decoy_onset_s", "decoy_answered", "messages_dropped",
        "hazard_onset_s",
        "reaction_time_s", "assist_reaction_time_s", "min_gap_m", "min_ttc_s", "min_time_headway_s", "max_drac_mps2",
        "max_deceleration_mps2", "max_jerk_mps3", "rms_jerk_mps3", "calm_s", "false_braking_s", "false_brakings",
        "ordinary_stops", "ordinary_stops_braked", "distance_m", "follower_min_ttc_s", "messages_heard",
        "messages_lost", "overtook_leader", "sumo_interventions", "reward", "calm_speed_loss_mps",
        "needless_speed_loss_mps",
            "hazard_braking_mps", *(f"term_{name}" for name in TERMS),
    }  # fmt: skip
    assert all(isinstance(value, str | float | int | bool) for value in row.values())


def test_an_episode_without_a_step_has_an_outcome_too():
    outcome = play([])
    assert (outcome.duration_s, outcome.collision, outcome.min_gap_m) == (0.0, False, math.inf)


def test_contact_before_the_last_step_is_no_collision_of_the_end():
    # The environment ends at a collision; a record that goes on was not made by one.
    assert not play([{"collision": True}, {}]).collision


def test_the_car_behind_has_the_smallest_time_to_collision_with_the_ego():
    # 20 m behind and 5 m/s faster: 4 s. 9 m and 6 m/s: 1.5 s. 5 m and as fast: never.
    steps = [
        {"follower_gap_m": gap_m, "follower_speed_mps": speed_mps}
        for gap_m, speed_mps in ((20.0, 25.0), (9.0, 26.0), (5.0, 20.0))
    ]
    assert play(steps, watches_behind=True).follower_min_ttc_s == pytest.approx(1.5)
    assert play([{}] * 3, watches_behind=True).follower_min_ttc_s == math.inf  # nobody is there
    assert math.isnan(play(steps).follower_min_ttc_s)  # nobody looked


def test_messages_are_those_that_were_noted():
    outcome = play([{}] * 3, messages_heard=7, messages_lost=2)
    assert (outcome.messages_heard, outcome.messages_lost) == (7, 2)


def test_an_ordinary_stop_is_braked_if_the_assist_brakes_on_the_way_to_it():
    drives, stands = {"speed_mps": 8.0}, {"speed_mps": 0.0}
    slows = {"speed_mps": 3.0, "assist_mps2": 1.5, "required_mps2": 1.0}
    free, braked = [drives] * 30 + [stands] * 20, [drives] * 30 + [slows] * 5 + [stands] * 20
    outcome = play([*free, *braked])
    assert (outcome.ordinary_stops, outcome.ordinary_stops_braked) == (2, 1)
    long_before = play([*braked[:35], *[drives] * 101, *[stands] * 5])  # more than 10 s before
    assert (long_before.ordinary_stops, long_before.ordinary_stops_braked) == (1, 0)
    emergency = play([step | {"hazard_active": True} for step in braked], hazard_at_step=0)
    assert (emergency.ordinary_stops, emergency.ordinary_stops_braked) == (0, 0)
    assert play([stands] * 20).ordinary_stops == 0  # it stood from the first


def test_speed_that_the_assist_takes_off_counts_however_gently_it_brakes():
    gentle = {"assist_mps2": 0.5, "added_mps2": 0.5}
    outcome = play([{**gentle, "needless_braking": 0.5 / 8}] * 40 + [{**gentle, "needed_mps2": 4.0}] * 10)
    assert outcome.false_braking_s == 0.0  # below the threshold of 1 m/s2
    assert outcome.calm_speed_loss_mps == pytest.approx(2.5)
    assert outcome.needless_speed_loss_mps == pytest.approx(2.0)  # with the cars ahead it is not needless


def test_braking_after_a_hazards_onset_is_counted_until_15_s_later():
    outcome = play([{"acceleration_mps2": -2.0}] * 200, hazard_at_step=10)
    assert outcome.hazard_braking_mps == pytest.approx(30.0)
    assert math.isnan(play([{"acceleration_mps2": -2.0}] * 20).hazard_braking_mps)


def test_coming_to_a_stand_is_no_jerk_of_the_brake():
    outcome = play([{"jerk_mps3": -5.0}, {"speed_mps": 0.0, "jerk_mps3": 74.0}])
    assert outcome.max_jerk_mps3 == 5.0
