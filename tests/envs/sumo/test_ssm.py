"""The environment's TTC and DRAC against SUMO's own surrogate safety device, on the same episodes."""

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.hazard import Hazard
from roadsense.envs.sumo import connection as sumo_connection

BASE_DIR = Path(__file__).parents[3] / "scenarios" / "base"
NO_BRAKING = np.zeros(1, np.float32)
START_S = 10.1
"""Simulation time at which the convoy of every base scenario is on the road."""


def drive_with_device(scenario, seed, log, monkeypatch):
    """Drives an episode with the device on the ego; returns the infos by simulation time."""
    device = (
        "--device.ssm.explicit", "V001", "--device.ssm.measures", "TTC DRAC", "--device.ssm.thresholds", "1000 0",
        "--device.ssm.file", str(log), "--device.ssm.trajectories", "true", "--device.ssm.range", "150",
    )  # fmt: skip
    monkeypatch.setattr(sumo_connection, "OPTIONS", (*sumo_connection.OPTIONS, *device))
    infos = {}
    with ConvoyEnv([scenario], config=EnvConfig(n_steps=300)) as env:
        env.reset(seed=seed, options={"hazard": Hazard(car=0, onset_s=8.0, deceleration_mps2=5.0, hold_s=2.0)})
        over = False
        while not over:
            _, _, terminated, truncated, info = env.step(NO_BRAKING)
            infos[round(START_S + 0.1 * (len(infos) + 1), 1)] = info
            over = terminated or truncated
    return infos


def read_spans(log, foe, measure):
    """Returns the device's figure by time for the encounters with a car it followed."""
    spans = {}
    for conflict in ET.parse(log).getroot().iter("conflict"):
        if conflict.get("foe") == foe:
            times = map(float, conflict.find("timeSpan").get("values").split())
            values = conflict.find(f"{measure}Span").get("values").split()
            spans |= {round(t, 1): float(value) for t, value in zip(times, values, strict=True) if value != "NA"}
    return spans


@pytest.mark.parametrize("base", ["urban_intersection", "highway_fast"])
@pytest.mark.parametrize("seed", [0, 1])
def test_figures_are_those_of_sumos_device(base, seed, tmp_path, monkeypatch):
    log = tmp_path / "ssm.xml"
    infos = drive_with_device(BASE_DIR / base / "scenario.sumocfg", seed, log, monkeypatch)
    ttc_s, drac_mps2 = read_spans(log, "V002", "TTC"), read_spans(log, "V002", "DRAC")
    # SUMO writes a step's device figures under the time at which the step began.
    compared = [
        (infos[time], ttc_s[before], drac_mps2[before])
        for time, before in ((time, round(time - 0.1, 1)) for time in infos)
        if before in ttc_s and before in drac_mps2 and 0.5 < ttc_s[before] < 60
    ]
    assert len(compared) > 30
    for info, device_ttc_s, device_drac_mps2 in compared:
        assert math.isclose(info["ttc_s"], device_ttc_s, rel_tol=0.02, abs_tol=0.05)
        assert math.isclose(info["drac_mps2"], device_drac_mps2, rel_tol=0.05, abs_tol=0.02)
