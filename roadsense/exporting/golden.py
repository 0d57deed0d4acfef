"""Golden vectors: recorded observations and TFLite Micro's actions on them, for the firmware's self-test."""

import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import OBSERVATION_VERSION, Observation
from roadsense.exporting.cpp import camel_case, write_float, write_floats

N_GOLDEN = 100
FLOAT32_TOLERANCE = 1e-5
TOLERATED_STEPS = 2
"""Steps of the int8 action that kernels made for a processor may differ from the reference kernels."""

SELF_TEST = """/// What a self-test found.
struct SelfTestResult {
  std::size_t failures = 0;
  std::size_t worst_row = 0;
  float worst_difference = 0.0f;
  bool passed() const { return failures == 0; }
};

/// Runs a policy on the golden observations: `act(ego, peers, peer_mask)` returns the action. NaN fails.
template <typename Act>
SelfTestResult SelfTest(Act&& act, const float (&expected)[kGoldenCount], float tolerance) {
  SelfTestResult result;
  for (std::size_t row = 0; row < kGoldenCount; ++row) {
    const float action = act(kGoldenEgo[row], kGoldenPeers[row], kGoldenPeerMask[row]);
    const float difference = action > expected[row] ? action - expected[row] : expected[row] - action;
    if (!(difference <= tolerance)) ++result.failures;
    if (difference > result.worst_difference || difference != difference) {
      result.worst_difference = difference;
      result.worst_row = row;
    }
  }
  return result;
}
"""
"""C++: runs a policy on the golden observations."""


def choose_golden(actions: NDArray[np.float32]) -> NDArray[np.intp]:
    """Returns the rows of `N_GOLDEN` observations, or of all if they are fewer, that spread evenly over the actions.

    Args:
        actions: actions of the trained policy, shape (n, 1).
    """
    order = np.argsort(actions[:, 0], kind="stable")
    places = np.linspace(0, len(order) - 1, min(N_GOLDEN, len(order))).round().astype(np.intp)
    return np.sort(order[places])


def find_tolerance(output_step: float) -> float:
    """Returns how far a firmware's action may be from the golden one, for a policy with this step of its output."""
    return FLOAT32_TOLERANCE + TOLERATED_STEPS * output_step


def write_golden_json(
    observations: Observation, actions: Mapping[str, NDArray[np.float32]], tolerances: Mapping[str, float]
) -> str:
    """Returns golden vectors as JSON.

    Args:
        observations: with a leading batch axis.
        actions: actions of shape (n, 1), by policy.
        tolerances: largest allowed difference of an action, by exported policy.
    """
    content = {
        "observation_version": OBSERVATION_VERSION,
        "observations": {name: np.asarray(values).tolist() for name, values in observations.items()},
        "actions": {name: values[:, 0].tolist() for name, values in actions.items()},
        "tolerances": dict(tolerances),
    }
    return json.dumps(content) + "\n"


def write_golden_header(
    observations: Observation, actions: Mapping[str, NDArray[np.float32]], tolerances: Mapping[str, float]
) -> str:
    """Returns golden vectors as a header with the self-test; see `write_golden_json` for the arguments."""
    arrays = "\n".join(_write_array(name, np.asarray(values)) for name, values in observations.items())
    expected = "\n".join(
        f"inline constexpr float kGoldenAction{camel_case(name)}[kGoldenCount] = {{\n{write_floats(values)}}};\n"
        f"inline constexpr float kGoldenTolerance{camel_case(name)} = {write_float(tolerances[name])};"
        for name, values in actions.items()
        if name in tolerances
    )
    return f"""// Recorded observations and TFLite Micro's actions on them. Written by `roadsense export`; do not edit.
#pragma once

#include <cstddef>

#include "observation.h"

namespace roadsense {{

inline constexpr std::size_t kGoldenCount = {len(observations["ego"])};

{arrays}

{expected}

{SELF_TEST}
}}  // namespace roadsense
"""


def _write_array(name: str, values: NDArray[np.float32]) -> str:
    rows = ",\n".join(f"    {{\n{write_floats(row)}}}" for row in values)
    return f"inline constexpr float kGolden{camel_case(name)}[kGoldenCount][{values[0].size}] = {{\n{rows}}};"
