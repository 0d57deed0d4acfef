"""What the numbers support, in words: each sentence comes from a rule, and each rule is tested.

A rule looks at the summary and the paired comparisons and returns what it has to say, with a mark: `good` for what is
shown and speaks for the policy, `bad` for what is shown and speaks against it, `open` for what the episodes don't show.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from roadsense.episodes.plan import BOUND, MUTED
from roadsense.evaluation.comparison import BETTER, NOTHING_SHOWN, WORSE
from roadsense.evaluation.evidence import Evidence, more_pairs, points
from roadsense.evaluation.policies import ANOTHER_RUN, NULL_POLICIES, label_policy
from roadsense.evaluation.sample_size import episodes_for_rate, upper_bound

GOOD, BAD, OPEN = "good", "bad", "open"
NOT_ITS_DOING = "not the policy's doing"
TOLERATED_FAILURES = 0.02
"""More failed episodes than this share make the rest doubtful."""


@dataclass(frozen=True)
class Verdict:
    """A sentence about a policy.

    Attributes:
        rule: name of the rule it is from.
        mark: `GOOD`, `BAD` or `OPEN`.
        text: the sentence.
    """

    rule: str
    mark: str
    text: str


def find_verdicts(evidence: Evidence) -> list[Verdict]:
    """Returns what all rules have to say, the most important first."""
    return [Verdict(rule.__name__.lstrip("_"), *said) for rule in RULES for said in rule(evidence)]


Said = Iterator[tuple[str, str]]


def _episodes_failed(evidence: Evidence) -> Said:
    failed, all_of = int(evidence.own["failed"]), int(evidence.own["failed"] + evidence.own["episodes"])
    if not evidence.own["episodes"]:
        yield BAD, f"SUMO failed in all {all_of} episodes: nothing can be said of the policy."
    elif failed > TOLERATED_FAILURES * all_of:
        yield BAD, f"SUMO failed in {failed} of {all_of} episodes of the policy; what is left may not be typical."


def _collision_rate(evidence: Evidence) -> Said:
    n, total, limit = int(evidence.own["collisions"]), int(evidence.own["episodes"]), evidence.claimed_rate
    if not total:
        return
    shown = (
        f"The policy collided in {n} of {total} episodes: with 95 % confidence in at most {upper_bound(n, total):.1%}."
    )
    more = episodes_for_rate(n, total, limit)
    if more == 0:
        yield GOOD, f"{shown} That is below the {limit:.1%} asked for."
    elif more is None:
        yield BAD, f"{shown} That it is below {limit:.1%} cannot be shown: it was not in these episodes."
    else:
        yield OPEN, f"{shown} To show that it is below {limit:.1%} needs {more} more episodes that go as well."


def _null_policies(evidence: Evidence) -> Said:
    for null in evidence.others(*NULL_POLICIES):
        found = evidence.compared("collision", null)
        if found is None:
            continue
        name, own, other = label_policy(null), evidence.own, evidence.row(null)
        if evidence.brakes_for_nothing(null):
            share, own_share = other["false_braking_share"], own["false_braking_share"]
            text = f"'{name}' is no match: it brakes for nothing in {share:.0%} of the calm time, "
            yield GOOD, f"{text}the policy in {own_share:.1%}."
            continue
        counts = f"{own['collisions']:.0f} collisions of the policy, {other['collisions']:.0f} of it"
        counts += f"; difference {points(found)}"
        if found["verdict"] == NOTHING_SHOWN:
            text = f"The rate of collisions is {NOT_ITS_DOING}: '{name}' is within the interval ({counts})."
            yield BAD, f"{text} {more_pairs(found)}"
        else:
            is_better = found["verdict"] == BETTER
            words = "less often" if is_better else "more often"
            yield GOOD if is_better else BAD, f"It collides {words} than '{name}' on the same episodes ({counts})."


def _unsafe_episodes(evidence: Evidence) -> Said:
    for null in evidence.others(*NULL_POLICIES):
        found = evidence.compared("unsafe", null)
        if found is None or evidence.brakes_for_nothing(null):
            continue
        name, own, other = label_policy(null), evidence.own, evidence.row(null)
        counts = f"{own['unsafe']:.0f} against {other['unsafe']:.0f}; difference {points(found)}"
        if found["verdict"] == NOTHING_SHOWN:
            yield (
                BAD,
                f"That few episodes are unsafe is {NOT_ITS_DOING} either: '{name}' is within the interval ({counts}).",
            )
        else:
            is_better = found["verdict"] == BETTER
            yield (
                (GOOD if is_better else BAD),
                (f"It has {'fewer' if is_better else 'more'} unsafe episodes than '{name}' ({counts})."),
            )


def _baselines(evidence: Evidence) -> Said:
    best = evidence.best_baseline()
    if best is None:
        return
    yield from _against(evidence, best, f"the best rule on the same radio ({label_policy(best)})")


def _other_runs(evidence: Evidence) -> Said:
    for name in evidence.of_kind(ANOTHER_RUN):
        yield from _against(evidence, name, label_policy(name))


def _against(evidence: Evidence, other: str, name: str) -> Said:
    collisions, braking = evidence.compared("collision", other), evidence.compared("false_brakings", other)
    if collisions is None:
        return
    words = {BETTER: (GOOD, "fewer collisions than"), WORSE: (BAD, "more collisions than")}
    mark, said = words.get(collisions["verdict"], (OPEN, "no shown difference in collisions from"))
    text = f"It has {said} {name} ({points(collisions)})."
    if collisions["verdict"] == NOTHING_SHOWN:
        text += f" {more_pairs(collisions)}"
    yield mark, text
    if braking is not None and braking["verdict"] != NOTHING_SHOWN:
        fewer = braking["verdict"] == BETTER
        yield (
            GOOD if fewer else BAD,
            (
                f"It brakes for nothing {'less' if fewer else 'more'} often than {name}: "
                f"{braking['first_mean']:.2f} against {braking['second_mean']:.2f} times an episode."
            ),
        )


def _missed_hazards(evidence: Evidence) -> Said:
    own = evidence.own
    if own["hazards"] and own["missed"] > 0:
        yield (
            BAD if own["missed_rate_low"] > 0.5 else OPEN,
            (
                f"The assist did not answer {own['missed']:.0f} of {own['hazards']:.0f} hazards "
                f"({own['missed_rate_low']:.0%} to {own['missed_rate_high']:.0%}); some are too far ahead to need it."
            ),
        )


def _radio(evidence: Evidence) -> Said:
    found = evidence.compared("reaction_time_s", MUTED)
    if found is not None and found["verdict"] == NOTHING_SHOWN:
        yield BAD, "Without its radio it reacts as fast as with it: what it hears makes no shown difference to it."


def _car_behind(evidence: Evidence) -> Said:
    found = evidence.compared("follower_min_ttc_s", "unassisted")
    struck = int(evidence.own["struck_from_behind"])
    if found is not None and found["verdict"] == WORSE:
        yield (
            BAD,
            (
                f"It brings the car behind nearer to a collision than the driver alone does: at the least "
                f"{found['first_mean']:.1f} s against {found['second_mean']:.1f} s away, on average."
            ),
        )
    if struck:
        yield BAD, f"It was struck by a car that was not ahead in {struck} episodes."


def _upper_bound(evidence: Evidence) -> Said:
    n = evidence.row(BOUND)["collisions"] if evidence.others(BOUND) else 0
    if n > 0:
        yield OPEN, f"{n:.0f} episodes end in a collision even for a driver with perfect sight and no reaction time."


def _checks(evidence: Evidence) -> Said:
    if "unassisted" not in evidence.checks_on.index:
        return
    alone, off = evidence.checks_on.loc["unassisted"].to_dict(), evidence.row("unassisted")
    collided = f"{alone['collisions']:.0f} of {alone['episodes']:.0f}"
    if alone["collision_rate_high"] < off["collision_rate_low"]:
        yield (
            OPEN,
            (
                f"With SUMO's checks on the driver alone collides in {collided} episodes, with them off in "
                f"{off['collisions']:.0f}: figures with them on say nothing of a policy."
            ),
        )


def _generalisation(evidence: Evidence) -> Said:
    gap = evidence.gap
    if gap is None:
        return
    words = f"{100 * gap.value:+.1f} points ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})"
    if gap.low > 0:
        yield BAD, f"It collides more often on held-out roads than on those it was trained on: {words}."
    elif gap.high < 0:
        yield OPEN, f"The held-out roads are easier for it than those it was trained on: {words}."
    else:
        yield OPEN, f"No gap is shown between held-out roads and those it was trained on: {words}."


def _where(evidence: Evidence) -> Said:
    total = sum(n for n, _ in evidence.failures_by_base.values())
    for base, (n, episodes) in evidence.failures_by_base.items():
        others = sum(count for name, (_, count) in evidence.failures_by_base.items() if name != base)
        if total >= 3 and others and n > total / 2:
            yield BAD, f"{n} of its {total} collisions are on {base} ({n} of {episodes} episodes there)."


RULES = (
    _episodes_failed, _collision_rate, _null_policies, _unsafe_episodes, _baselines, _other_runs, _radio,
    _missed_hazards, _car_behind, _where, _generalisation, _upper_bound, _checks,
)  # fmt: skip
