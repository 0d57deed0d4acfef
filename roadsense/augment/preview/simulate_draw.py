"""Simulates a draw in a worker process; quick to import, because every such process imports it."""

from roadsense.augment.bases.base import Base
from roadsense.augment.draws.variations import Variation
from roadsense.augment.validation.scenario_files import write_scenario
from roadsense.envs.config import EnvConfig
from roadsense.episodes.plan import Plan
from roadsense.episodes.record import record_trajectory
from roadsense.episodes.trajectory import Trajectory
from roadsense.policies.rules import BASELINES
from roadsense.scenarios.records import CONFIG_NAME
from roadsense.utils.scratch import scratch_folder

STEPS_PER_S = 10


def simulate_draw(base: Base, variation: Variation, seed: int, duration_s: int) -> Trajectory:
    """Drives a draw with its radio and without assist or hazard; the process must have no open simulation.

    Raises:
        SimulationError: if SUMO refuses it or fails in it.
    """
    with scratch_folder("roadsense_preview_") as outer:
        folder = outer / base.name
        write_scenario(base, variation, folder)
        plan = Plan("unassisted", folder / CONFIG_NAME, seed, hazard=False)
        config = EnvConfig(n_steps=duration_s * STEPS_PER_S, v2v="scenario", v2v_randomised=False)
        words = f"A draw of {base.name}: {variation.density_word} traffic, {variation.driver_word} drivers, no hazard"
        return record_trajectory(plan, BASELINES["unassisted"], config, words)
