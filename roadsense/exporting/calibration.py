"""The observations that set the scales of int8: they must contain hazards."""

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import Observation, observation_space
from roadsense.errors import InputError
from roadsense.policies.rules import HeardBrakingRule

MIN_ROWS = 100
MIN_HAZARD_SHARE = 0.05
"""Least share of a calibration set's observations in which a car ahead is heard to brake hard."""


MIN_ACTION = 1 / 255
"""Least share of full braking that a policy has to give on the calibration set: one step of int8."""


class CalibrationError(InputError):
    """Raised when a calibration set does not represent the observations on the road."""


def check_calibration(observations: Observation, origin: str) -> float:
    """Returns the share of observations in which a car ahead is heard to brake hard (harder than 2.5 m/s2).

    Args:
        observations: observations with a leading batch axis.
        origin: source of the observations, for the message.

    Raises:
        CalibrationError: if there are too few of these observations, or too few at all.
    """
    n_rows = len(observations["ego"])
    if n_rows < MIN_ROWS:
        raise CalibrationError(
            f"Expected at least {MIN_ROWS} observations to calibrate int8 on, got {n_rows} ({origin})."
        )
    share = float((HeardBrakingRule()(observations) > 0).mean())
    if share < MIN_HAZARD_SHARE:
        raise CalibrationError(
            f"Expected a car ahead that is heard to brake hard in at least {MIN_HAZARD_SHARE:.0%} of the observations "
            f"int8 is calibrated on, got {share:.1%} ({origin}). Int8 would be wrong where braking matters. "
            "Record hazards, with a radio that is heard, or export with --no-int8."
        )
    return share


def refuse_idle(actions: NDArray[np.float32]) -> None:
    """Refuses a policy that never brakes on its calibration set: its int8 file could give nothing but 0, ever.

    Args:
        actions: its actions there, shape (n, 1), each a share of full braking.

    Raises:
        CalibrationError: if all actions are below one step of int8.
    """
    if actions.max() < MIN_ACTION:
        raise CalibrationError(
            f"Expected a policy that brakes in some of the {len(actions)} observations int8 is calibrated on, got at "
            f"most {actions.max():.2g} of full braking: in int8 it could never brake. Train it for longer, or export "
            "with --no-int8."
        )


def read_calibration(path: Path) -> Observation:
    """Returns recorded observations from an `.npz` with the arrays `ego`, `peers` and `peer_mask`.

    Raises:
        CalibrationError: if it cannot be read, or its arrays are not float observations of the environment's shapes
            and bounds, without NaN.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in Observation.__annotations__}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CalibrationError(f"calibration: expected an .npz of observations in {path} ({error}).") from error
    n_rows = len(arrays["ego"]) if arrays["ego"].ndim else 0
    for name, space in observation_space().items():
        shape = (n_rows, *(space.shape or ()))
        values = arrays[name]
        if values.shape != shape or values.dtype.kind != "f":
            raise CalibrationError(
                f"{path}: expected {name} of shape {shape} and floats, got {values.shape}, {values.dtype}."
            )
        if not (np.abs(values) <= space.high).all():
            raise CalibrationError(f"{path}: expected {name} within the bounds of the observation, got others or NaN.")
    return Observation(**{name: values.astype(np.float32) for name, values in arrays.items()})  # type: ignore[typeddict-item]
