"""The headers of TFLite policies for a firmware, and the golden vectors for its self-test."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import OBSERVATION_VERSION, Observation
from roadsense.exporting.c_source import GOLDEN_HEADER, OBSERVATION_HEADER, camel_case, write_bytes
from roadsense.exporting.micro import MICRO_OPERATORS, Arena
from roadsense.policies.tflite import count_operators
from roadsense.utils.files import hash_file


@dataclass(frozen=True)
class PolicyFile:
    """An exported file and its measured properties.

    Attributes:
        variant: variant of the policy, `float32` or `int8`.
        path: path of the final file.
        input_names: names of the inputs in the order of the file.
        arena: working memory of the policy.
    """

    variant: str
    path: Path
    input_names: tuple[str, ...]
    arena: Arena


def write_policy_header(policy: PolicyFile) -> str:
    """Returns the header of a policy: its bytes, inputs, arena and operators."""
    content = policy.path.read_bytes()
    operators = sorted(MICRO_OPERATORS[name] for name in count_operators(policy.path))
    indices = "\n".join(
        f"inline constexpr int kInput{camel_case(name)} = {place};" for place, name in enumerate(policy.input_names)
    )
    added = " ||\n         ".join(f"resolver.{name}() != Status{{}}" for name in operators)
    return f"""// The brake assist's policy in {policy.variant}. Written by `roadsense export`; do not edit.
// Inputs and output are float32; see {OBSERVATION_HEADER}.
#pragma once

#include <cstddef>

#include "{GOLDEN_HEADER}"

namespace roadsense::policy_{policy.variant} {{

inline constexpr char kSha256[] = "{hash_file(policy.path)}";

// Places of the tensors in the file.
{indices}
inline constexpr int kOutputAction = 0;

// Working memory, with a margin: found by trials where pointers have 64 bits, computed from that where they have 32.
inline constexpr std::size_t kArenaBytes =
    sizeof(void*) == 4 ? {policy.arena.chip_bytes} : {policy.arena.recommended_bytes};

// Expected on the golden observations.
inline constexpr const float* kGoldenAction = roadsense_golden_action_{policy.variant};
inline const float kGoldenTolerance = roadsense_golden_tolerance_{policy.variant};

// Operators: {", ".join(sorted(count_operators(policy.path)))}.
inline constexpr unsigned kOperatorCount = {len(operators)};

/// Registers them with a `tflite::MicroMutableOpResolver<kOperatorCount>`; returns whether all went well.
template <typename Resolver>
bool AddOperators(Resolver& resolver) {{
  using Status = decltype(resolver.{operators[0]}());  // of which 0 is the good one
  return !({added});
}}

inline constexpr std::size_t kModelBytes = {len(content)};
alignas(16) inline constexpr unsigned char kModel[kModelBytes] = {{
{write_bytes(content)}}};

}}  // namespace roadsense::policy_{policy.variant}
"""


N_GOLDEN = 20
FLOAT32_TOLERANCE = 1e-5
TOLERATED_STEPS = 2
"""Steps of the int8 action by which a processor's own kernels may differ from the reference kernels."""


def choose_golden(actions: NDArray[np.float32]) -> NDArray[np.intp]:
    """Returns the rows of `N_GOLDEN` observations, or of all if there are fewer, spread evenly over the actions.

    Args:
        actions: actions of the trained policy, shape (n, 1).
    """
    order = np.argsort(actions[:, 0], kind="stable")
    places = np.linspace(0, len(order) - 1, min(N_GOLDEN, len(order))).round().astype(np.intp)
    return np.sort(order[places])


def find_tolerance(output_step: float) -> float:
    """Returns the largest difference of a firmware's action from the golden one, for a policy with this output step."""
    return FLOAT32_TOLERANCE + TOLERATED_STEPS * output_step


def write_golden_json(
    observations: Observation, actions: Mapping[str, NDArray[np.float32]], tolerances: Mapping[str, float]
) -> str:
    """Returns golden vectors as JSON.

    Args:
        observations: observations with a leading batch axis.
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
