"""Who struck whom, by SUMO's own record, in a real collision."""

from pathlib import Path

import numpy as np

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.driver_profile import DriverProfile
from roadsense.envs.hazard import Hazard

ROAD = Path(__file__).parents[2] / "scenarios" / "base" / "highway_fast" / "scenario.sumocfg"
TAILGATER = DriverProfile(reaction_time_s=1.6, time_headway_s=0.5)
FULL_STOP = Hazard(car=0, onset_s=8.0, deceleration_mps2=8.0, final_speed_share=0.0, hold_s=3.0)


def test_a_tailgater_runs_into_his_leader() -> None:
    with ConvoyEnv([ROAD], config=EnvConfig(step_info=True)) as env:
        env.reset(seed=0, options={"hazard": FULL_STOP, "driver": TAILGATER})
        over, infos = False, []
        while not over:
            _, _, terminated, truncated, info = env.step(np.zeros(1, np.float32))
            infos.append(info)
            over = terminated or truncated
    outcome = infos[-1]["outcome"]
    assert outcome["collision"]
    assert (outcome["collision_partner"], outcome["was_struck"]) == ("V002", False)
    before = infos[-2]
    approach_mps = before["speed_mps"] - before["leader_speed_mps"]
    assert abs(outcome["impact_speed_mps"] - approach_mps) < 1.5  # it changes by at most this in a step
    assert outcome["impact_speed_mps"] > 3.0
