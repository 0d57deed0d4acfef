"""What a car's box measures of the car's true state: a GPS receiver, an IMU and a message format. Presets by name.

One model serves the ego and every sender: `Sensors.sense` takes a true state and returns the measured one. All random
draws are made at the start. `ideal` measures the truth.

Position: a slowly wandering error, a first-order Gauss-Markov process, partly common to cars that are near each other
(the atmosphere and the satellites' clocks are; reflections are not), and a white one. Fixes come 1 to 10 times a
second and are some tenths of a second old; between them the box moves the position on by speed and course. Speed and
course are those of the velocity, whose error does not depend on the speed: below walking pace a course means nothing.
Acceleration: an accelerometer with a constant bias, white noise, and the road's slope in it, because it cannot tell
gravity from braking.
"""

import json
import math
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.sensing import N_ERRORS, Sensors
from roadsense.errors import InputError
from roadsense.utils.workspace import resolve

Range = tuple[float, float]
IDEAL = "ideal"
GRAVITY_MPS2 = 9.81
SLOPE_SPEED_MPS = 15.0
"""Speed at which the slope's way is driven."""


@dataclass(frozen=True)
class SensorRanges:
    """Lowest and highest value of each figure of a box; every car of an episode draws its own, uniformly.

    Attributes:
        wander_std_m: standard deviation of the slow error of each coordinate. A single-frequency receiver is within
            4.9 m in 95 % of the time worldwide, 9 m at the worst site ("GPS Standard Positioning Service Performance
            Standard", 5th edition, 2020), a standard deviation of about 2 m a coordinate; 4 m in streets.
        wander_time_s: its correlation time. Minutes in the open (Rankin, "An error model for sensor simulation: GPS and
            differential GPS", IEEE PLANS 1994, has 100 to 240 s), tens of seconds where reflections dominate.
        common_share: share of its variance that all cars of the episode have in common.
        position_std_m: white error of each coordinate of a fix, beside the radio preset's.
        velocity_std_mps: white error of each component of the velocity. u-blox gives 0.05 m/s for its M8 and M9
            receivers (data sheets UBX-15031086 and UBX-19027761); 0.3 m/s covers streets.
        fix_interval_s: time between two fixes: 10 to 1 Hz, as those receivers are set.
        fix_delay_s: age of a fix when it arrives, which the box does not know.
        bias_mps2: standard deviation of the accelerometer's constant error. The MPU-6050's zero offset is 50 to 80 mg
            (data sheet PS-MPU-6000A-00, 0.5 to 0.8 m/s2); a calibrated one has a tenth of it.
        noise_mps2: white noise of the acceleration, a car's vibration most of it: 1.6 to 2.0 m/s2 were measured in
            driving cars with such boxes on the dashboard, the slope in it.
        slope: standard deviation of the road's slope, rise over run: 0.02 to 0.06 on ordinary roads (AASHTO, "A
            Policy on Geometric Design of Highways and Streets", 2018, has 3 to 12 % as the steepest allowed).
        slope_way_m: way over which the slope changes.
        position_step_m: step of the message's coordinates: 0.01 m for 1e-7 degrees, 0.19 m for NMEA's four decimals.
        speed_step_mps: step of its speed; SAE J2735 has 0.02 m/s.
        acceleration_step_mps2: step of its acceleration; SAE J2735 has 0.01 m/s2.
        heading_step_rad: step of its heading; SAE J2735 has 0.0125 degrees, a byte has 1.4.
    """

    wander_std_m: Range = (0.0, 0.0)
    wander_time_s: Range = (60.0, 60.0)
    common_share: Range = (0.0, 0.0)
    position_std_m: Range = (0.0, 0.0)
    velocity_std_mps: Range = (0.0, 0.0)
    fix_interval_s: Range = (0.0, 0.0)
    fix_delay_s: Range = (0.0, 0.0)
    bias_mps2: Range = (0.0, 0.0)
    noise_mps2: Range = (0.0, 0.0)
    slope: Range = (0.0, 0.0)
    slope_way_m: Range = (200.0, 200.0)
    position_step_m: Range = (0.0, 0.0)
    speed_step_mps: Range = (0.0, 0.0)
    acceleration_step_mps2: Range = (0.0, 0.0)
    heading_step_rad: Range = (0.0, 0.0)

    def __post_init__(self) -> None:
        for each in fields(self):
            low, high = getattr(self, each.name)
            if not 0 <= low <= high < math.inf:
                raise InputError(f"Expected {each.name} as two finite numbers from 0, low to high, got {low}, {high}.")

    @property
    def are_ideal(self) -> bool:
        """Whether everything is measured as it is."""
        times = ("wander_time_s", "slope_way_m", "common_share")
        return all(getattr(self, each.name)[1] == 0 for each in fields(self) if each.name not in times)


GOOD = SensorRanges(
    wander_std_m=(0.3, 1.0), wander_time_s=(60.0, 240.0), common_share=(0.5, 0.9), position_std_m=(0.0, 0.2),
    velocity_std_mps=(0.03, 0.05), fix_interval_s=(0.1, 0.1), fix_delay_s=(0.0, 0.1), bias_mps2=(0.02, 0.05),
    noise_mps2=(0.05, 0.2), slope=(0.0, 0.02), slope_way_m=(200.0, 400.0), position_step_m=(0.01, 0.01),
    speed_step_mps=(0.02, 0.02), acceleration_step_mps2=(0.01, 0.01), heading_step_rad=(0.0002, 0.0002),
)  # fmt: skip
HOBBY = SensorRanges(
    wander_std_m=(1.0, 2.5), wander_time_s=(30.0, 180.0), common_share=(0.3, 0.8), position_std_m=(0.1, 0.5),
    velocity_std_mps=(0.05, 0.15), fix_interval_s=(0.1, 0.2), fix_delay_s=(0.05, 0.2), bias_mps2=(0.05, 0.3),
    noise_mps2=(0.2, 1.0), slope=(0.01, 0.04), slope_way_m=(100.0, 300.0), position_step_m=(0.01, 0.2),
    speed_step_mps=(0.02, 0.1), acceleration_step_mps2=(0.01, 0.1), heading_step_rad=(0.0002, 0.02),
)  # fmt: skip
WORST = SensorRanges(
    wander_std_m=(2.5, 4.0), wander_time_s=(20.0, 60.0), common_share=(0.0, 0.3), position_std_m=(0.5, 1.0),
    velocity_std_mps=(0.15, 0.3), fix_interval_s=(0.5, 1.0), fix_delay_s=(0.1, 0.3), bias_mps2=(0.3, 0.6),
    noise_mps2=(1.0, 2.0), slope=(0.03, 0.06), slope_way_m=(60.0, 200.0), position_step_m=(0.1, 0.2),
    speed_step_mps=(0.1, 0.3), acceleration_step_mps2=(0.05, 0.1), heading_step_rad=(0.01, 0.025),
)  # fmt: skip


SENSORS: dict[str, SensorRanges] = {
    IDEAL: SensorRanges(),
    "good": GOOD,
    "hobby": HOBBY,
    "worst": WORST,
}
"""Boxes by name: the truth; a calibrated box with a modern receiver; a hobbyist's, as ESP32 projects use them; a badly
mounted one with an old receiver."""
MIXED = "mixed"
"""Name for one of `SENSORS`, drawn anew in each episode."""


def check_sensors(name: str) -> None:
    """Checks the name of sensors.

    Raises:
        InputError: if it is none of `SENSORS`, not `MIXED`, and no `.json` file of `sensors_to_json`.
    """
    if name != MIXED:
        get_sensors(name)


def get_sensors(name: str) -> SensorRanges:
    """Returns the ranges of a name in `SENSORS`, or those in a `.json` file, as `roadsense drive compare` writes it.

    Raises:
        InputError: if there are none of that name, or no such file.
    """
    if name.endswith(".json"):
        if not resolve(name).is_file():
            raise InputError(
                f"Expected sensors in {name}, found no file. Make one with `roadsense drive compare --ranges_file`."
            )
        return sensors_from_json(resolve(name).read_text(encoding="utf-8"))
    if name not in SENSORS:
        raise InputError(
            f"Expected sensors of {', '.join(SENSORS)}, {MIXED}, 'scenario' or a .json file, got {name!r}."
        )
    return SENSORS[name]


def sensors_to_json(ranges: SensorRanges) -> str:
    """Returns the ranges of sensors as JSON, by the names of their fields; `sensors_from_json` reads them back."""
    return json.dumps(asdict(ranges), indent=2)


def sensors_from_json(text: str) -> SensorRanges:
    """Returns the ranges that `sensors_to_json` wrote.

    Raises:
        InputError: if it is no JSON, has a missing or unknown field, or a range is no two numbers from 0, low to high.
    """
    try:
        found = json.loads(text, parse_int=float)
    except ValueError as error:
        raise InputError(f"Expected ranges of sensors as JSON, got {text[:40]!r}: {error}.") from error
    names = [each.name for each in fields(SensorRanges)]
    if not isinstance(found, dict) or set(found) != set(names):
        got = sorted(found) if isinstance(found, dict) else found
        raise InputError(f"Expected ranges of sensors with the fields {names}, got {got}. Add or delete what differs.")
    for name, ends in found.items():
        if not isinstance(ends, list) or len(ends) != 2 or not all(isinstance(end, float) for end in ends):
            raise InputError(f"Expected {name} as two numbers, low to high, got {ends!r}. Correct it.")
    return SensorRanges(**{name: (low, high) for name, (low, high) in found.items()})


def choose_sensors(name: str, rng: np.random.Generator) -> str:
    """Returns the name of an episode's sensors: one of `SENSORS`, drawn for `MIXED`; always with one draw."""
    drawn = list(SENSORS)[int(rng.integers(len(SENSORS)))]
    return drawn if name == MIXED else name


def draw_sensors(
    ranges: SensorRanges, n_cars: int, n_steps: int, step_length_s: float, rng: np.random.Generator
) -> Sensors | None:
    """Returns the boxes of some cars over an episode, each with figures of its own; None if they measure the truth.

    Args:
        ranges: ranges of the figures.
        n_cars: number of cars.
        n_steps: number of steps of the episode.
        step_length_s: time between two steps.
        rng: generator of all draws.
    """
    if ranges.are_ideal:
        return None
    ends = {each.name: getattr(ranges, each.name) for each in fields(ranges)}
    box = {name: rng.uniform(low, high, size=n_cars) for name, (low, high) in ends.items()}
    common = _wander(rng, n_steps, np.full(1, box["wander_time_s"].mean()), 2, step_length_s)
    own = _wander(rng, n_steps, box["wander_time_s"], 2, step_length_s)
    share = box["common_share"][:, None]
    wander = box["wander_std_m"][:, None] * (np.sqrt(share) * common + np.sqrt(1 - share) * own)
    white = rng.standard_normal((n_steps, n_cars, 5))
    errors = np.empty((n_steps, n_cars, N_ERRORS))
    errors[..., 0:2] = wander + box["position_std_m"][:, None] * white[..., 0:2]
    errors[..., 2:4] = box["velocity_std_mps"][:, None] * white[..., 2:4]
    errors[..., 4] = rng.uniform(-math.pi, math.pi, (n_steps, n_cars))
    slope = _wander(rng, n_steps, box["slope_way_m"] / SLOPE_SPEED_MPS, 1, step_length_s)[..., 0]
    bias_mps2 = box["bias_mps2"] * rng.standard_normal(n_cars)
    errors[..., 5] = bias_mps2 + GRAVITY_MPS2 * box["slope"] * slope + box["noise_mps2"] * white[..., 4]
    steps = ("position_step_m", "speed_step_mps", "acceleration_step_mps2", "heading_step_rad")
    fixes = _draw_fixes(box["fix_interval_s"], box["fix_delay_s"], n_steps, step_length_s, rng)
    return Sensors(errors, *fixes, np.stack([box[name] for name in steps], axis=1))


def _wander(
    rng: np.random.Generator, n_steps: int, time_s: NDArray[np.float64], n_values: int, step_length_s: float
) -> NDArray[np.float64]:
    """Returns first-order Gauss-Markov processes of variance 1, shape (n_steps, n_cars, n_values)."""
    keep = np.exp(-step_length_s / time_s)[:, None]
    values = rng.standard_normal((n_steps, len(time_s), n_values))
    values[1:] *= np.sqrt(1 - keep**2)
    for step in range(1, n_steps):
        values[step] += keep * values[step - 1]
    return values


def _draw_fixes(
    interval_s: NDArray[np.float64],
    delay_s: NDArray[np.float64],
    n_steps: int,
    step_length_s: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Returns the step of the newest fix that has arrived at each step, and the time since then, (n_steps, n_cars)."""
    interval_s = np.maximum(interval_s, step_length_s)
    first_s = rng.uniform(-interval_s, 0.0)
    now_s = step_length_s * np.arange(n_steps)[:, None]
    number = np.floor((now_s - delay_s - first_s) / interval_s + 1e-9)
    taken_s = first_s + number * interval_s
    fix_steps = np.clip(np.floor(taken_s / step_length_s + 1e-9), 0, None).astype(np.intp)
    return fix_steps, now_s - taken_s - delay_s
