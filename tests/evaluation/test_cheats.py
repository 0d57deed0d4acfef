"""Policies made to deceive: each gets the verdict it deserves, and no reward that says otherwise. Real episodes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from benchmarks.cheats import CHEATS
from roadsense.envs.config import EnvConfig
from roadsense.episodes.plan import BOUND, LONG_HEADWAY, OTHER_MESSAGES, POLICY, Plan
from roadsense.episodes.run import Worker, run_plans
from roadsense.episodes.score import SCORED, score_episodes
from roadsense.evaluation.config import EvalConfig
from roadsense.evaluation.plans import HELD_OUT, PlannedEpisode
from roadsense.evaluation.results import conclude
from roadsense.evaluation.schema import make_table
from roadsense.evaluation.verdicts import BAD, GOOD, Verdict

BASES = sorted((Path(__file__).parents[2] / "scenarios" / "base").glob("*/scenario.sumocfg"))
N_EPISODES = 20
BESIDE = ("unassisted", "gentle_brake", LONG_HEADWAY, "heard_braking_rule", "heard_prediction_rule", BOUND)


@dataclass(frozen=True)
class Driven:
    """The table of all policies, and each cheat's verdicts."""

    table: pd.DataFrame
    verdicts: dict[str, tuple[Verdict, ...]]


@pytest.fixture(scope="module")
def driven() -> Driven:
    env = EnvConfig(n_steps=300, step_info=False, watch_behind=True)
    places = [(BASES[n % len(BASES)], 1000 + n) for n in range(N_EPISODES)]
    plans = [Plan(who, path, seed, seed % 5 != 0) for path, seed in places for who in (*BESIDE, *CHEATS)]
    rows = run_plans(plans, Worker(env, None, CHEATS), 2)
    other = [Plan(OTHER_MESSAGES, path, seed, seed % 5 != 0) for path, seed in places]
    rows += run_plans(other, Worker(env, CHEATS["keyed_on_age"]), 2)
    table = make_table([PlannedEpisode(HELD_OUT, plan) for plan in (*plans, *other)], rows, False)
    verdicts = {}
    for name in CHEATS:
        others = set(CHEATS) - {name} | ({OTHER_MESSAGES} if name != "keyed_on_age" else set())
        own = table[~table["policy"].isin(others)].replace({"policy": {name: POLICY}})
        verdicts[name] = conclude(Path("folder"), EvalConfig("run"), {}, own).verdicts
    return Driven(table, verdicts)


LOSES, TAKES_OFF = "s an episode against the driver alone", "in each minute of calm driving"


@pytest.mark.parametrize(
    ("cheat", "bad"),
    [
        ("gentle_when_it_hears", (LOSES, TAKES_OFF, "It loses more time than rule: heard braking")),
        ("gentle_and_a_rule", (LOSES, TAKES_OFF, "It takes off more speed in calm time than rule: heard braking")),
        ("to_standstill", (LOSES, "It loses more time than rule: prediction", "It jerks harder than rule: prediction")),
        ("keyed_on_age", (TAKES_OFF, "It takes off more speed in calm time than rule: heard braking")),
        ("constant_0_3", (LOSES, TAKES_OFF, "It takes off more speed in calm time than rule: heard braking")),
        ("does_nothing", ("It misses more hazards than rule: heard braking",)),
    ],
)  # fmt: skip
def test_what_speaks_against_a_cheat_is_said_first(driven: Driven, cheat: str, bad: tuple[str, ...]) -> None:
    verdicts = driven.verdicts[cheat]
    against = [verdict.text for verdict in verdicts if verdict.mark == BAD]
    assert verdicts[0].mark == BAD
    for words in bad:
        assert any(words in text for text in against), against


def test_what_a_cheat_reaches_without_listening_is_not_to_its_credit(driven: Driven) -> None:
    praise = {
        name: [verdict.text for verdict in verdicts if verdict.mark == GOOD and verdict.rule == "null_policies"]
        for name, verdicts in driven.verdicts.items()
    }
    assert praise["does_nothing"] == []
    assert not any("always brakes gently" in text for text in praise["gentle_when_it_hears"] + praise["constant_0_3"])
    assert not any("another episode's messages" in text for text in praise["keyed_on_age"])


def test_reward_and_score_rank_cheats_below_the_rules(driven: Driven) -> None:
    rewards = driven.table.groupby("policy")["reward"].mean().drop(OTHER_MESSAGES)
    scores = {
        name: score_episodes({column: driven.table.loc[driven.table["policy"] == name, column] for column in SCORED})
        for name in rewards.index
    }
    values = pd.Series({name: score.value for name, score in scores.items()})[rewards.index]
    braking = [name for name in CHEATS if name != "does_nothing"]
    assert values[braking].max() < values["heard_prediction_rule"]
    assert rewards[braking].max() < rewards["heard_prediction_rule"]
    assert spearmanr(rewards, values).statistic > 0.7
    assert np.isfinite(rewards).all()
