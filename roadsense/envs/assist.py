"""How assist and driver share the brake, and how fast the brake acts. Pure."""

from typing import Final

FULL_BRAKING_MPS2: Final = 8.0
"""Deceleration that an action of 1 asks for."""
DEAD_ZONE: Final = 0.05
"""Actions up to here leave the car to its driver."""
BUILD_UP_MPS3: Final = 40.0
"""How fast braking grows: a hydraulic brake needs about 0.2 s to full pressure."""
RELEASE_MPS3: Final = 15.0
"""How fast braking is released, so that a release does not jerk."""


def assist_deceleration_mps2(action: float) -> float:
    """Returns the deceleration that an action asks for, from 0 to `FULL_BRAKING_MPS2`; 0 within the dead zone."""
    return FULL_BRAKING_MPS2 * max(0.0, (action - DEAD_ZONE) / (1 - DEAD_ZONE))


def arbitrate_mps2(driver_mps2: float, assist_mps2: float) -> float:
    """Returns the acceleration that the car should have: the stronger of driver and assist brakes.

    Args:
        driver_mps2: acceleration that the driver asks for.
        assist_mps2: deceleration that the assist asks for, from 0; 0 leaves the car to the driver.
    """
    return min(driver_mps2, -assist_mps2) if assist_mps2 > 0 else driver_mps2


def apply_brake_mps2(wanted_mps2: float, previous_mps2: float, step_length_s: float) -> float:
    """Returns the car's acceleration after a step, from the wanted one and the present one."""
    at_least = previous_mps2 - BUILD_UP_MPS3 * step_length_s
    at_most = previous_mps2 + RELEASE_MPS3 * step_length_s
    return min(max(wanted_mps2, at_least), at_most)
