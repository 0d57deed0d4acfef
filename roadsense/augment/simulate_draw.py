"""A draw, simulated in a worker process: light to import, since every such process imports it anew."""

from roadsense.augment.bases import Base
from roadsense.augment.scenario_files import CONFIG_NAME, write_scenario
from roadsense.augment.variations import Variation
from roadsense.envs.episode import EnvConfig
from roadsense.episodes import Plan
from roadsense.policies.baselines import BASELINES
from roadsense.scratch import scratch_folder
from roadsense.trajectory import Trajectory
from roadsense.trajectory_recording import record_trajectory

STEPS_PER_S = 10


def simulate_draw(base: Base, variation: Variation, seed: int, duration_s: int) -> Trajectory:
    """Drives a draw with its radio, and without assist or hazard; the process must have no simulation.

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
