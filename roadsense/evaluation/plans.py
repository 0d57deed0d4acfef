"""Plans the episodes of an evaluation: the held-out episodes, and other parts to compare them with."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from roadsense.envs.radio.presets import V2vPreset
from roadsense.episodes.plan import Plan
from roadsense.scenarios.scenario import find_scenarios, open_scenario

HELD_OUT, CHECKS_ON, LOSS, LATENCY, UNSEEN = "held_out", "checks_on", "loss", "latency", "unseen"
"""The judged episodes; the same with SUMO's checks on, and with worse radios; roads that no training has seen."""
CONDITIONS_PART = "condition"
"""Some of the judged episodes in each of `roadsense.evaluation.conditions.CONDITIONS`."""
UNSEEN_DIR = "scenarios/unseen"
"""Folder of roads that no training has seen, made by `benchmarks/unseen_roads.py`."""
SPLITS = ("train", "eval_wide")
"""Other splits of the dataset beside the judged one; each is a part with its own name."""
LOSSES = (0.0, 0.2, 0.4, 0.6, 0.8)
LATENCIES_S = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
CURVE_RADIO = "esp_now"
"""The radio to make worse if the scenarios have different radios."""
BURST_MARGIN = 1.25
"""Bursts are at least this factor longer than the loss needs."""
MIN_BURST = 1.6
_DOMAINS = {part: number for number, part in enumerate((*SPLITS, UNSEEN), start=0x53504C)}


@dataclass(frozen=True)
class PlannedEpisode:
    """A plan and the part of the evaluation that it belongs to.

    Attributes:
        part: `HELD_OUT`, `CHECKS_ON`, one of `SPLITS`, `LOSS`, `LATENCY`, `UNSEEN` or `CONDITIONS_PART`.
        plan: plan of the episode.
        curve_value: loss (0 to 1) or latency [s] in the parts `LOSS` and `LATENCY`, else NaN.
        condition: name of the condition in `CONDITIONS_PART`, else empty.
    """

    part: str
    plan: Plan
    curve_value: float = float("nan")
    condition: str = ""


def plan_held_out(
    paths: Sequence[Path], n_episodes: int, calm_share: float, seed: int, policies: Sequence[str]
) -> list[PlannedEpisode]:
    """Returns each seed of each scenario with every policy; the last seeds of each scenario have no hazard.

    Args:
        paths: paths of the scenarios.
        n_episodes: number of episodes of each scenario.
        calm_share: share of episodes without a hazard, rounded, 0 to 1.
        seed: seed of all random draws.
        policies: names of the policies.

    Raises:
        ScenarioError: if a scenario cannot be opened.
    """
    n_hazards = n_episodes - round(calm_share * n_episodes)
    episodes = []
    for number, path in enumerate(paths):
        open_scenario(path)
        seeds = np.random.SeedSequence((seed, number)).generate_state(n_episodes).tolist()
        for index, one in enumerate(seeds):
            episodes += [PlannedEpisode(HELD_OUT, Plan(policy, path, one, index < n_hazards)) for policy in policies]
    return episodes


def with_checks(episodes: Sequence[PlannedEpisode]) -> list[PlannedEpisode]:
    """Returns the same episodes with SUMO's checks on."""
    return [PlannedEpisode(CHECKS_ON, replace(one.plan, sumo_checks=True)) for one in episodes]


def plan_splits(
    eval_dir: Path, n_episodes: int, calm_share: float, seed: int, policies: Sequence[str]
) -> list[PlannedEpisode]:
    """Returns episodes on the dataset's other splits, if they are beside the judged one.

    Args:
        eval_dir: folder of the judged split.
        n_episodes: number of episodes of each split, spread over all its scenarios.
        calm_share: share of episodes without a hazard, 0 to 1.
        seed: seed of all random draws.
        policies: names of the policies.
    """
    episodes = []
    for split in SPLITS:
        folder = eval_dir.resolve().parent / split
        if n_episodes and eval_dir.resolve().name != split and any(folder.rglob("*.sumocfg")):
            episodes += plan_spread(split, find_scenarios(folder), n_episodes, calm_share, seed, policies)
    return episodes


def plan_spread(
    part: str, paths: Sequence[Path], n_episodes: int, calm_share: float, seed: int, policies: Sequence[str]
) -> list[PlannedEpisode]:
    """Returns episodes of a part, spread over all its scenarios.

    Args:
        part: one of `SPLITS`, or `UNSEEN`.
        paths: paths of its scenarios.
        n_episodes: total number of episodes.
        calm_share: share of episodes without a hazard, 0 to 1.
        seed: seed of all random draws.
        policies: names of the policies.
    """
    seeds = np.random.SeedSequence((_DOMAINS[part], seed)).generate_state(n_episodes).tolist()
    # With fewer episodes than scenarios, they are spread over all scenarios, not only the first ones.
    places = np.arange(n_episodes) * max(1, len(paths) // max(n_episodes, 1)) % len(paths)
    laps = np.arange(n_episodes) * calm_share
    calm = np.floor(laps + calm_share) > np.floor(laps)
    # Shuffled: at regular places they would all be on the same base when the scenarios' bases take turns.
    calm = np.random.default_rng((_DOMAINS[part], seed)).permutation(calm)
    return [
        PlannedEpisode(part, Plan(who, paths[int(place)], one, not is_calm))
        for place, one, is_calm in zip(places, seeds, calm, strict=True)
        for who in policies
    ]


def plan_curves(
    held_out: Sequence[PlannedEpisode], n_episodes: int, base: V2vPreset, policies: Sequence[str]
) -> list[PlannedEpisode]:
    """Returns held-out episodes with a hazard again, under each radio of `LOSSES` and `LATENCIES_S`.

    Args:
        held_out: episodes to choose from, evenly.
        n_episodes: number of episodes at each point for each policy.
        base: radio preset that gives all other figures.
        policies: names of the policies.
    """
    hazards = [one.plan for one in held_out if one.plan.hazard and one.plan.policy == held_out[0].plan.policy]
    return [
        PlannedEpisode(part, replace(plan, policy=policy, radio=radio), value)
        for part, value, radio in degraded_radios(base)
        for plan in spread_evenly(hazards, n_episodes)
        for policy in policies
    ]


def spread_evenly(plans: Sequence[Plan], n: int) -> list[Plan]:
    """Returns at most `n` of the plans, evenly spread over all of them."""
    if not n or not plans:
        return []
    places = np.unique(np.linspace(0, len(plans) - 1, min(n, len(plans))).round().astype(int))
    return [plans[place] for place in places]


def degraded_radios(base: V2vPreset) -> Iterator[tuple[str, float, V2vPreset]]:
    """Yields part, value and radio of each point of the curves.

    The loss is the same at every distance, in bursts about as long as it needs; the latency has no jitter.
    """
    for loss in LOSSES:
        burst = max(MIN_BURST, BURST_MARGIN * loss / (1 - loss))
        yield LOSS, loss, replace(base, loss=(loss,) * 4, burst_mean=burst)
    for latency_s in LATENCIES_S:
        yield LATENCY, latency_s, replace(base, latency_mean_s=latency_s, latency_std_s=0.0)
