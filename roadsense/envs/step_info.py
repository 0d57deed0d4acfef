"""What an environment tells of a step, and of the whole road when somebody records it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from roadsense.envs import metrics
from roadsense.envs.convoy import Convoy
from roadsense.envs.radio.channel import V2vChannel
from roadsense.envs.reward import TERMS, Situation
from roadsense.envs.sumo.connection import SumoConnection
from roadsense.envs.world import State


@dataclass(frozen=True)
class Snapshot:
    """The whole road at one step.

    Attributes:
        step: of the episode, from 0 after the reset.
        states: of every vehicle on the road, by id.
        messages: who sent a message in this step, and at which step it is heard; -1 if it is lost.
    """

    step: int
    states: dict[str, State]
    messages: tuple[tuple[str, int], ...]


def take_snapshot(connection: SumoConnection, channel: V2vChannel, senders: Sequence[str], step: int) -> Snapshot:
    """Returns the whole road as it is now.

    Args:
        connection: of a running simulation.
        channel: the radio, whose messages of this step were exchanged.
        senders: id of the car of each of its peers.
        step: of the episode.
    """
    ids = connection.vehicle_ids()
    states = {name: state for name, state in zip(ids, connection.read_states(ids), strict=True) if state}
    heard = zip(senders, channel.delivery_steps(step), strict=True)
    return Snapshot(step, states, tuple((sender, at) for sender, at in heard if at is not None))


def describe_step(convoy: Convoy, situation: Situation, terms: Sequence[float]) -> dict[str, Any]:
    """Returns the figures of a step as `ConvoyEnv`'s info gives them."""
    gap_m, leader_mps, _ = convoy.leader
    speed_mps = convoy.speed_mps
    return {
        "gap_m": gap_m,
        "ttc_s": float(metrics.time_to_collision_s(gap_m, speed_mps, leader_mps)),
        "time_headway_s": float(metrics.time_headway_s(gap_m, speed_mps)),
        "drac_mps2": float(metrics.drac_mps2(gap_m, speed_mps, leader_mps)),
        "speed_mps": speed_mps,
        "leader_speed_mps": leader_mps,
        "acceleration_mps2": convoy.acceleration_mps2,
        "driver_mps2": convoy.driver_mps2,
        "sumo_interventions": convoy.sumo_interventions,
        **situation._asdict(),
        "terms": dict(zip(TERMS, terms, strict=True)),
    }
