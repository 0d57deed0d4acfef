#ifdef ROADSENSE_TFLM

#ifndef TF_LITE_STATIC_MEMORY
#error "Define TF_LITE_STATIC_MEMORY as the runtime's own sources do: without it TfLiteTensor has another layout."
#endif

#include "policy_tflm.h"

#include <cstdint>
#include <cstring>

#ifdef ROADSENSE_TFLM_INT8
#include "policy_int8.h"
namespace policy = roadsense::policy_int8;
#else
#include "policy_float32.h"
namespace policy = roadsense::policy_float32;
#endif
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {

alignas(16) std::uint8_t arena[policy::kArenaBytes];

tflite::MicroMutableOpResolver<policy::kOperatorCount>& Resolver() {
  static tflite::MicroMutableOpResolver<policy::kOperatorCount> resolver;
  return resolver;
}

tflite::MicroInterpreter& Interpreter() {
  static tflite::MicroInterpreter interpreter(tflite::GetModel(policy::kModel), Resolver(), arena, sizeof arena);
  return interpreter;
}

template <typename Values>
void Set(int input, const Values& values) {
  std::memcpy(Interpreter().input(input)->data.f, &values, sizeof values);
}

}  // namespace

bool roadsense_tflm_begin() {
  return policy::AddOperators(Resolver()) && Interpreter().AllocateTensors() == kTfLiteOk &&
         Interpreter().input(policy::kInputPeers)->bytes == sizeof(roadsense_observation::peers);
}

bool roadsense_tflm_act(const roadsense_observation* observation, float* action) {
  *action = 0.0f;
  if (!roadsense_is_valid(observation)) return false;  // the kernels swallow NaN
  Set(policy::kInputEgo, observation->ego);
  Set(policy::kInputPeers, observation->peers);
  Set(policy::kInputPeerMask, observation->peer_mask);
  if (Interpreter().Invoke() != kTfLiteOk) return false;
  const float given = Interpreter().output(policy::kOutputAction)->data.f[0];
  if (!(given >= 0.0f && given <= 1.0f)) return false;
  *action = given;
  return true;
}

roadsense_self_test_result roadsense_tflm_test() {
  return roadsense_self_test(roadsense_tflm_act, policy::kGoldenAction, policy::kGoldenTolerance);
}

#endif
