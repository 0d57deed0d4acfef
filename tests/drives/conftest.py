"""Simulated drives, made once: a dirty one, and a perfect one with what the environment let the policy see."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from roadsense.drives.recording import ConvoyRecord, record_convoy
from roadsense.drives.simulate import PERFECT, REAL, write_drive
from roadsense.envs.config import EnvConfig
from roadsense.envs.radio.presets import get_preset
from roadsense.policies.rules import BASELINES

SCENARIO = Path(__file__).parents[2] / "scenarios" / "base" / "highway_fast" / "scenario.sumocfg"
ESP32_TX = (
    "timestamp_local_ms,msg_timestamp,vehicle_id,lat,lon,speed,heading,accel_x,accel_y,accel_z,"
    "gyro_x,gyro_y,gyro_z,mag_x,mag_y,mag_z"
)
ESP32_RX = ESP32_TX.replace("vehicle_id", "from_vehicle_id,hop_count")


@pytest.fixture(scope="session")
def record() -> ConvoyRecord:
    """A convoy that brakes hard, its ego driven by the cautious rule."""
    config = EnvConfig(n_steps=700, v2v="ideal", v2v_randomised=False)
    return record_convoy(SCENARIO, BASELINES["cautious_rule"], 3, config, {"hazard": True})


@pytest.fixture(scope="session")
def perfect(record, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drives") / "perfect"
    write_drive(folder, record, get_preset("ideal"), PERFECT, np.random.default_rng(0), dirty=False)
    return folder


@pytest.fixture(scope="session")
def dirty(record, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drives") / "dirty"
    three = replace(record, cars=record.cars[:3], states=record.states[:, :3])
    write_drive(folder, three, get_preset("esp_now"), REAL, np.random.default_rng(1))
    return folder


def to_esp32(source: Path, folder: Path, turn=(0, 1, 2), signs=(1, 1, 1)) -> Path:
    """Writes a drive again with the columns of ESP32 boxes, the boards turned; returns the folder."""
    folder.mkdir(parents=True)
    for path in source.glob("*.csv"):
        head, *lines = path.read_text(encoding="utf-8-sig").splitlines()
        names = head.split(",")
        rows = [ESP32_TX if path.stem.endswith("tx") else ESP32_RX]
        for line in lines:
            if line.count(",") < len(names) - 1:
                continue
            cell = dict(zip(names, line.split(","), strict=True))
            axes = [float(cell[f"acceleration_{axis}_mps2"]) for axis in "xyz"]
            turned = ",".join(f"{sign * axes[axis]:.4f}" for axis, sign in zip(turn, signs, strict=True))
            local_ms = round(1000 * float(cell["time_s"]))
            sent_ms = round(1000 * float(cell["sent_s"])) if "sent_s" in cell else local_ms
            who = f"{cell['sender']},{cell['hops']}" if "sender" in cell else path.stem.split("_")[0]
            place = ",".join(cell[name] for name in ("latitude_deg", "longitude_deg", "speed_mps", "heading_deg"))
            rows.append(f"{local_ms},{sent_ms},{who},{place},{turned},0,0,0,20,0,-40")
        (folder / path.name).write_text("\n".join(rows) + "\n")
    return folder


def write_straight_drive(
    folder: Path, length_m: float, spacing_m: float, speed_mps: float, north_m: float = 0.0, slope: float = 0.0
) -> Path:
    """Writes a drive of three cars straight east at a constant speed, with perfect sensors; returns its folder."""
    n = int(length_m / speed_mps / 0.1)
    states = np.zeros((n, 3, 5))
    for place in range(3):
        states[:, place, 0] = 50 + spacing_m * place + speed_mps * 0.1 * np.arange(n)
    states[..., 1], states[..., 2] = north_m, speed_mps
    cars = ("V001", "V002", "V003")
    record = ConvoyRecord("straight", cars, 0.1, states, states[:, 0, 3], (), np.zeros(n), SCENARIO)
    write_drive(folder, record, get_preset("ideal"), PERFECT, np.random.default_rng(0), dirty=False)
    if slope:
        for path in folder.glob("*_tx.csv"):
            head, *lines = path.read_text().splitlines()
            climbed = [f"{line},{slope * speed_mps * 0.1 * step:.3f}" for step, line in enumerate(lines)]
            path.write_text("\n".join([f"{head},altitude_m", *climbed]) + "\n")
    return folder
