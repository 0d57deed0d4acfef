"""Tells policies that were trained on observations which VecNormalize had scaled: their zips lack its statistics."""

import base64
import pickletools
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from roadsense.envs.observation import MAX_PEERS
from roadsense.errors import RunError

_LAST, _ORIGINAL = "_last_obs", "_last_original_obs"
_NUMBER = re.compile(r"-?\d+\.?\d*(?:e[-+]?\d+)?")


def was_normalised(settings: Mapping[str, Any]) -> bool:
    """Returns whether the last observation that a training saw had been scaled.

    Stable-Baselines3 keeps it in the zip, and with VecNormalize the original too. The masks of the environment are 0
    or 1; scaled ones are not. No pickle is opened: its numbers are read as the bytes that they are.
    """
    last = settings.get(_LAST)
    if not settings.get(_ORIGINAL) or not isinstance(last, Mapping):
        return False
    mask = last.get("peer_mask")
    try:
        values = (
            _read_flat(last[":serialized:"]) if mask is None else [float(one) for one in _NUMBER.findall(str(mask))]
        )
    except (ValueError, KeyError, TypeError):
        return False
    return any(value not in (0.0, 1.0) for value in values)


def refuse_normalised(is_normalised: bool, what: str) -> None:
    """Refuses a policy that takes scaled observations.

    Raises:
        RunError: if it does.
    """
    if is_normalised:
        raise RunError(
            f"{what}: expected a policy over the observation as it is, got one trained on what VecNormalize made of "
            "it, whose statistics are not in the zip. The environment scales its observations: train with "
            "norm_obs=False. Or name a function of yours, which normalises and then asks the model, as module:name."
        )


def _read_flat(pickled: str) -> list[float]:
    """Returns the masks among the numbers of a pickled array of flattened observations, the last `MAX_PEERS` of each.

    Only the end of the array is read, which is the last environment's.
    """
    operations = pickletools.genops(base64.b64decode(pickled))
    content = max((value for _, value, _ in operations if isinstance(value, bytes | bytearray)), key=len)
    return np.frombuffer(content[-4 * MAX_PEERS :], np.float32).tolist()
