"""How reward and score rank the same policies: `python -m benchmarks.agreement [--runs RUN ...]`.

Cheats, rules, null policies and the policies of trained runs drive the same episodes on the base roads. A policy with a
better reward and a worse score than another shows that training and judgement want different things. The last line is
JSON.
"""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from scipy.stats import spearmanr

from benchmarks.cheats import CHEATS
from roadsense.envs.config import EnvConfig
from roadsense.episodes.plan import BOUND, LONG_HEADWAY, Plan, is_calm
from roadsense.episodes.run import Worker, run_plans
from roadsense.episodes.score import SCORED, score_episodes
from roadsense.policies.rules import BASELINES
from roadsense.policies.trained import load_policy

BASES = sorted((Path(__file__).parents[1] / "scenarios" / "base").glob("*/scenario.sumocfg"))


@dataclass(frozen=True)
class AgreementConfig:
    """Settings.

    Attributes:
        runs: folders of trained runs whose policies are ranked as well.
        n_episodes: episodes of each policy, spread over the base roads; every fifth has no hazard.
        seed: seed of the episodes.
        workers: worker processes; 0 for one a core.
    """

    runs: tuple[Path, ...] = ()
    n_episodes: int = 50
    seed: int = 0
    workers: int = 0


def rank_policies(config: AgreementConfig) -> pd.DataFrame:
    """Returns a row for each policy: mean reward of an episode, score, and both ranks, the best reward first."""
    others = {**CHEATS, **{run.name: load_policy(run / "model.zip") for run in config.runs}}
    seeds = np.random.SeedSequence((0x41475245, config.seed)).generate_state(config.n_episodes).tolist()
    plans = [
        Plan(name, BASES[place % len(BASES)], seed, not is_calm(place))
        for place, seed in enumerate(seeds)
        for name in (*BASELINES, BOUND, LONG_HEADWAY, *others)
    ]
    rows = run_plans(plans, Worker(EnvConfig(step_info=False), None, others), config.workers or os.cpu_count() or 1)
    table = pd.DataFrame(rows)
    good = table[table["error"] == ""]
    found = [
        {
            "policy": name,
            "reward": own["reward"].mean(),
            "score": score_episodes({one: own[one] for one in SCORED}).value,
        }
        for name, own in good.groupby("policy")
    ]
    ranked = pd.DataFrame(found).sort_values("reward", ascending=False, ignore_index=True)
    return ranked.assign(**{f"{name}_rank": ranked[name].rank(ascending=False) for name in ("reward", "score")})


def main() -> int:
    ranked = rank_policies(tyro.cli(AgreementConfig, description=__doc__))
    correlation = float(spearmanr(ranked["reward"], ranked["score"]).statistic)
    print(ranked.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    print(json.dumps({"n_policies": len(ranked), "rank_correlation": round(correlation, 3)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
