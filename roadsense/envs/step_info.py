"""The figures of a step for `info`, and a snapshot of the whole road for recordings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from roadsense.envs import metrics
from roadsense.envs.convoy import Convoy
from roadsense.envs.radio.channel import V2vChannel
from roadsense.envs.reward import RewardTerms, Situation
from roadsense.envs.sumo.connection import SumoConnection
from roadsense.envs.world import State


@dataclass(frozen=True)
class Snapshot:
    """The whole road at one step.

    Attributes:
        step: number of the step in the episode; 0 after the reset.
        states: state of every vehicle on the road, by id.
        messages: step at which each message sent in this step is heard, by the sender's id; -1 if lost.
    """

    step: int
    states: dict[str, State]
    messages: tuple[tuple[str, int], ...]


def take_snapshot(
    connection: SumoConnection, channels: Sequence[V2vChannel], senders: Sequence[Sequence[str]], step: int
) -> Snapshot:
    """Returns the whole road as it is now.

    Args:
        connection: connection to a running simulation.
        channels: radio channels, after the exchange of this step's messages.
        senders: id of each peer's car, for each channel; messages of cars that are not on the road are left out.
        step: number of the step in the episode.
    """
    ids = connection.vehicle_ids()
    states = {name: state for name, state in zip(ids, connection.read_states(ids), strict=True) if state}
    heard = [
        (sender, at)
        for channel, ids in zip(channels, senders, strict=False)
        for sender, at in zip(ids, channel.delivery_steps(step), strict=True)
    ]
    return Snapshot(step, states, tuple((sender, at) for sender, at in heard if at is not None and sender in states))


def describe_step(convoy: Convoy, situation: Situation, terms: RewardTerms) -> dict[str, Any]:
    """Returns the figures of a step as `ConvoyEnv`'s info holds them."""
    gap_m, speed_mps, leader_mps = situation.gap_m, situation.speed_mps, situation.leader_speed_mps
    return {
        "ttc_s": float(metrics.time_to_collision_s(gap_m, speed_mps, leader_mps)),
        "time_headway_s": float(metrics.time_headway_s(gap_m, speed_mps)),
        "drac_mps2": float(metrics.drac_mps2(gap_m, speed_mps, leader_mps)),
        "driver_mps2": convoy.driver_mps2,
        "overtook_leader": convoy.overtook_leader,
        "sumo_interventions": convoy.sumo_interventions,
        **situation._asdict(),
        "terms": terms._asdict(),
    }
