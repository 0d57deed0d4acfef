"""The conditions beside home in which an evaluation drives the policies: other senders, sensors and radios.

Each condition changes one thing of the evaluation's own settings, on some of the same episodes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from roadsense.envs.config import DEFAULT_V2V, SCENARIO_V2V
from roadsense.envs.radio.presets import PRESETS, get_preset
from roadsense.episodes.plan import POLICY, Plan
from roadsense.errors import InputError
from roadsense.evaluation.comparison import BETTER, FIGURES, WORSE, compare_all
from roadsense.evaluation.evidence import ALONE, BAD, GOOD, OPEN, Evidence, Said, points
from roadsense.evaluation.plans import CONDITIONS_PART, PlannedEpisode, spread_evenly
from roadsense.evaluation.policies import RULE, label_policy
from roadsense.evaluation.summary import summarise

HOME = "home"
"""Name of the row with the evaluation's own settings."""


@dataclass(frozen=True)
class Condition:
    """A condition of the table.

    Attributes:
        name: its name in tables.
        label: its name in sentences.
        settings: settings of the environment that differ from the evaluation's own.
        message_noise_mps2: standard deviation of the noise of the messages' accelerations; None for the radio's own.
        own_noise_mps2: standard deviation of the noise of the ego's own acceleration.
    """

    name: str
    label: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    message_noise_mps2: float | None = None
    own_noise_mps2: float = 0.0

    def apply(self, plan: Plan, v2v: str) -> Plan:
        """Returns the plan of the same episode in this condition.

        Args:
            plan: plan of an episode at home.
            v2v: the evaluation's radio preset; for `scenario`, noisy messages come by the default radio.
        """
        radio = None
        if self.message_noise_mps2 is not None:
            base = get_preset(DEFAULT_V2V if v2v == SCENARIO_V2V else v2v)
            radio = replace(base, acceleration_std_mps2=self.message_noise_mps2)
        return replace(plan, settings=tuple(self.settings.items()), radio=radio, own_noise_mps2=self.own_noise_mps2)


CONDITIONS = (
    Condition("convoy_only", "only the convoy's cars ahead send", {"surroundings": "none", "penetration": 0.0}),
    Condition("some_equipped", "30 % of the other traffic sends", {"surroundings": "some_equipped"}),
    Condition("all_equipped", "all other traffic sends", {"surroundings": "all_equipped"}),
    Condition("cars_behind", "the convoy goes on behind the ego", {"surroundings": "cars_behind"}),
    Condition("other_roads", "cars on other roads send", {"surroundings": "other_roads"}),
    Condition("relayed", "own echo and relayed messages", {"surroundings": "relayed"}),
    Condition("decoys", "decoys: others brake beside, behind, oncoming", {"surroundings": "decoys"}),
    Condition("crowded", "many senders, relayed", {"surroundings": "crowded"}),
    Condition("noisy_messages", "1.5 m/s2 of noise on heard accelerations", message_noise_mps2=1.5),
    Condition("noisy_own", "2 m/s2 of noise on the own acceleration", own_noise_mps2=2.0),
    Condition("sensors_ideal", "perfect sensors", {"sensors": "ideal"}),
    Condition("sensors_worst", "the worst sensors", {"sensors": "worst"}),
    *(Condition(f"radio_{name}", f"radio: {name}", {"v2v": name}) for name in PRESETS if name != "muted"),
)
"""All conditions, in the order of the table. The muted radio is a null policy of the main table."""


def find_condition(name: str) -> Condition:
    """Returns the condition of a name.

    Raises:
        InputError: if there is none.
    """
    for condition in CONDITIONS:
        if condition.name == name:
            return condition
    raise InputError(f"Expected a condition of {[one.name for one in CONDITIONS]}, got {name!r}. Evaluate again.")


def plan_conditions(
    held_out: Sequence[PlannedEpisode], n_episodes: int, v2v: str, policies: Sequence[str]
) -> list[PlannedEpisode]:
    """Returns some of the held-out episodes again in each condition.

    Args:
        held_out: episodes to choose from, evenly.
        n_episodes: number of episodes in each condition for each policy.
        v2v: the evaluation's radio preset.
        policies: names of the policies.
    """
    chosen = spread_evenly([one.plan for one in held_out if one.plan.policy == held_out[0].plan.policy], n_episodes)
    return [
        PlannedEpisode(CONDITIONS_PART, condition.apply(replace(plan, policy=policy), v2v), condition=condition.name)
        for condition in CONDITIONS
        for plan in chosen
        for policy in policies
    ]


def by_condition(episodes: pd.DataFrame, seed: int) -> dict[str, Evidence]:
    """Returns summary and comparisons of each condition that was driven, by its name.

    Args:
        episodes: table of episodes of an evaluation.
        seed: seed of the bootstraps.
    """
    part = episodes[episodes["part"] == CONDITIONS_PART]
    found = {}
    for name, rows in _in_order(part):
        summary = summarise(rows, np.random.default_rng(seed)).set_index("policy")
        others = compare_all(rows, POLICY, summary.index, np.random.default_rng(seed))
        found[name] = Evidence(summary, others)
    return found


def tabulate_conditions(summary: pd.DataFrame, conditions: Mapping[str, Evidence]) -> pd.DataFrame:
    """Returns a row for each condition and policy, the evaluation's own settings first; empty if none was driven.

    Args:
        summary: summary of the held-out episodes.
        conditions: what `by_condition` returns.
    """
    if not conditions:
        return pd.DataFrame()
    driven = next(iter(conditions.values())).summary.index
    rows = [summary[summary["policy"].isin(driven)].assign(condition=HOME, label="as evaluated")]
    for name, evidence in conditions.items():
        rows.append(evidence.summary.reset_index().assign(condition=name, label=find_condition(name).label))
    return pd.concat(rows, ignore_index=True)


def _in_order(part: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for condition in CONDITIONS:
        rows = part[part["condition"] == condition.name]
        if len(rows):
            yield condition.name, rows


SAFETY = ("collision", "unsafe", "calm_unsafe")
"""Figures in which the policy must not be worse than the driver alone, nor than a rule."""
COST = ("false_braking_share", "calm_braking", "decoy_answered")
"""Figures in which it must not be worse than a rule that hears the same."""
ANSWERED = 0.05
"""A policy that is shown to answer a larger share of decoys answers decoys."""


def conditions(evidence: Evidence) -> Said:
    """Says of each condition what the policy does there: bad if something is shown to be worse, good if it helps."""
    for label, there in evidence.conditions.items():
        if not there.own["episodes"]:
            continue
        reasons = list(_find_reasons(evidence, there))
        helps = any(
            row is not None and row["verdict"] == BETTER
            for row in (there.compared(name, ALONE) for name in ("collision", "unsafe"))
        )
        mark = BAD if reasons else GOOD if helps else OPEN
        yield mark, f"Under '{label}' it {_describe(evidence, there)}{_join(reasons)}"


def calm_episodes(evidence: Evidence) -> Said:
    """Says how often an episode without a hazard is unsafe, beside the driver alone."""
    own, found = evidence.own, evidence.compared("calm_unsafe", ALONE)
    if found is None or not own["calm_episodes"]:
        return
    alone = evidence.row(ALONE)["calm_unsafe"]
    mark = {WORSE: BAD, BETTER: GOOD}.get(found["verdict"], OPEN)
    words = {WORSE: "more than", BETTER: "fewer than"}.get(found["verdict"], "not shown to differ from")
    share = f"{own['calm_unsafe_rate_low']:.1%} to {own['calm_unsafe_rate_high']:.1%}"
    text = (
        f"Of {own['calm_episodes']:.0f} episodes without a hazard {own['calm_unsafe']:.0f} are unsafe for it or "
        f"the car behind ({share}), {words} the driver alone's {alone:.0f} (difference {points(found)})."
    )
    yield mark, text


def _describe(home: Evidence, there: Evidence) -> str:
    own, alone = there.own, there.row(ALONE)["collisions"] if there.others(ALONE) else float("nan")
    decoys = f", answers {own['decoys_answered']:.0f} of {own['decoys']:.0f} decoys" if own["decoys"] else ""
    reacts = f", reacts in {own['reaction_s']:.2f} s" if own["hazards"] else ""
    rate = f"{own['collision_rate_low']:.1%} to {own['collision_rate_high']:.1%}"
    return (
        f"collides in {own['collisions']:.0f} of {own['episodes']:.0f} episodes ({rate}; the driver alone in "
        f"{alone:.0f}){reacts}{decoys}, and brakes needlessly for {own['false_braking_share']:.2%} of calm time "
        f"({home.own['false_braking_share']:.2%} at home), {own['false_brakings_per_h']:.0f} times an hour"
    )


def _find_reasons(home: Evidence, there: Evidence) -> Iterator[str]:
    rules = there.of_kind(RULE)
    for figure in FIGURES:
        against = [ALONE, *rules] if figure.name in SAFETY else rules if figure.name in COST else []
        found = [(other, there.compared(figure.name, other)) for other in against]
        worse = [label_policy(other) for other, row in found if row is not None and row["verdict"] == WORSE]
        if worse:
            yield f"it {figure.worse} than {', '.join(worse)}"
    for name, words in (("false_braking_share", "brakes needlessly more"), ("collision_rate", "collides more often")):
        if there.own[f"{name}_low"] > home.own[f"{name}_high"]:
            yield f"it {words} than at home"
    if there.own["decoys_answered_rate_low"] > ANSWERED:
        yield f"it answers more than {ANSWERED:.0%} of decoys"


def _join(reasons: list[str]) -> str:
    return f": {'; '.join(reasons)}." if reasons else "."
