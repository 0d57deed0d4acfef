"""SUMO's default values of a vehicle type's attributes. Pure.

Source: https://sumo.dlr.de/docs/Vehicle_Type_Parameter_Defaults.html; a test compares them with SUMO 1.28.
"""

from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_CLASS = "passenger"

CLASSES_LEFT_ALONE = frozenset(
    {"pedestrian", "wheelchair", "rail", "rail_urban", "rail_electric", "rail_fast", "subway", "cable_car", "ship"}
    | {"container", "aircraft", "drone"}
)
"""Classes whose types are not varied: they have other rules and defaults than road vehicles."""

WITHOUT_SIGMA = frozenset({"IDM", "IDMM", "EIDM", "ACC", "CACC", "CC", "BKerner", "W99", "Wiedemann", "Rail"})
"""Car-following models in which `sigma`, the imperfection, changes nothing."""

HEAVY_CLASSES = frozenset({"truck", "trailer", "bus", "coach"})
"""Classes of heavy vehicles, whose share is varied."""


@dataclass(frozen=True)
class FollowingDefaults:
    """SUMO's default car-following values of a vehicle class.

    Attributes:
        accel: highest acceleration in m/s2.
        decel: comfortable deceleration in m/s2, from 0.
        emergency_decel: highest deceleration in m/s2, from 0.
        min_gap: gap at standstill in m.
        tau: desired time headway in s.
    """

    accel: float = 2.6
    decel: float = 4.5
    emergency_decel: float = 9.0
    min_gap: float = 2.5
    tau: float = 1.0


_OF_CLASS: Mapping[str, FollowingDefaults] = {
    "bus": FollowingDefaults(1.2, 4.0, 7.0),
    "coach": FollowingDefaults(2.0, 4.0, 7.0),
    "truck": FollowingDefaults(1.3, 4.0, 7.0),
    "trailer": FollowingDefaults(1.1, 4.0, 7.0),
    "motorcycle": FollowingDefaults(6.0, 10.0, 10.0),
    "moped": FollowingDefaults(1.1, 7.0, 10.0),
    "bicycle": FollowingDefaults(1.2, 3.0, 7.0, 0.5),
    "tram": FollowingDefaults(1.0, 3.0, 7.0),
}


def following_defaults(vehicle_class: str) -> FollowingDefaults:
    """Returns SUMO's values for a vClass; those of a passenger car for any class not in the table."""
    return _OF_CLASS.get(vehicle_class, FollowingDefaults())
