"""`roadsense drive simulate`: logs of a drive that never took place, with imperfect boxes, and the truth beside them.

No real log may be published, so samples and tests come from here: every car of a convoy in `ConvoyEnv` writes what its
sensors say and what it hears over the radio, with its own drifting clock, relayed messages, and the dirt of real logs.
"""

import io
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray

from roadsense.drives.dirt import Dirt, spoil_files, spoil_sensors
from roadsense.drives.plane import Plane
from roadsense.drives.recording import ConvoyRecord, record_convoy
from roadsense.envs.config import EnvConfig
from roadsense.envs.radio.channel import V2vChannel
from roadsense.envs.radio.presets import V2vPreset, get_preset
from roadsense.envs.sensors import GOOD, IDEAL, SENSORS, SensorRanges, draw_sensors, get_sensors
from roadsense.errors import InputError
from roadsense.policies.rules import Unassisted
from roadsense.utils.bounds import MAX_SEED, bounded, check_bounds
from roadsense.utils.files import write_atomically
from roadsense.utils.scratch import arriving
from roadsense.utils.workspace import find_file, resolve_fields

Floats = NDArray[np.float64]

TRUTH = "truth"
PLACE = Plane(52.0, 13.0)
"""Where simulated drives take place: the origin of the scenario's road."""
TX_COLUMNS = (
    "time_s", "sequence", "latitude_deg", "longitude_deg", "speed_mps", "heading_deg", "acceleration_x_mps2",
    "acceleration_y_mps2", "acceleration_z_mps2",
)  # fmt: skip
RX_COLUMNS = ("time_s", "sender", "sent_s", "sequence", "hops", *TX_COLUMNS[2:])
DRIVER_COLUMN = "driver_acceleration_mps2"
RELAY_S = (0.004, 0.02)
"""Time that a relay takes, uniformly."""
GRAVITY_MPS2 = 9.81


@dataclass(frozen=True)
class SimulateConfig:
    """Settings of `roadsense drive simulate`.

    Attributes:
        folder: new folder of the drive.
        scenario: the scenario that is driven, a `.sumocfg`.
        seed: seed of the episode and of all errors.
        duration_s: longest time of the drive; it ends earlier where the ego's route does.
        cars: most cars with a box, from the ego forward.
        v2v: radio preset: its losses and latencies; its noise is the sensors'.
        sensors: name in `roadsense.envs.sensors.SENSORS` of what the cars measure with, or a `.json` file of some.
        hazard: whether a car ahead brakes hard.
        others_hear: whether the other cars log what they hear, too.
        perfect: perfect sensors, clocks and radio, and no dirt.
    """

    folder: tyro.conf.Positional[Path]
    scenario: Path = Path("scenarios/base/highway_fast/scenario.sumocfg")
    seed: int = bounded(0, 0, MAX_SEED)
    duration_s: float = bounded(75.0, 5.0, 4000.0)
    cars: int = bounded(5, 2, 50)
    v2v: str = "esp_now"
    sensors: str = "good"
    hazard: bool = True
    others_hear: bool = True
    perfect: bool = False

    def __post_init__(self) -> None:
        check_bounds(self)
        resolve_fields(self, "folder")
        get_preset(self.v2v)
        get_sensors(self.sensors)


@dataclass(frozen=True)
class Boxes:
    """The boxes of a convoy.

    Attributes:
        sensors: what they measure with.
        drift_ppm: largest drift of a clock.
        relay_share: share of messages that a third car relays.
        digits: decimals of degrees, and of all else.
    """

    sensors: SensorRanges = GOOD
    drift_ppm: float = 40.0
    relay_share: float = 0.2
    digits: tuple[int, int] = (7, 2)


PERFECT = Boxes(SENSORS[IDEAL], 0.0, 0.0, (10, 7))
REAL = Boxes()


def simulate_drive(config: SimulateConfig) -> Path:
    """Drives an episode in the environment, the driver alone, and writes the convoy's logs; returns their folder.

    Raises:
        InputError: if the folder is not empty, or the convoy has fewer than two cars.
        ScenarioError: if the scenario cannot be opened.
    """
    n_steps = round(config.duration_s / EnvConfig.step_length_s)
    env_config = EnvConfig(n_steps=n_steps, v2v="ideal" if config.perfect else config.v2v, v2v_randomised=False)
    scenario = find_file(config.scenario)
    options = {"hazard": config.hazard}
    radio = get_preset("ideal" if config.perfect else config.v2v)
    boxes = PERFECT if config.perfect else replace(REAL, sensors=get_sensors(config.sensors))
    rng = np.random.default_rng(config.seed)
    with arriving(config.folder, "the drive") as part:
        record = record_convoy(scenario, Unassisted(), config.seed, env_config, options, config.cars)
        write_drive(part, record, radio, boxes, rng, dirty=not config.perfect, others_hear=config.others_hear)
    return config.folder


def simulate_and_print(config: SimulateConfig) -> None:
    """Writes logs of a simulated drive: imperfect boxes, drifting clocks, relays, dirt; the truth lies beside them."""
    folder = simulate_drive(config)
    sys.stdout.write(f"{folder}: a simulated drive; what really happened is in {folder / TRUTH}\n")


def write_drive(
    folder: Path,
    record: ConvoyRecord,
    radio: V2vPreset,
    boxes: Boxes,
    rng: np.random.Generator,
    dirty: bool = True,
    others_hear: bool = True,
) -> None:
    """Writes the logs of a convoy's cars, and the truth.

    Args:
        folder: folder of the logs.
        record: what the convoy did.
        radio: losses and latencies of the radio.
        boxes: errors of the boxes.
        rng: generator of all errors.
        dirty: whether the files get the dirt of real logs.
        others_hear: whether the other cars log what they hear, too.
    """
    if len(record.cars) < 2:
        raise InputError(f"{record.scenario}: expected a convoy of two cars or more, got {record.cars}.")
    measured = _measure(record, boxes.sensors, rng)
    awake = np.isfinite(record.states[..., 0])
    dirt = Dirt()
    if dirty:
        spoil_sensors(record.cars, measured, awake, dirt)
    clocks = {
        car: (float(rng.uniform(2, 60)) if dirty else 0.0, 1 + 1e-6 * float(rng.uniform(-1, 1)) * boxes.drift_ppm)
        for car in record.cars
    }
    cells = _value_cells(measured, boxes)
    files = {
        f"{car}_tx.csv": _tx_lines(record, place, cells, awake, clocks[car]) for place, car in enumerate(record.cars)
    }
    delivered = _deliver(record, radio, awake, rng)
    for place, car in enumerate(record.cars):
        if place == 0 or others_hear:
            files[f"{car}_rx.csv"] = _rx_lines(record, place, cells, delivered, clocks, radio, boxes, rng, dirt)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in spoil_files(files, record.cars, rng, dirt, dirty).items():
        write_atomically(folder / name, text)
    _write_truth(folder, record, clocks, radio, awake, delivered, dirt)


def _measure(record: ConvoyRecord, sensors: SensorRanges, rng: np.random.Generator) -> Floats:
    """Returns the states that the boxes measure, (steps, cars, 5), by the environment's own model of them."""
    n_steps, n_cars, _ = record.states.shape
    boxes = draw_sensors(sensors, n_cars, n_steps, record.step_length_s, rng)
    measured = record.states.copy()
    if boxes is not None:
        for step, car in np.argwhere(np.isfinite(record.states[..., 0])).tolist():
            measured[step, car] = boxes.sense(car, step, tuple(record.states[step, car].tolist()))
    return measured


def _value_cells(measured: Floats, boxes: Boxes) -> list[list[str]]:
    """Returns latitude to acceleration of each car at each step as text."""
    n_steps, n_cars, _ = measured.shape
    flat = measured.reshape(-1, 5)
    latitude, longitude = PLACE.to_degrees(flat[:, 0], flat[:, 1])
    known = np.isfinite(flat[:, 0])
    latitude, longitude = np.where(known, latitude, 0.0), np.where(known, longitude, 0.0)
    turn = PLACE.turn_deg(latitude, longitude) * known
    heading = (90 - np.degrees(flat[:, 4]) + turn) % 360
    fine, digits = boxes.digits
    cells = [
        f"{a:.{fine}f},{b:.{fine}f},{v:.{digits}f},{h:.{digits}f},{acc:.{digits}f},0,{GRAVITY_MPS2}"
        for a, b, v, h, acc in zip(latitude, longitude, flat[:, 2], heading, flat[:, 3], strict=True)
    ]
    return [cells[step * n_cars : (step + 1) * n_cars] for step in range(n_steps)]


def _local(time_s: float, clock: tuple[float, float]) -> str:
    return f"{clock[0] + clock[1] * time_s:.4f}"


def _tx_lines(
    record: ConvoyRecord, place: int, cells: list[list[str]], awake: NDArray[np.bool_], clock: tuple[float, float]
) -> list[str]:
    head = ",".join((*TX_COLUMNS, DRIVER_COLUMN) if place == 0 else TX_COLUMNS)
    wish = [f",{value:.7f}" for value in record.driver_mps2] if place == 0 else [""] * len(cells)
    return [head] + [
        f"{_local(time_s, clock)},{step},{cells[step][place]}{wish[step]}"
        for step, time_s in enumerate(record.time_s.tolist())
        if awake[step, place]
    ]


def _deliver(
    record: ConvoyRecord, radio: V2vPreset, awake: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Returns which messages each car hears directly, (hearers, steps, senders)."""
    n_steps, n_cars, _ = record.states.shape
    quiet = replace(
        radio, position_std_m=0.0, speed_std_mps=0.0, acceleration_std_mps2=0.0, heading_std_rad=0.0,
        latency_mean_s=0.0, latency_std_s=0.0,
    )  # fmt: skip
    delivered = np.zeros((n_cars, n_steps, n_cars), bool)
    for hearer in range(n_cars):
        channel = V2vChannel(quiet, n_cars, n_steps, record.step_length_s, rng)
        for step in range(n_steps):
            states = [
                tuple(state) if awake[step, car] and car != hearer else None
                for car, state in enumerate(record.states[step].tolist())
            ]
            own = record.states[step, hearer]
            channel.exchange(step, states, (float(own[0]), float(own[1])))
            delivered[hearer, step] = [at == step for at in channel.delivery_steps(step)]
        delivered[hearer] &= awake[:, hearer, None]
    return delivered


def _rx_lines(
    record: ConvoyRecord,
    hearer: int,
    cells: list[list[str]],
    delivered: NDArray[np.bool_],
    clocks: Mapping[str, tuple[float, float]],
    radio: V2vPreset,
    boxes: Boxes,
    rng: np.random.Generator,
    dirt: Dirt,
) -> list[str]:
    """Returns a car's file of what it heard: directly, through a relay, and its own messages that a relay sent back."""
    name, rows, n_own, n_again = record.cars[hearer], [], 0, 0
    for step, time_s in enumerate(record.time_s.tolist()):
        for sender, car in enumerate(record.cars):
            relays = [r for r in range(len(record.cars)) if r not in (hearer, sender) and delivered[r, step, sender]]
            direct = bool(delivered[hearer, step, sender])
            relayed = bool(relays) and rng.uniform() < boxes.relay_share and bool(delivered[hearer, step, relays[0]])
            ways = [0] * direct + [1] * (relayed and (sender != hearer or rng.uniform() < 0.1))
            n_own += bool(ways) and sender == hearer
            n_again += len(ways) > 1
            for hops in ways:
                late_s = max(float(rng.normal(radio.latency_mean_s, radio.latency_std_s)), 0.0)
                heard_s = time_s + late_s + hops * float(rng.uniform(*RELAY_S))
                sent = _local(time_s, clocks[car])
                rows.append(
                    (heard_s, f"{_local(heard_s, clocks[name])},{car},{sent},{step},{hops},{cells[step][sender]}")
                )
    dirt.note("own_frame", f"{name}_rx.csv", n_own)
    dirt.note("relayed_again", f"{name}_rx.csv", n_again)
    return [",".join(RX_COLUMNS), *(line for _, line in sorted(rows, key=lambda row: row[0]))]


def _write_truth(
    folder: Path,
    record: ConvoyRecord,
    clocks: Mapping[str, tuple[float, float]],
    radio: V2vPreset,
    awake: NDArray[np.bool_],
    delivered: NDArray[np.bool_],
    dirt: Dirt,
) -> None:
    facts: dict[str, Any] = {
        "scenario": record.scenario,
        "cars": record.cars,
        "step_length_s": record.step_length_s,
        "clocks": {car: {"offset_s": offset, "rate": rate} for car, (offset, rate) in clocks.items()},
        "sent": dict(zip(record.cars, awake.sum(axis=0).tolist(), strict=True)),
        "heard_directly_by_the_ego": dict(zip(record.cars, delivered[0].sum(axis=0).tolist(), strict=True)),
        "latency_mean_s": radio.latency_mean_s,
        "dirt": dirt.made,
    }
    (folder / TRUTH).mkdir(exist_ok=True)
    write_atomically(folder / TRUTH / "truth.json", json.dumps(facts, indent=1) + "\n")
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, states=record.states.astype(np.float32), driver_mps2=record.driver_mps2.astype(np.float32)
    )
    write_atomically(folder / TRUTH / "states.npz", buffer.getvalue())
