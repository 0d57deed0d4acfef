"""How long a dataset takes to make: `python benchmarks/dataset.py [--n-scenarios 100 1000]`.

Makes a dataset of each size from the base scenarios into a temporary folder, four of five scenarios to train on. SUMO's
share is the time inside its program over the time there was: wall clock times workers. Growth is the time per scenario
of the largest dataset over that of the smallest. The last line is JSON. A shared machine makes the seconds longer, and
the growth in them as it pleases; shares and the growth in processor time hold.
"""

import json
import os
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from roadsense.augment.config import GenConfig
from roadsense.augment.generate import generate_dataset
from roadsense.augment.validation import gate

ROOT = Path(__file__).parents[1]
TRAIN_SHARE = 0.8


@dataclass(frozen=True)
class BenchmarkConfig:
    """Settings.

    Attributes:
        n_scenarios: sizes of the datasets.
        workers: proofs run at the same time; 0: one for each core.
        seed: of every draw.
    """

    n_scenarios: tuple[int, ...] = (100, 1000)
    workers: int = 0
    seed: int = 0


def watch_sumo() -> list[float]:
    """Makes the gate's SUMO runs leave their wall time in the returned list."""
    run_sumo, seconds = gate.run_sumo, []

    def run_and_time(*arguments: Any) -> str:
        started_s = time.perf_counter()
        try:
            return run_sumo(*arguments)
        finally:
            seconds.append(time.perf_counter() - started_s)

    gate.run_sumo = run_and_time
    return seconds


def cpu_s(who: int) -> float:
    """Returns the processor time used so far by this process or by its children that have ended."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def measure(n_scenarios: int, config: BenchmarkConfig, sumo_s: list[float]) -> dict[str, float]:
    """Makes one dataset and returns what it took."""
    n_train = round(TRAIN_SHARE * n_scenarios)
    sumo_s.clear()
    before_s, before_children_s = cpu_s(resource.RUSAGE_SELF), cpu_s(resource.RUSAGE_CHILDREN)
    started_s = time.perf_counter()
    with tempfile.TemporaryDirectory() as outer:
        dataset = generate_dataset(
            GenConfig(
                base_dir=(ROOT / "scenarios" / "base",),
                output_dir=Path(outer) / "dataset",
                seed=config.seed,
                n_train=n_train,
                n_eval=n_scenarios - n_train,
                workers=config.workers,
            )
        )
        seconds = time.perf_counter() - started_s
        megabytes = sum(path.stat().st_size for path in dataset.folder.rglob("*") if path.is_file()) / 1e6
    own_s = cpu_s(resource.RUSAGE_SELF) - before_s
    children_s = cpu_s(resource.RUSAGE_CHILDREN) - before_children_s
    return {
        "seconds": round(seconds, 2),
        "seconds_per_scenario": round(seconds / n_scenarios, 4),
        "cpu_seconds_per_scenario": round((own_s + children_s) / n_scenarios, 4),
        "sumo_runs": len(sumo_s),
        "refused": len(dataset.refusals),
        "share_in_sumo": round(sum(sumo_s) / (seconds * (config.workers or os.cpu_count() or 1)), 3),
        "cpu_share_in_children": round(children_s / (own_s + children_s), 3),
        "megabytes": round(megabytes, 1),
    }


def main() -> None:
    """Measures each size and prints a line for each, then all as JSON."""
    config = tyro.cli(BenchmarkConfig, description=__doc__)
    sumo_s = watch_sumo()
    results = {}
    for n_scenarios in config.n_scenarios:
        results[n_scenarios] = measure(n_scenarios, config, sumo_s)
        sys.stderr.write(f"{n_scenarios:6} scenarios: {results[n_scenarios]}\n")
    last = {f"seconds_{n_scenarios}": result["seconds"] for n_scenarios, result in results.items()}
    first, final = (results[n_scenarios] for n_scenarios in (config.n_scenarios[0], config.n_scenarios[-1]))
    for name, per in (("growth", "seconds_per_scenario"), ("growth_cpu", "cpu_seconds_per_scenario")):
        last[name] = round(final[per] / first[per], 3)
    last["share_in_sumo"] = final["share_in_sumo"]
    print(json.dumps({**last, "runs": results}))


if __name__ == "__main__":
    main()
