"""Compares the plain C policy with the trained one on this machine, and measures it on emulated microcontrollers."""

from dataclasses import asdict
from pathlib import Path

from roadsense.exporting.c_chips import KNOWN, MEASURED_ON, ChipFigures, find_chips, measure_chip
from roadsense.exporting.c_host import CPolicy, find_compiler
from roadsense.exporting.c_source import C
from roadsense.exporting.card import Card
from roadsense.exporting.parity import Bounds, Evidence, compare_actions, refuse_unequal
from roadsense.policies.actor import Actor

DEFAULT_WIDTHS = ((32, 32), (64, 64, 1))
"""Widths of the peer network's and the policy network's layers, in the policies whose figures are `KNOWN`."""


def prove_c(folder: Path, actor: Actor, evidence: Evidence, bounds: Bounds) -> Card:
    """Returns the part of the card about the plain C policy.

    A value is None if this machine lacks the compiler or emulator for it; the figures of chips are then those that
    were measured before, for networks of the default size.

    Args:
        folder: folder of the firmware.
        actor: network of the policy.
        evidence: the trained policy's actions on recorded observations.
        bounds: largest allowed differences.

    Raises:
        ExportError: if it acts differently from the trained policy, does not compile, or fails on an emulated chip.
    """
    chips = {chip.name: measure_chip(chip, folder) for chip in find_chips()}
    figures, origin = (chips, "measured with this policy") if chips else _find_known(actor)
    layers = (*actor.peer_layers, *actor.policy_layers)
    return {
        "weight_bytes": sum(layer.weight.nbytes + layer.bias.nbytes for layer in layers),
        "difference": _compare(folder, evidence, bounds),
        "chips": {name: asdict(found) for name, found in figures.items()},
        "chips_origin": origin,
    }


def _compare(folder: Path, evidence: Evidence, bounds: Bounds) -> Card | None:
    compiler = find_compiler()
    if compiler is None:
        return None
    difference = compare_actions(CPolicy(folder, compiler)(evidence.observations), evidence.trained)
    refuse_unequal(C, {"this machine": difference}, bounds, len(evidence.trained))
    return asdict(difference)


def _find_known(actor: Actor) -> tuple[dict[str, ChipFigures], str | None]:
    widths = tuple(tuple(layer.bias.size for layer in layers) for layers in (actor.peer_layers, actor.policy_layers))
    if widths != DEFAULT_WIDTHS or not actor.sees_ego:
        return {}, None
    return KNOWN, f"measured on {MEASURED_ON} with a network of this size"
