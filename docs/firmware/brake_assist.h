// How a firmware calls an exported policy: TensorFlow Lite Micro around the headers of an export's folder `firmware`.
//
// Add that folder to the include path, beside TensorFlow Lite Micro's sources (for an ESP32: the component
// espressif/esp-tflite-micro). Use `policy_int8` in place of `policy_float32` for the smaller file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "golden.h"
#include "observation.h"
#include "policy_float32.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace roadsense {

namespace policy = policy_float32;

/// The policy, ready to act. It holds its arena: make one, and make it static.
class BrakeAssist {
 public:
  BrakeAssist() : interpreter_(tflite::GetModel(policy::kModel), resolver_, arena_, sizeof arena_) {}

  /// Prepares the policy; false if the runtime refuses it. Call it once, before `Act`.
  bool Begin() {
    return policy::AddOperators(resolver_) && interpreter_.AllocateTensors() == kTfLiteOk &&
           interpreter_.input(policy::kInputPeers)->bytes == kPeersCount * sizeof(float);
  }

  /// Returns the action on an observation, 0 to 1, or 0 (the car is its driver's) if the runtime fails.
  float Act(const float* ego, const float* peers, const float* peer_mask) {
    std::memcpy(interpreter_.input(policy::kInputEgo)->data.f, ego, kEgoCount * sizeof(float));
    std::memcpy(interpreter_.input(policy::kInputPeers)->data.f, peers, kPeersCount * sizeof(float));
    std::memcpy(interpreter_.input(policy::kInputPeerMask)->data.f, peer_mask, kPeerMaskCount * sizeof(float));
    if (interpreter_.Invoke() != kTfLiteOk) return 0.0f;
    const float action = interpreter_.output(policy::kOutputAction)->data.f[0];
    return action >= 0.0f && action <= 1.0f ? action : 0.0f;  // NaN too
  }

  /// Compares the actions on the golden observations with those of the export. Call it once after `Begin`.
  SelfTestResult Test() {
    return SelfTest([this](const float* ego, const float* peers, const float* mask) { return Act(ego, peers, mask); },
                    kGoldenActionFloat32, kGoldenToleranceFloat32);
  }

 private:
  alignas(16) std::uint8_t arena_[policy::kArenaBytes];
  tflite::MicroMutableOpResolver<policy::kOperatorCount> resolver_;
  tflite::MicroInterpreter interpreter_;
};

}  // namespace roadsense
