"""How large and how fast an exported policy is: `python benchmarks/export.py`.

A policy of the default size is converted in float32 and int8 and measured in one run: bytes, the arena it needs on
TFLite Micro, and the time of one action beside Stable-Baselines3's `predict`, on one core. Its weights are drawn, not
learned: size, arena and time do not depend on them. There is no card in it, which takes about 5 kB. The files of a
trained run's export, with their cards, are measured with `--run_dir`. The last line is JSON.
"""

import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from roadsense.envs.observation import Observation, observation_space
from roadsense.exporting.config import POLICY_NAMES
from roadsense.exporting.convert import convert_float32, convert_int8
from roadsense.exporting.latency import SB3, Latency, measure_latencies
from roadsense.exporting.micro import align, measure_arena
from roadsense.policies.actor import read_actor
from roadsense.policies.models import ACTION_SPACE, load_model
from roadsense.runs.run import open_run
from roadsense.utils.worker_processes import side_processes

GOALS = {
    "float32_bytes": ("at most", 45_000),
    "int8_bytes": ("at most", 20_000),
    "float32_arena_bytes": ("at most", 8_000),
    "int8_arena_bytes": ("at most", 8_000),
    "litert_float32_speedup": ("at least", 30),
    "litert_int8_speedup": ("at least", 30),
}


@dataclass(frozen=True)
class BenchmarkConfig:
    """Settings.

    Attributes:
        run_dir: an exported run to measure; by default an untrained policy of the default size.
        n_calls: actions that are timed of each.
        n_rounds: how often everything is timed; the best round counts, since others share the machine.
        seed: of weights and observations.
    """

    run_dir: str | None = None
    n_calls: int = 2000
    n_rounds: int = 3
    seed: int = 0


def save_model(folder: Path, seed: int) -> Path:
    """Saves an untrained policy as large as a training's default."""
    import gymnasium
    from stable_baselines3 import PPO

    from roadsense.policies.deep_sets import DeepSetsExtractor
    from roadsense.training.train_config import TrainConfig

    class _Spaces(gymnasium.Env):
        observation_space, action_space = observation_space(), ACTION_SPACE

    config = TrainConfig()
    network = {
        "features_extractor_class": DeepSetsExtractor,
        "features_extractor_kwargs": {"n_units": config.n_units},
        "net_arch": [config.net_width, config.net_width],
    }
    model = PPO("MultiInputPolicy", _Spaces(), seed=seed, device="cpu", policy_kwargs=network)
    model.save(folder / "model.zip")
    return folder / "model.zip"


def draw(n: int, seed: int) -> Observation:
    """Returns observations from all over the space."""
    rng = np.random.default_rng(seed)
    peers, mask = observation_space()["peers"].shape, observation_space()["peer_mask"].shape
    peer_mask = rng.random((n, *mask)) < 0.5
    return Observation(
        ego=rng.uniform(-1, 1, (n, *observation_space()["ego"].shape)).astype(np.float32),
        peers=(rng.uniform(-1, 1, (n, *peers)) * peer_mask[..., None]).astype(np.float32),
        peer_mask=peer_mask.astype(np.float32),
    )


def convert(model_path: Path, folder: Path, observations: Observation) -> dict[str, Path]:
    """Writes the policy in both variants, aligned as in an export, and returns the paths."""
    actor, paths = read_actor(load_model(model_path)), {}
    with side_processes("conversion") as (converter,):
        for variant, wanted in {
            "float32": converter.start(convert_float32, actor),
            "int8": converter.start(convert_int8, actor, observations),
        }.items():
            paths[variant] = folder / f"{variant}.tflite"
            paths[variant].write_bytes(converter.take(wanted))
            align(paths[variant])
    return paths


def measure_time(config: BenchmarkConfig, model_path: Path, paths: dict[str, Path]) -> dict[str, Latency]:
    """Returns the smallest median of all rounds, with its round's 99th percentile."""
    best: dict[str, Latency] = {}
    with side_processes("timing") as (timer,):
        for _ in range(config.n_rounds):
            started = timer.start(measure_latencies, model_path, paths, draw(200, config.seed), config.n_calls)
            for name, found in timer.take(started).items():
                if name not in best or found.p50_us < best[name].p50_us:
                    best[name] = found
    return best


def measure(config: BenchmarkConfig) -> dict[str, Any]:
    """Returns everything that was measured, and the ratios that have goals."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if config.run_dir:
            run = open_run(config.run_dir)
            model_path, paths = run.model_path, {v: run.export_dir / name for v, name in POLICY_NAMES.items()}
        else:
            model_path = save_model(folder, config.seed)
            paths = convert(model_path, folder, draw(500, config.seed))
        figures: dict[str, Any] = {}
        for variant, path in paths.items():
            figures[f"{variant}_bytes"] = path.stat().st_size
            figures[f"{variant}_arena_bytes"] = measure_arena(path).chip_bytes
        latency = measure_time(config, model_path, paths)
    for variant in paths:
        figures[f"litert_{variant}_speedup"] = latency[SB3].p50_us / latency[f"LiteRT {variant}"].p50_us
    return figures | {"latency": {name: asdict(found) for name, found in latency.items()}}


def main() -> int:
    figures = measure(tyro.cli(BenchmarkConfig, description=__doc__))
    print(f"{'':32}{'measured':>12}   goal")
    for name, (word, goal) in GOALS.items():
        is_met = figures[name] <= goal if word == "at most" else figures[name] >= goal
        print(f"{name:32}{figures[name]:12,.1f}   {word} {goal:,}{'' if is_met else '   MISSED'}")
    for name, found in figures["latency"].items():
        print(f"{name:32}{found['p50_us']:9.1f} us   99th percentile {found['p99_us']:.1f} us")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
