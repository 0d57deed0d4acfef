"""Verdicts: sentences that the numbers support. Each sentence comes from a rule, and each rule is tested.

A rule looks at the summary and the paired comparisons and returns sentences, each with a mark: `good` for what is shown
and favours the policy, `bad` for what is shown and is against it, `open` for what the episodes don't show. Bad
sentences come first. Whether a difference is shown is decided in `roadsense.evaluation.comparison`, nowhere else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from roadsense.episodes.plan import BOUND, MUTED
from roadsense.evaluation.comparison import BETTER, FIGURES, NOTHING_SHOWN, WORSE, Figure
from roadsense.evaluation.conditions import calm_episodes, conditions
from roadsense.evaluation.evidence import ALONE, BAD, GOOD, OPEN, Evidence, Said, more_pairs, points
from roadsense.evaluation.generalisation import rate_difference
from roadsense.evaluation.policies import ANOTHER_RUN, NULL_POLICIES, RULE, label_policy
from roadsense.evaluation.sample_size import episodes_for_rate, upper_bound
from roadsense.utils.statistics import binomial_interval

NOT_ITS_DOING = "not the policy's doing"
TOLERATED_FAILURES = 0.02
"""With a larger share of failed episodes the results are doubtful."""
SAME_REACTION_S = 0.1
"""A reaction that is at most this much sooner, at the end of the interval, is no sooner."""
MATTERS = 0.02
"""A null policy whose rate is at most this much higher, at the end of the interval, is as safe as the judged one."""


@dataclass(frozen=True)
class Verdict:
    """A sentence about a policy.

    Attributes:
        rule: id of the rule it is from, a key of `RULES`.
        mark: `GOOD`, `BAD` or `OPEN`.
        text: sentence of the verdict.
    """

    rule: str
    mark: str
    text: str


def find_verdicts(evidence: Evidence) -> list[Verdict]:
    """Returns the sentences of all rules: first `bad`, then `open`, then `good`."""
    said = [Verdict(name, *sentence) for name, rule in RULES.items() for sentence in rule(evidence)]
    return sorted(said, key=lambda verdict: (BAD, OPEN, GOOD).index(verdict.mark))


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
    rate, bound = binomial_interval(n, total), upper_bound(n, total)
    one_sided = f"; one-sided bound {bound:.1%}" if bound <= limit else ""  # named only where it decides
    shown = (
        f"The policy collided in {n} of {total} episodes (95 % interval {rate.low:.1%} to {rate.high:.1%}{one_sided})."
    )
    more = episodes_for_rate(n, total, limit)
    above = [label for label, other in evidence.elsewhere().items() if other.own["collision_rate_low"] > limit]
    if more == 0 and above:
        yield OPEN, f"{shown} That is below the {limit:.1%} asked for, but not with: {'; '.join(above)}."
    elif more == 0:
        yield GOOD, f"{shown} That is below the {limit:.1%} asked for."
    elif more is None:
        mark, words = (BAD, "is refuted") if rate.low > limit else (OPEN, "cannot be shown")
        yield mark, f"{shown} That it is below {limit:.1%} {words}: it was not in these episodes."
    else:
        yield OPEN, f"{shown} To show that it is below {limit:.1%} needs {more} more episodes that go as well."


def _null_policies(evidence: Evidence) -> Said:
    """Says which null policies are as safe; if one has no higher cost, the safety is not due to the policy."""
    for null in evidence.others(*NULL_POLICIES):
        for name, what in (("collision", "few collisions"), ("unsafe", "few unsafe episodes")):
            found = evidence.compared(name, null)
            if found is None:
                continue
            counts = _counts(evidence, null, found, "collisions" if name == "collision" else "unsafe")
            if found["verdict"] == BETTER:
                text = f"It has fewer {counts[0]} than '{label_policy(null)}' on the same episodes ({counts[1]})"
                yield _at_home(evidence, name, [null], text)
            elif found["verdict"] == WORSE:
                yield BAD, f"It has more {counts[0]} than '{label_policy(null)}' on the same episodes ({counts[1]})."
            elif price := _higher_price(evidence, null):
                yield (
                    OPEN,
                    f"'{label_policy(null)}' is not shown to be less safe, but {price} ({counts[0]}: {counts[1]}).",
                )
            elif found["low"] >= -MATTERS:
                text = f"That it has {what} is {NOT_ITS_DOING}: '{label_policy(null)}' has hardly more"
                yield BAD, f"{text} ({counts[1]}). {more_pairs(found)}"
            else:
                text = f"That it has {what} and '{label_policy(null)}' more is not shown"
                yield OPEN, f"{text} ({counts[1]}). {more_pairs(found)}"


def _counts(evidence: Evidence, other: str, found: dict[str, Any], column: str) -> tuple[str, str]:
    own, others = evidence.own[column], evidence.row(other)[column]
    words = "collisions" if column == "collisions" else "unsafe episodes"
    return words, f"{own:.0f} against {others:.0f}; difference {points(found)}"


def _higher_price(evidence: Evidence, null: str) -> str:
    """Returns the cost that is shown for a null policy and not for the judged one; empty if there is none."""
    for name in ("time_lost_s", "calm_braking"):
        found = evidence.compared(name, null)
        if found is not None and found["verdict"] == BETTER:
            unit = "s an episode lost" if name == "time_lost_s" else "m/s taken off per calm minute"
            return f"pays more: {found['second_mean']:.1f} {unit}, the policy {found['first_mean']:.1f}"
    return ""


def _price(evidence: Evidence) -> Said:
    """Says what the policy costs, compared with the driver alone."""
    for name, words in (
        ("time_lost_s", "It loses {:.1f} s an episode against the driver alone"),
        ("calm_braking", "It takes off {:.1f} m/s of speed in each minute of calm driving"),
        ("excess_braking_mps", "At a hazard it brakes off {:.1f} m/s more than the perfect driver"),
        ("max_jerk_mps3", "Its largest jerk is {:.1f} m/s3 on average, harder than the driver's alone"),
    ):
        found = evidence.compared(name, BOUND if name == "excess_braking_mps" else ALONE)
        if found is not None and found["verdict"] == WORSE:
            low, high = found["low"], found["high"]
            yield BAD, f"{words.format(found['first_mean'])} (difference {low:+.2g} to {high:+.2g})."


def _rules(evidence: Evidence) -> Said:
    yield from _against(evidence, evidence.of_kind(RULE))


def _unseen_roads(evidence: Evidence) -> Said:
    unseen = evidence.on_unseen_roads()
    if unseen is None:
        return
    there, home = unseen.own, evidence.own
    gap = rate_difference(*(int(one[name]) for one in (there, home) for name in ("collisions", "episodes")))
    brakes_more = there["calm_braking_low"] > home["calm_braking_high"]
    alone = unseen.row(ALONE)["collisions"] if unseen.others(ALONE) else 0
    text = (
        f"On roads that no training has seen it collides in {there['collisions']:.0f} of {there['episodes']:.0f} "
        f"episodes, the driver alone in {alone:.0f}; it takes off {there['calm_braking']:.1f} m/s per calm minute "
        f"there and {home['calm_braking']:.1f} at home, and reacts in {there['reaction_s']:.2f} and "
        f"{home['reaction_s']:.2f} s."
    )
    yield BAD if gap.low > 0 or brakes_more else OPEN, text
    yield from _against(unseen, unseen.of_kind(RULE), "On unseen roads it")


def _need(evidence: Evidence) -> Said:
    if evidence.others(ALONE) and evidence.row(ALONE)["hazards"]:
        alone = evidence.row(ALONE)
        text = (
            f"In {alone['hazards_safe']:.0f} of {alone['hazards']:.0f} hazards the driver alone stays safe: no "
            "assist is needed there."
        )
        yield OPEN, text


def _best_rule(evidence: Evidence) -> Said:
    best = evidence.best_rule()
    if best is not None:
        own, other = evidence.own["score"], evidence.row(best)["score"]
        words = "above" if own > other else "not above"
        yield OPEN, f"Its score is {own:.3f}, {words} that of the best rule ({label_policy(best)}, {other:.3f})."


def _other_runs(evidence: Evidence) -> Said:
    for name in evidence.of_kind(ANOTHER_RUN):
        yield from _against(evidence, [name])


def _against(evidence: Evidence, others: Sequence[str], it: str = "It") -> Said:
    """Says for each figure which of the others the policy is worse than, better than, or not shown to differ from."""
    for figure in FIGURES:
        found = [(other, row) for other in others if (row := evidence.compared(figure.name, other)) is not None]
        worse, better, unclear = ([pair for pair in found if pair[1]["verdict"] == verdict]
                                  for verdict in (WORSE, BETTER, NOTHING_SHOWN))  # fmt: skip
        if worse:
            yield BAD, f"{it} {figure.worse} than {_name_all(figure, worse)}."
        if better:
            text = f"{it} {figure.better} than {_name_all(figure, better)}"
            yield _at_home(evidence, figure.name, [other for other, _ in better], text)
        if unclear and figure.name in ("collision", "unsafe"):
            more = f" {more_pairs(unclear[0][1])}" if len(unclear) == 1 else ""
            yield OPEN, f"{it} shows no difference in {figure.label} from {_name_all(figure, unclear)}.{more}"


def _at_home(evidence: Evidence, figure: str, others: Sequence[str], text: str) -> tuple[str, str]:
    """Returns a sentence for the policy, which is `OPEN` where the contrary is shown away from home."""
    where = dict.fromkeys(label for other in others for label in evidence.contradictions(figure, other))
    return (OPEN, f"{text}, but the contrary is shown with: {'; '.join(where)}.") if where else (GOOD, f"{text}.")


def _name_all(figure: Figure, found: Sequence[tuple[str, dict[str, Any]]]) -> str:
    return "; ".join(
        f"{label_policy(other)} ({points(row)})"
        if figure.is_rate
        else f"{label_policy(other)} ({figure.format_pair(row['first_mean'], row['second_mean'])})"
        for other, row in found
    )


def _radio(evidence: Evidence) -> Said:
    found = evidence.compared("reaction_time_s", MUTED)
    if found is None or found["verdict"] != NOTHING_SHOWN:
        return
    text = "That it reacts sooner with its radio than without is not shown"
    if found["low"] > -SAME_REACTION_S:
        yield BAD, f"{text}: what it hears makes no difference of {SAME_REACTION_S:g} s."
    else:
        yield OPEN, f"{text} (difference {found['low']:+.1f} to {found['high']:+.1f} s). {more_pairs(found)}"


def _missed_hazards(evidence: Evidence) -> Said:
    own = evidence.own
    if own["hazards"] and own["missed"] > 0:
        text = (
            f"The assist did not answer {own['missed']:.0f} of {own['hazards']:.0f} hazards "
            f"({own['missed_rate_low']:.0%} to {own['missed_rate_high']:.0%}); some are too far ahead to need it."
        )
        yield BAD if own["missed_rate_low"] > 0.5 else OPEN, text


def _car_behind(evidence: Evidence) -> Said:
    found = evidence.compared("follower_min_ttc_s", "unassisted")
    struck = int(evidence.own["was_struck"])
    if found is not None and found["verdict"] == WORSE:
        text = (
            f"It brings the car behind nearer to a collision than the driver alone does: at the least "
            f"{found['first_mean']:.1f} s against {found['second_mean']:.1f} s away, on average."
        )
        yield BAD, text
    if struck:
        alone = f", into the driver alone in {evidence.row(ALONE)['was_struck']:.0f}" if evidence.others(ALONE) else ""
        yield OPEN, f"Another car ran into it in {struck} of its collisions{alone}; whose doing that is, is not shown."


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
        text = (
            f"With SUMO's checks on the driver alone collides in {collided} episodes, with them off in "
            f"{off['collisions']:.0f}: figures with them on say nothing of a policy."
        )
        yield OPEN, text


def _generalisation(evidence: Evidence) -> Said:
    gap = evidence.gap
    if gap is None:
        return
    words = f"{100 * gap.value:+.1f} points ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})"
    unseen = "traffic, drivers and radios it never saw"
    if gap.low > 0:
        yield BAD, f"It collides more often with {unseen} than with those of its training: {words}."
    elif gap.high < 0:
        yield OPEN, f"With {unseen} it collides less often than with those of its training: {words}."
    else:
        yield OPEN, f"Between {unseen} and those of its training no difference in collisions is shown: {words}."


def _where(evidence: Evidence) -> Said:
    total = sum(n for n, _ in evidence.failures_by_base.values())
    for base, (n, episodes) in evidence.failures_by_base.items():
        others = sum(count for name, (_, count) in evidence.failures_by_base.items() if name != base)
        if total >= 3 and others and n > total / 2:
            is_shown = binomial_interval(n, total).low > episodes / (episodes + others)
            words = f"{n} of its {total} collisions are on {base} ({n} of {episodes} episodes there)."
            yield BAD if is_shown else OPEN, words


RULES: dict[str, Callable[[Evidence], Said]] = {
    "episodes_failed": _episodes_failed,
    "null_policies": _null_policies,
    "conditions": conditions,
    "calm_episodes": calm_episodes,
    "rules": _rules,
    "other_runs": _other_runs,
    "price": _price,
    "collision_rate": _collision_rate,
    "radio": _radio,
    "missed_hazards": _missed_hazards,
    "car_behind": _car_behind,
    "where": _where,
    "generalisation": _generalisation,
    "unseen_roads": _unseen_roads,
    "need": _need,
    "best_rule": _best_rule,
    "upper_bound": _upper_bound,
    "checks": _checks,
}
"""The rules by their ids, which appear in published JSON."""
