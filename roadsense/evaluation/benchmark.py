"""The benchmark: one frozen, named set of episodes, so that policies can be compared across machines and years.

A set is a file in `benchmark_sets`: scenarios with the SHA-256 of their content, seeds, and conditions (radio and
surroundings). A set never changes; what has to change gets a new name.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from roadsense.envs.config import EnvConfig
from roadsense.episodes.journal import name_journal
from roadsense.episodes.plan import POLICY, Plan, Row
from roadsense.episodes.run import Worker, run_plans
from roadsense.episodes.score import Score, score_episodes
from roadsense.errors import DatasetError, InputError
from roadsense.evaluation.candidates import find_judged
from roadsense.policies.trained import load_policy
from roadsense.runs.run import choose_folder
from roadsense.training.splits import hash_scenario
from roadsense.utils.bounds import MAX_WORKERS, bounded, check_bounds
from roadsense.utils.files import check_writable, write_atomically
from roadsense.utils.statistics import binomial_interval
from roadsense.utils.tables import print_table
from roadsense.utils.workspace import project_folder, resolve

SETS_DIR = "benchmark_sets"
NEWEST = "convoy-1"
QUICK = 5
"""`--quick` drives one of so many seeds."""
ALL = "all"
"""Name of the row over all conditions."""


@dataclass(frozen=True)
class BenchmarkConfig:
    """Settings of `roadsense benchmark`.

    Attributes:
        policy: a run folder, a `.zip` of Stable-Baselines3, a `.tflite`, `module:name`, a rule's name, or `default`;
            empty for the newest trained run.
        name: name of the set of episodes.
        quick: whether to drive only the first fifth of the seeds; such figures are no entry for the leaderboard.
        workers: number of worker processes; 0 for one a core. The figures do not depend on it.
        trust: whether code inside the policy's file may run, if it cannot be opened without; prints its SHA-256.
    """

    FIRST: ClassVar[str] = "policy"

    policy: str = ""
    name: str = NEWEST
    quick: bool = False
    workers: int = bounded(0, 0, MAX_WORKERS)
    trust: bool = False

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True)
class BenchmarkSet:
    """A frozen set of episodes.

    Attributes:
        name: its name; the number rises whenever anything changes.
        scenarios: SHA-256 of each scenario by its folder.
        n_seeds: number of episodes of each scenario in each condition.
        seed: seed of all seeds.
        calm_every: every so many episodes one has no hazard.
        n_steps: steps of an episode.
        conditions: settings of `EnvConfig` by the condition's name.
    """

    name: str
    scenarios: Mapping[str, str]
    n_seeds: int
    seed: int
    calm_every: int
    n_steps: int
    conditions: Mapping[str, Mapping[str, Any]]

    def env_config(self, condition: str) -> EnvConfig:
        """Returns the environment's settings in a condition."""
        return EnvConfig(n_steps=self.n_steps, step_info=False, watch_behind=True, **self.conditions[condition])

    def plans(self, quick: bool = False) -> list[Plan]:
        """Returns the episodes of a condition, the same in each; with `quick` the first fifth of the seeds.

        Raises:
            DatasetError: if a scenario is not what the set was made of.
        """
        found = []
        for place, (folder, digest) in enumerate(self.scenarios.items()):
            path = self._find(folder, digest)
            seeds = np.random.SeedSequence((self.seed, place)).generate_state(self.n_seeds).tolist()
            numbered = list(enumerate(seeds))[: self.n_seeds // QUICK if quick else None]
            found += [Plan(POLICY, path, seed, number % self.calm_every > 0) for number, seed in numbered]
        return found

    def _find(self, folder: str, digest: str) -> Path:
        """Returns a scenario's `.sumocfg`: the project's, or the package's where the project's is another."""
        places = [(place / "scenario.sumocfg").resolve() for place in (resolve(folder), project_folder() / folder)]
        found = next((path for path in places if path.is_file() and hash_scenario(path) == digest), None)
        if found is None:
            raise DatasetError(
                f"{self.name}: expected the scenario of the set in {places[0].parent} (sha256 {digest[:12]}), it is "
                "missing or was changed. Take that of the package, or a newer set."
            )
        return found


@dataclass(frozen=True)
class BenchmarkRow:
    """A policy's figures in a condition.

    Attributes:
        condition: name of the condition, or `ALL`.
        episodes: number of episodes without a failure of SUMO.
        failed: number of episodes in which SUMO failed.
        collisions: number of episodes with a collision.
        collision_rate_low: lower end of the rate's exact 95 % interval, 0 to 1.
        collision_rate_high: upper end of it.
        unsafe: number of episodes with a collision or a near miss.
        needless_mps2: mean needless braking over all time, from 0.
        score: 1 less the upper end of the unsafe rate's interval and the needless braking; at most 1.
    """

    condition: str
    episodes: int
    failed: int
    collisions: int
    collision_rate_low: float
    collision_rate_high: float
    unsafe: int
    needless_mps2: float
    score: float


def list_sets() -> list[str]:
    """Returns the names of the sets."""
    return sorted(
        Path(str(one)).stem
        for one in (files("roadsense.evaluation") / SETS_DIR).iterdir()
        if one.name.endswith(".json")
    )


def open_set(name: str) -> BenchmarkSet:
    """Returns a set by its name.

    Raises:
        InputError: if there is none.
    """
    if name not in list_sets():
        raise InputError(f"name: expected one of {', '.join(list_sets())}, got {name!r}.")
    return BenchmarkSet(
        name=name, **json.loads((files("roadsense.evaluation") / SETS_DIR / f"{name}.json").read_text())
    )


def run_benchmark(config: BenchmarkConfig, policy: Any = None) -> list[BenchmarkRow]:
    """Drives the set with a policy; returns its figures in each condition and in all.

    A run that was broken off continues with the next call. The rows are written into the policy's folder as JSON.

    Args:
        config: settings.
        policy: policy instead of the named one, such as an object with `predict`; see `load_policy`.

    Raises:
        InputError: if policy or set is not known.
        DatasetError: if a scenario is not what the set was made of.
        MachineError: if an episode ends several worker processes.
    """
    chosen, source = open_set(config.name), find_judged(policy, config.policy)
    driver, folder, digest = load_policy(source, config.trust), choose_folder(source), source.digest()
    check_writable(folder)
    plans, n_workers = chosen.plans(config.quick), config.workers or os.cpu_count() or 1
    found: dict[str, list[Row]] = {}
    journals = []
    for condition in chosen.conditions:
        env_config = chosen.env_config(condition)
        journals.append(name_journal(folder, (plans, env_config, digest, version("roadsense"))))
        found[condition] = run_plans(plans, Worker(env_config, driver), n_workers, journals[-1])
    rows = [_summarise(name, episodes) for name, episodes in found.items()]
    rows.append(_summarise(ALL, [row for episodes in found.values() for row in episodes]))
    facts = {"set": chosen.name, "quick": config.quick, "policy": source.text, "policy_sha256": digest}
    content = facts | {"roadsense": version("roadsense"), "rows": [vars(row) for row in rows]}
    name = f"benchmark_{chosen.name}{'_quick' if config.quick else ''}_{digest[:8]}.json"
    write_atomically(folder / name, json.dumps(content, indent=2) + "\n")
    for journal in journals:
        journal.unlink(missing_ok=True)
    return rows


def describe_line(name: str, digest: str, rows: list[BenchmarkRow]) -> str:
    """Returns a policy's line for `docs/reference/leaderboard.md`."""
    row = next(row for row in rows if row.condition == ALL)
    rate = (
        f"{row.collisions / max(row.episodes, 1):.1%} ({row.collision_rate_low:.1%} to {row.collision_rate_high:.1%})"
    )
    unsafe = f"{row.unsafe / max(row.episodes, 1):.1%}"
    return (
        f"| {name} | {row.episodes} | {rate} | {unsafe} | {row.needless_mps2:.3f} | {row.score:.3f} | `{digest[:12]}` |"
    )


def _summarise(condition: str, episodes: list[Row]) -> BenchmarkRow:
    good = [row for row in episodes if not row["error"]]
    columns = ("collision", "min_ttc_s", "duration_s", "needless_speed_loss_mps")
    score: Score = score_episodes({name: [row[name] for row in good] for name in columns})
    collisions = sum(bool(row["collision"]) for row in good)
    rate = binomial_interval(collisions, len(good))
    return BenchmarkRow(
        condition, len(good), len(episodes) - len(good), collisions, rate.low, rate.high, score.n_unsafe,
        score.needless_mps2, score.value,
    )  # fmt: skip


def benchmark_and_print(config: BenchmarkConfig) -> None:
    """Drives the frozen benchmark with a policy, prints its figures and a line for docs/reference/leaderboard.md."""
    rows, source = run_benchmark(config), find_judged(None, config.policy)
    titles = ("condition", "episodes", "failed", "collisions", "95 %", "unsafe", "needless m/s2", "score")
    table = [
        (row.condition, row.episodes, row.failed, row.collisions,
         f"{row.collision_rate_low:.1%} to {row.collision_rate_high:.1%}", row.unsafe, f"{row.needless_mps2:.3f}",
         f"{row.score:.3f}")
        for row in rows
    ]  # fmt: skip
    print_table(titles, [[str(cell) for cell in row] for row in table])
    note = " (quick: no entry for the leaderboard)" if config.quick else ""
    sys.stdout.write(f"\n{config.name}{note}\n{describe_line(source.name, source.digest(), rows)}\n")
