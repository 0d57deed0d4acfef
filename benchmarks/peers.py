"""How fast two other driving environments step, in turns with ours: `python benchmarks/peers.py --peers_python PYTHON`.

sumo-rl (its example of a single intersection, over libsumo) and highway-env (50 other cars) need a Python environment
that is not in the lock:

    python3.11 -m venv /tmp/peers && /tmp/peers/bin/pip install sumo-rl highway-env eclipse-sumo libsumo

Each round steps all three, one after the other. Their steps are of different things: 5 s of an intersection in sumo-rl,
1 s of a road without lights in highway-env, 0.1 s of a road with radio and driver in ours. So the table also has the
simulated seconds per second. The last line is JSON.
"""

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.utils.compiled import is_compiled

BASES = sorted((Path(__file__).parents[1] / "scenarios" / "base").glob("*/scenario.sumocfg"))
PEER = """
import json, sys, time
name, turn_s = sys.argv[1], float(sys.argv[2])
if name == "sumo-rl":
    import os
    os.environ["LIBSUMO_AS_TRACI"] = "1"
    import sumo, sumo_rl
    os.environ.setdefault("SUMO_HOME", sumo.SUMO_HOME)
    from pathlib import Path
    nets = Path(sumo_rl.__file__).parent / "nets" / "single-intersection"
    env = sumo_rl.SumoEnvironment(
        str(nets / "single-intersection.net.xml"), str(nets / "single-intersection.rou.xml"),
        single_agent=True, num_seconds=100000, sumo_warnings=False, add_system_info=False, add_per_agent_info=False,
    )
    step_s = float(env.delta_time)
else:
    import gymnasium, highway_env
    env = gymnasium.make("highway-v0", config={"vehicles_count": 50, "duration": 40}).unwrapped
    step_s = 1.0 / env.config["policy_frequency"]
env.reset(seed=0)
n_steps, begin_s = 0, time.perf_counter()
while time.perf_counter() - begin_s < turn_s:
    _, _, terminated, truncated, _ = env.step(env.action_space.sample())
    n_steps += 1
    if terminated or truncated:
        env.reset()
elapsed_s = time.perf_counter() - begin_s
speed = n_steps / elapsed_s
sys.__stdout__.write("\\n" + json.dumps({"steps_per_s": speed, "simulated": step_s * speed}))
"""


@dataclass(frozen=True)
class PeersConfig:
    """Settings.

    Attributes:
        peers_python: Python of the environment with sumo-rl and highway-env.
        n_rounds: rounds; in each, everything is measured once.
        turn_s: time of each measurement.
    """

    peers_python: Path
    n_rounds: int = 3
    turn_s: float = 5.0


def measure_peer(config: PeersConfig, name: str) -> dict[str, float]:
    """Steps a peer in a process of its own."""
    command = [str(config.peers_python), "-c", PEER, name, str(config.turn_s)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure_ours(env: ConvoyEnv, turn_s: float) -> dict[str, float]:
    """Steps ours, resets included."""
    action, n_steps, begin_s = np.zeros(1, np.float32), 0, time.perf_counter()
    env.reset(seed=0)
    while time.perf_counter() - begin_s < turn_s:
        _, _, terminated, truncated, _ = env.step(action)
        n_steps += 1
        if terminated or truncated:
            env.reset()
    speed = n_steps / (time.perf_counter() - begin_s)
    return {"steps_per_s": speed, "simulated": speed * env.config.step_length_s}


def main() -> None:
    """Measures in rounds, and prints the table and the JSON."""
    config = tyro.cli(PeersConfig, description=__doc__)
    found: dict[str, list[dict[str, float]]] = {"roadsense": [], "sumo-rl": [], "highway-env": []}
    with ConvoyEnv(BASES, config=EnvConfig(step_info=False)) as env:
        for _ in range(config.n_rounds):
            found["roadsense"].append(measure_ours(env, config.turn_s))
            for name in ("sumo-rl", "highway-env"):
                found[name].append(measure_peer(config, name))
    medians = {
        name: {key: round(statistics.median(one[key] for one in rounds), 1) for key in rounds[0]}
        for name, rounds in found.items()
    }
    sys.stdout.write("| environment | steps/s | simulated s per s |\n|---|---|---|\n")
    for name, figures in medians.items():
        sys.stdout.write(f"| {name} | {figures['steps_per_s']} | {figures['simulated']} |\n")
    print(json.dumps({"compiled": is_compiled(), **medians}))


if __name__ == "__main__":
    main()
