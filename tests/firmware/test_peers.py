"""Which messages the firmware takes in, which car gets which place, and what it does when a sensor fails."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from roadsense.envs.assist import assist_deceleration_mps2
from roadsense.envs.observation import N_VALUES, observe, split_observation
from roadsense.envs.radio.channel import V2vChannel
from roadsense.envs.radio.presets import ESP_NOW
from tests.firmware.host import VERSION, Step, build_firmware, play

OWN = (1000.0, 2000.0, 20.0, 0.5, 0.3, -1.0)
N_CONVOY = 2


def message(sender=2, step=0, sequence=None, version=VERSION, ahead_m=30.0, **changes):
    values = {
        "x_m": OWN[0] + ahead_m,
        "y_m": OWN[1] + 5.0,
        "speed": 15.0,
        "acceleration": -4.0,
        "heading": 0.2,
        **changes,
    }
    x_m, y_m, *rest = values.values()
    return (x_m, y_m, (100 * step) % 2**32, (step if sequence is None else sequence) % 2**32, *rest, sender, version)


def decide(firmware, policy, steps, heard):
    """Plays steps; checks the last action against what the environment's own `observe` shows the policy.

    `heard` are the messages that count at the end, in their places.
    """
    found = play(firmware, steps)
    step = steps[-1].now_ms // 100
    known = [one and (one[2] // 100, *one[:2], *one[4:7]) for one in heard]
    channel = V2vChannel(replace(ESP_NOW, stale_after_s=2.0), len(known), 1, 0.1, np.random.default_rng(0))
    for place, one in enumerate(known):
        if one is not None:
            channel.take(place, one)
    assist_mps2 = assist_deceleration_mps2(found[-2, 0]) if len(found) > 1 else 0.0
    row = np.empty((1, N_VALUES), np.float32)
    observe(row[0], OWN[:5], (OWN[5], assist_mps2), [channel], step)
    expected = policy(split_observation(row)).item()
    assert found[-1, 0] == pytest.approx(expected, abs=1e-5)
    return found


@pytest.mark.parametrize(
    "dropped",
    [
        message(sender=1),  # its own, back through the mesh
        message(version=VERSION + 1),
        message(x_m=np.nan),
        message(speed=np.inf),
        message(heading=-np.nan),
        message(step=-21),  # older than 2 s
        message(step=21),  # a clock that is far ahead
    ],
)
def test_a_message_that_cannot_be_used_is_dropped_and_counted(firmware, policy, dropped):
    found = decide(firmware, policy, [Step(0, OWN, [dropped])], [None] * N_CONVOY)
    assert found[0, 2:].tolist() == [0, 1]


def test_the_newest_message_of_a_car_counts_however_they_arrive(firmware, policy):
    new, old = message(step=5), message(step=4, ahead_m=99.0)
    found = decide(firmware, policy, [Step(600, OWN, [new, old, new])], [new, None])
    assert found[0, 3] == 2


def test_a_message_is_forgotten_after_2_s_and_not_before(firmware, policy):
    first = message(step=0)
    for last, heard in ((20, first), (21, None)):
        decide(
            firmware, policy, [Step(100 * step, OWN, [first] * (step == 0)) for step in range(last + 1)], [heard, None]
        )


def test_a_car_that_starts_anew_is_heard_after_a_silence(firmware, policy):
    before, after = message(step=0, sequence=500), message(step=30, sequence=0, ahead_m=40.0)
    found = decide(firmware, policy, [Step(0, OWN, [before]), Step(3000, OWN, [after])], [after, None])
    assert found[-1, 3] == 0


def test_times_and_sequences_may_wrap_around(firmware, policy):
    end = 2**32 // 100
    before, after = message(step=end - 1, sequence=-1), message(step=end, sequence=0, ahead_m=40.0)
    steps = [Step(100 * (end - 1), OWN, [before]), Step(100 * end, OWN, [before, after])]
    found = decide(firmware, policy, steps, [after, None])
    assert found[-1, 3] == 1  # the same message twice


def test_more_senders_than_are_followed_are_dropped_until_one_falls_silent(firmware, policy):
    others = [message(sender=50 + place, ahead_m=10.0 + place) for place in range(32)]
    late = message(sender=2, ahead_m=9.0)
    found = decide(firmware, policy, [Step(0, OWN, [*others, late])], others)
    assert found[0, 3] == 1
    newcomer = message(sender=70, step=30)
    decide(firmware, policy, [Step(0, OWN, others), Step(3000, OWN, [newcomer])], [newcomer])


def test_cars_behind_and_oncoming_get_no_place(firmware, policy):
    leader, behind, oncoming = message(), message(sender=3, ahead_m=-20.0), message(sender=4, heading=OWN[4] + np.pi)
    decide(firmware, policy, [Step(0, OWN, [behind, oncoming, leader])], [leader])


def acts(firmware, heard):
    """Whether the policy brakes when it hears this message."""
    return play(firmware, [Step(0, OWN, [heard])])[0, 0] > 0


@pytest.mark.parametrize("place", range(2, 6))
def test_a_sensor_that_fails_is_counted_and_brakes_nothing_until_it_is_back(firmware, policy, place):
    broken = list(OWN)
    broken[place] = np.nan
    heard = message(ahead_m=next(way for way in range(10, 100, 10) if acts(firmware, message(ahead_m=way))))
    steps = [Step(0, OWN, [heard]), Step(100, broken), Step(200, OWN)]
    found = decide(firmware, policy, steps, [heard, None])
    assert found[:, 2].tolist() == [0, 1, 1]
    assert found[0, 0] > 0
    assert found[1, :2].tolist() == [0.0, 0.0]


def test_a_position_that_is_not_known_is_refused_as_soon_as_somebody_is_heard(firmware):
    lost = (np.nan, *OWN[1:])
    found = play(firmware, [Step(0, lost), Step(100, lost, [message()])])
    assert found[:, 2].tolist() == [0, 1]


def test_values_beyond_the_scales_are_cut_as_in_the_environment(firmware, policy):
    far = message(ahead_m=900.0, acceleration=-60.0, heading=9.0)
    decide(firmware, policy, [Step(0, OWN, [far])], [far, None])


def test_a_damaged_policy_fails_the_self_test_at_boot(export_folder, tmp_path):
    folder = shutil.copytree(export_folder, tmp_path / "export")
    source = folder / "policy.c"
    source.write_text(source.read_text().replace("tanhf(value)", "value", 1))
    program = build_firmware(folder, tmp_path / "program")
    assert subprocess.run([program], input=b"\0\0\0\0", check=False).returncode == 2
