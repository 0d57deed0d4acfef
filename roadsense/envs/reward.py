"""The reward: named terms, each from 0 to 1, and one weighted sum. Pure."""

from typing import Final, NamedTuple

from roadsense.envs.assist import FULL_BRAKING_MPS2

COMFORT_MPS2: Final = 2.0
"""A required deceleration up to this is no danger."""
BLIND_S: Final = 0.3
"""A leader that was not heard for this long may be braking already."""
BLIND_HEADWAY_S: Final = 2.0
"""Time headway to keep to such a leader: the two seconds of driving schools."""
BLIND_GAP_M: Final = 2.0
"""Gap to keep beside that headway, so that a queue is not penalised."""
FALLING_BACK_MPS2: Final = 0.2
"""An ego that slows by this much falls back. The value is low: a policy that explores slows by more than needed."""
GENTLE_MPS2: Final = 0.6
"""Braking up to this feels like lifting the foot; needless braking beyond counts again, as `hard_needless_braking`."""
HARSH_JERK_MPS3: Final = 80.0
"""Full braking that begins or ends within a step; the brake builds up half as fast, see `roadsense.envs.assist`."""


class Situation(NamedTuple):
    """The figures by which a step is judged; ground truth.

    Attributes:
        collision: whether the ego touches anything.
        required_mps2: least deceleration that keeps the ego from hitting its leader, from 0.
        assist_mps2: deceleration that the assist asked for, from 0.
        hazard_active: whether a car ahead is braking hard now.
        jerk_mps3: jerk of the ego over the step.
        gap_m: gap to the vehicle ahead, bumper to bumper.
        speed_mps: speed of the ego.
        acceleration_mps2: acceleration of the ego.
        silence_s: age of the newest message from the convoy's next car, or time since the start before the first one;
            0 if that car has left the road.
        leader_speed_mps: speed of the vehicle ahead.
        needed_mps2: hardest braking that is justified, from 0: what the leader requires; while a hazard is active, also
            what any car ahead in the convoy does or requires.
        added_mps2: acceleration that the assist takes off the driver's, from 0. It counts the acceleration that the
            driver does not get, too, so a car that the assist keeps standing loses as much as one that it stops.
    """

    collision: bool
    required_mps2: float
    assist_mps2: float
    hazard_active: bool
    jerk_mps3: float
    gap_m: float
    speed_mps: float
    acceleration_mps2: float
    silence_s: float
    leader_speed_mps: float
    needed_mps2: float
    added_mps2: float


class RewardTerms(NamedTuple):
    """The terms of a step's reward before their weights, each from 0 to 1; see `RewardWeights`."""

    collision: float
    danger: float
    early_braking: float
    needless_braking: float
    hard_needless_braking: float
    jerk: float
    blind_following: float


TERMS = RewardTerms._fields
"""Names of the terms, in order."""


def danger(situation: Situation) -> float:
    """Returns 0 up to comfortable braking, 1 where full braking is required."""
    excess = situation.required_mps2 - COMFORT_MPS2
    if excess <= 0:
        return 0.0
    return min(excess / (FULL_BRAKING_MPS2 - COMFORT_MPS2), 1.0)


def early_braking(situation: Situation) -> float:
    """Returns the assist's braking, up to what is needed, as a share of full braking."""
    if situation.needed_mps2 < COMFORT_MPS2 or not situation.assist_mps2:
        return 0.0
    return min(situation.assist_mps2, situation.needed_mps2, FULL_BRAKING_MPS2) / FULL_BRAKING_MPS2


def needless_mps2(situation: Situation) -> float:
    """Returns the acceleration that the assist takes off needlessly, from 0.

    Nothing is free: even the weakest braking counts, with and without a hazard. Where comfortable braking is enough,
    the assist's is not needed, because the driver does it. Behind a leader that is not heard the driver's own wish to
    close up does not count: the longer gap is wanted there, see `blind_following`.
    """
    needed_mps2 = situation.needed_mps2 if situation.needed_mps2 > COMFORT_MPS2 else 0.0
    if not needed_mps2 and situation.silence_s < BLIND_S:
        return situation.added_mps2
    return min(situation.added_mps2, max(situation.assist_mps2 - needed_mps2, 0.0))


def needless_braking(situation: Situation) -> float:
    """Returns the acceleration taken off needlessly as a share of full braking: progress that the drive loses."""
    return min(needless_mps2(situation) / FULL_BRAKING_MPS2, 1.0)


def hard_needless_braking(situation: Situation) -> float:
    """Returns the assist's needless braking beyond `GENTLE_MPS2` as a share of full braking.

    It counts whatever the driver does and whether the leader is heard, as false braking does in an evaluation.
    """
    needed_mps2 = situation.needed_mps2 if situation.needed_mps2 > COMFORT_MPS2 else 0.0
    return min(max(situation.assist_mps2 - needed_mps2 - GENTLE_MPS2, 0.0) / FULL_BRAKING_MPS2, 1.0)


def jerk(situation: Situation) -> float:
    """Returns the square of the jerk divided by a harsh jerk, at most 1."""
    return min((situation.jerk_mps3 / HARSH_JERK_MPS3) ** 2, 1.0)


def blind_following(situation: Situation) -> float:
    """Returns how far the gap is below two seconds behind a leader that is not heard; 0 while the ego falls back.

    It depends on this step alone: a longer gap pays off tens of seconds later, too late to be learned.
    """
    if situation.silence_s < BLIND_S:
        return 0.0
    shortage = 1 - situation.gap_m / (BLIND_HEADWAY_S * situation.speed_mps + BLIND_GAP_M)
    driving_on = 1 + situation.acceleration_mps2 / FALLING_BACK_MPS2
    return min(max(shortage, 0.0), 1.0) * min(max(driving_on, 0.0), 1.0)


def reward_terms(situation: Situation) -> RewardTerms:
    """Returns the terms of a step's reward."""
    if not situation.assist_mps2 and situation.required_mps2 <= COMFORT_MPS2 and not situation.collision:
        return RewardTerms(0.0, 0.0, 0.0, 0.0, 0.0, jerk(situation), blind_following(situation))  # most steps
    return RewardTerms(
        collision=float(situation.collision),
        danger=danger(situation),
        early_braking=early_braking(situation),
        needless_braking=needless_braking(situation),
        hard_needless_braking=hard_needless_braking(situation),
        jerk=jerk(situation),
        blind_following=blind_following(situation),
    )


def weigh(terms: RewardTerms, weights: RewardTerms) -> float:
    """Returns the weighted sum of the terms."""
    total = 0.0
    for term, weight in zip(terms, weights, strict=True):
        total += term * weight
    return total
