"""The time of one action of the trained policy and of the exported files, on one core of this machine."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from roadsense.envs.observation import Observation
from roadsense.exporting.micro import MicroPolicy
from roadsense.exporting.observations import take_rows
from roadsense.policies.models import as_model_input, load_model
from roadsense.policies.tflite import TflitePolicy

N_WARM_UP = 50
SB3 = "Stable-Baselines3 predict"


@dataclass(frozen=True)
class Latency:
    """Time of one action: observation in, action out.

    Attributes:
        p50_us: median in microseconds.
        p99_us: 99th percentile in microseconds.
    """

    p50_us: float
    p99_us: float


def measure_latencies(
    model_path: Path, paths: Mapping[str, Path], observations: Observation, n_calls: int, trust: bool = False
) -> dict[str, Latency]:
    """Returns the latency of every way to run the policy, by name.

    LiteRT runs with its default kernels, which are the fast ones; TFLite Micro with its reference kernels, whose times
    compare the variants but do not hold for a microcontroller.

    It sets the number of torch's threads to 1: call it in a separate process.

    Args:
        model_path: path of the trained policy.
        paths: paths of the exported files, by variant.
        observations: observations to act on, in turn.
        n_calls: number of timed calls of each policy.
        trust: whether code in the trained policy's file may run.
    """
    import torch

    torch.set_num_threads(1)
    model = load_model(model_path, trust)
    inputs = as_model_input(model, take_rows(observations, slice(1)))
    found = {SB3: _measure(lambda _: model.predict(inputs, deterministic=True), observations, n_calls)}
    for variant, path in paths.items():
        fast = TflitePolicy(path, reference_kernels=False)
        found[f"LiteRT {variant}"] = _measure(fast, observations, n_calls)
        found[f"TFLite Micro {variant}"] = _measure(MicroPolicy(path, fast.input_names), observations, n_calls)
    return found


def _measure(act: Callable[[Observation], object], observations: Observation, n_calls: int) -> Latency:
    n_rows = len(observations["ego"])
    places = [place % n_rows for place in range(n_calls + N_WARM_UP)]
    rows = [take_rows(observations, slice(place, place + 1)) for place in places]
    times_us = np.empty(len(rows))
    for place, row in enumerate(rows):
        begin_ns = time.perf_counter_ns()
        act(row)
        times_us[place] = (time.perf_counter_ns() - begin_ns) / 1000
    p50_us, p99_us = np.quantile(times_us[N_WARM_UP:], [0.5, 0.99])
    return Latency(float(p50_us), float(p99_us))
