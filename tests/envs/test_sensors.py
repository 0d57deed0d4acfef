"""The boxes' errors have the figures that the presets say, and the truth stays the truth."""

import math
from dataclasses import replace

import numpy as np
import pytest

from roadsense.envs.config import EnvConfig
from roadsense.envs.sensors import SENSORS, SensorRanges, choose_sensors, draw_sensors, get_sensors, sensors_to_json
from roadsense.errors import InputError

STEP_S = 0.1


def measure(ranges, state=(0.0, 0.0, 20.0, 0.0, 0.0), n_steps=2000, n_cars=20, seed=0):
    """(n_steps, n_cars, 5): what the boxes of cars that drive straight on at a steady speed say, less the truth."""
    sensors = draw_sensors(ranges, n_cars, n_steps, STEP_S, np.random.default_rng(seed))
    x_m, y_m, speed_mps, acceleration_mps2, heading_rad = state
    errors = np.empty((n_steps, n_cars, 5))
    for step in range(n_steps):
        way_m = speed_mps * step * STEP_S
        place = (x_m + way_m * math.cos(heading_rad), y_m + way_m * math.sin(heading_rad))
        truth = (*place, speed_mps, acceleration_mps2, heading_rad)
        errors[step] = [np.subtract(sensors.sense(car, step, truth), truth) for car in range(n_cars)]
    return errors


def test_ideal_sensors_measure_the_truth():
    assert draw_sensors(SENSORS["ideal"], 3, 10, STEP_S, np.random.default_rng(0)) is None


def test_the_position_wanders_by_its_figure_and_slowly():
    errors = measure(SensorRanges(wander_std_m=(2.0, 2.0), wander_time_s=(20.0, 20.0)), n_cars=60)[..., :2]
    assert errors.std() == pytest.approx(2.0, rel=0.1)
    at_once, later = (np.mean(errors[lag:] * errors[:-lag]) / np.mean(errors**2) for lag in (1, 200))
    assert at_once == pytest.approx(math.exp(-0.1 / 20), abs=0.01)
    assert later == pytest.approx(math.exp(-20 / 20), abs=0.15)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_it_is_common_to_all_cars(share):
    wandering = SensorRanges(wander_std_m=(2.0, 2.0), wander_time_s=(5.0, 5.0), common_share=(share, share))
    errors = measure(wandering, n_cars=2, n_steps=6000)[..., 0]
    assert np.corrcoef(errors.T)[0, 1] == pytest.approx(share, abs=0.15)


def test_a_fix_is_as_old_as_its_delay_and_is_moved_on_until_the_next():
    late = SensorRanges(fix_interval_s=(1.0, 1.0), fix_delay_s=(0.2, 0.2))
    errors = measure(late)[20:, :, 0]
    # 20 m/s for 0.2 s that the box does not know of, and at most a step for the fix's time within its step.
    assert errors.min() > -20 * 0.3 - 1e-6
    assert errors.max() < -20 * 0.2 + 1e-6


def test_without_a_speed_a_fix_stays_where_it_is_until_the_next():
    sensors = draw_sensors(SensorRanges(fix_interval_s=(0.5, 0.5)), 1, 50, STEP_S, np.random.default_rng(3))
    said_mps = [sensors.sense(0, step, (0.0, 0.0, float(step), 0.0, 0.0))[2] for step in range(50)]
    assert len(set(said_mps)) == pytest.approx(10, abs=1)


def test_a_course_means_nothing_below_walking_pace():
    noisy = SensorRanges(velocity_std_mps=(0.1, 0.1))
    fast, slow = (measure(noisy, (0.0, 0.0, speed_mps, 0.0, 0.0))[..., 4] for speed_mps in (20.0, 0.5))
    assert fast.std() == pytest.approx(0.1 / 20, rel=0.1)
    assert slow.std() == pytest.approx(2 * math.pi / math.sqrt(12), rel=0.05)


def test_an_accelerometer_has_a_bias_of_its_own_noise_and_the_slope():
    errors = measure(SensorRanges(bias_mps2=(0.5, 0.5), noise_mps2=(1.0, 1.0)), n_cars=200, n_steps=300)[..., 3]
    assert errors.mean(axis=0).std() == pytest.approx(0.5, rel=0.15)
    assert (errors - errors.mean(axis=0)).std() == pytest.approx(1.0, rel=0.05)
    slope = measure(SensorRanges(slope=(0.05, 0.05), slope_way_m=(75.0, 75.0)), n_cars=100)[..., 3]
    assert slope.std() == pytest.approx(9.81 * 0.05, rel=0.1)


def test_messages_are_rounded_to_the_steps_of_their_format():
    steps = {"position_step_m": 0.5, "speed_step_mps": 0.3, "acceleration_step_mps2": 0.2, "heading_step_rad": 0.1}
    ranges = SensorRanges(**{name: (step, step) for name, step in steps.items()})
    sensors = draw_sensors(ranges, 1, 1, STEP_S, np.random.default_rng(0))
    said = sensors.sense(0, 0, (1.3, -2.2, 9.97, -3.07, 0.33))
    np.testing.assert_allclose(said, (1.5, -2.0, 9.9, -3.0, 0.3))


def test_a_car_that_takes_over_a_number_has_no_fix_of_the_one_before():
    late = SensorRanges(fix_interval_s=(1.0, 1.0), fix_delay_s=(0.2, 0.2))
    sensors = draw_sensors(late, 1, 40, STEP_S, np.random.default_rng(0))
    for step in range(20):
        sensors.sense(0, step, (0.0, 0.0, 0.0, 0.0, 0.0))
    sensors.forget(0)
    assert sensors.sense(0, 20, (900.0, 0.0, 0.0, 0.0, 0.0))[0] == pytest.approx(900.0)


def test_sensors_are_drawn_alike_from_a_seed_and_mixed_ones_are_all_of_them():
    one, other = (measure(SENSORS["hobby"], n_steps=50, seed=4) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    rng = np.random.default_rng(0)
    assert {choose_sensors("mixed", rng) for _ in range(100)} == set(SENSORS)
    assert choose_sensors("worst", rng) == "worst"


def test_wrong_figures_and_names_are_refused():
    with pytest.raises(InputError, match="noise_mps2"):
        replace(SENSORS["good"], noise_mps2=(2.0, 1.0))
    with pytest.raises(InputError, match="sensors of ideal, good, hobby, worst"):
        EnvConfig(sensors="perfect")


def test_sensors_of_ones_own_are_read_from_a_file(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(sensors_to_json(SENSORS["hobby"]))
    assert get_sensors(str(path)) == SENSORS["hobby"]
    assert EnvConfig(sensors=str(path)).find_sensors(None) == str(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "as JSON"),
        ("{}", "with the fields"),
        (sensors_to_json(SENSORS["hobby"]).replace("wander_std_m", "wonder"), "got .*wonder"),
        (sensors_to_json(SENSORS["ideal"]).replace(" 0.0", " NaN"), "two finite numbers"),
        (sensors_to_json(SENSORS["ideal"]).replace(" 0.0", ' "a"'), "two numbers"),
    ],
)
def test_a_damaged_file_of_sensors_is_refused(tmp_path, text, message):
    (tmp_path / "mine.json").write_text(text)
    with pytest.raises(InputError, match=message):
        EnvConfig(sensors=str(tmp_path / "mine.json"))
    with pytest.raises(InputError, match="found no file"):
        EnvConfig(sensors=str(tmp_path / "none.json"))
