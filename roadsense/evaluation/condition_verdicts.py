"""Sentences on other conditions than home, and on episodes without a hazard; see `roadsense.evaluation.verdicts`."""

from collections.abc import Iterator

from roadsense.evaluation.comparison import BETTER, FIGURES, WORSE
from roadsense.evaluation.evidence import ALONE, BAD, GOOD, OPEN, Evidence, Said, points
from roadsense.evaluation.policies import RULE, label_policy

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
    yield (
        mark,
        (
            f"Of {own['calm_episodes']:.0f} episodes without a hazard {own['calm_unsafe']:.0f} are unsafe for it or "
            f"the car behind ({share}), {words} the driver alone's {alone:.0f} (difference {points(found)})."
        ),
    )


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
