"""The headers for a firmware: the observation's scales, and each policy's bytes with what is needed to run them."""

from dataclasses import dataclass
from pathlib import Path

from roadsense.envs.assist import DEAD_ZONE, FULL_BRAKING_MPS2
from roadsense.envs.observation import (
    BOUND,
    EGO_FIELDS,
    EGO_SCALE,
    OBSERVATION_VERSION,
    PEER_FIELDS,
    PEER_SCALE,
    observation_space,
)
from roadsense.envs.radio.presets import get_preset
from roadsense.exporting.cpp import camel_case, write_bytes, write_floats, write_ints
from roadsense.exporting.micro import MICRO_OPERATORS, Arena
from roadsense.policies.tflite_file import count_operators
from roadsense.utils.files import hash_file

OBSERVATION_HEADER = "observation.h"
SCALE = """/// Value of an input for a physical value.
constexpr float Scale(float value, float scale) {
  const float scaled = value / scale;
  return scaled < -kBound ? -kBound : (scaled > kBound ? kBound : scaled);
}
"""
DECELERATION = """/// Deceleration that an action asks for, from 0; 0 leaves the car to its driver.
constexpr float DecelerationMps2(float action) {
  return action > kDeadZone ? kFullBrakingMps2 * (action - kDeadZone) / (1.0f - kDeadZone) : 0.0f;
}
"""
"""C++: what a firmware does with its values and with an action."""


@dataclass(frozen=True)
class PolicyFile:
    """An exported file and its measured properties.

    Attributes:
        variant: `float32` or `int8`.
        path: path of the final file.
        input_names: names of the inputs in the order of the file.
        arena: its working memory.
    """

    variant: str
    path: Path
    input_names: tuple[str, ...]
    arena: Arena


def write_observation_header() -> str:
    """Returns the header with shapes and scales of the observation and the meaning of the action."""
    fields = "\n".join(
        f"// {name}: {', '.join(names)}" for name, names in {"ego": EGO_FIELDS, "peers, each": PEER_FIELDS}.items()
    )
    shapes = "\n".join(_write_shape(name, tuple(space.shape or ())) for name, space in observation_space().items())
    return f"""// What the policy sees and says. Written by `roadsense export`; do not edit.
//
// Inputs are float32: a physical value divided by its scale and cut to -kBound..kBound. Fields, in this order:
{fields}
// Positions are those of the front bumper's middle, from the ego's, along its heading and to its left. Relative speed
// and heading (counter-clockwise) are the peer's less the ego's; the age is the time since the message was sent.
// A slot in which somebody is heard has 1 in `peer_mask`; an empty one has 0, and zeros in `peers`, never NaN.
#pragma once

#include <cstddef>

namespace roadsense {{

inline constexpr int kObservationVersion = {OBSERVATION_VERSION};

{shapes}

inline constexpr float kBound = {BOUND}f;
inline constexpr float kEgoScale[] = {{
{write_floats(EGO_SCALE)}}};
inline constexpr float kPeerScale[] = {{
{write_floats(PEER_SCALE)}}};

{SCALE}
/// A message older than this is forgotten: its slot is empty.
inline constexpr float kStaleAfterS = {get_preset("esp_now").stale_after_s}f;

inline constexpr float kDeadZone = {DEAD_ZONE}f;
inline constexpr float kFullBrakingMps2 = {FULL_BRAKING_MPS2}f;

{DECELERATION}
}}  // namespace roadsense
"""


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

#include "{OBSERVATION_HEADER}"

namespace roadsense::policy_{policy.variant} {{

inline constexpr char kSha256[] = "{hash_file(policy.path)}";

// Places of the tensors in the file.
{indices}
inline constexpr int kOutputAction = 0;
inline constexpr int kActionShape[] = {{1, 1}};

// Working memory, with a margin: {policy.arena.smallest_bytes} bytes work on the 64-bit machine of the export.
inline constexpr std::size_t kArenaBytes = {policy.arena.recommended_bytes};

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


def _write_shape(name: str, shape: tuple[int, ...]) -> str:
    count = 1
    for length in shape:
        count *= length
    camel = camel_case(name)
    return (
        f"inline constexpr int k{camel}Shape[] = {{{write_ints((1, *shape))}}};\n"
        f"inline constexpr std::size_t k{camel}Count = {count};"
    )
