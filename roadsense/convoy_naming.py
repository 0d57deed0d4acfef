"""The convoy of a scenario whose cars have other ids than ours."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ConvoyNaming:
    """Which cars of a scenario are the convoy.

    Attributes:
        ego: id of its last car.
        convoy: ids of the cars ahead of it, going forward.
    """

    ego: str
    convoy: tuple[str, ...]
