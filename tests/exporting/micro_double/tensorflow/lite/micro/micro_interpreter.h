#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "golden.h"
#include "policy_float32.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

#ifndef GOLDEN_OFFSET
#define GOLDEN_OFFSET 0.0f
#endif

struct TfLiteTensor {
  union {
    float* f;
  } data;
  std::size_t bytes;
};

namespace tflite {
// Answers with the golden action of the observation it is given, plus GOLDEN_OFFSET; with 1 on any other.
class MicroInterpreter {
 public:
  template <unsigned kCount>
  MicroInterpreter(const Model* model, const MicroMutableOpResolver<kCount>& resolver, std::uint8_t* arena,
                   std::size_t size)
      : is_good_(model != nullptr && reinterpret_cast<std::uintptr_t>(arena) % 16 == 0 &&
                 size == roadsense::policy_float32::kArenaBytes),
        registered_(resolver.count_address()),
        wanted_(kCount) {
    inputs_[roadsense::policy_float32::kInputEgo] = {{ego_}, sizeof ego_};
    inputs_[roadsense::policy_float32::kInputPeers] = {{peers_}, sizeof peers_};
    inputs_[roadsense::policy_float32::kInputPeerMask] = {{mask_}, sizeof mask_};
    output_ = {{&action_}, sizeof action_};
  }
  TfLiteStatus AllocateTensors() { return is_good_ && *registered_ == wanted_ ? kTfLiteOk : kTfLiteError; }
  TfLiteTensor* input(std::size_t place) { return &inputs_[place]; }
  TfLiteTensor* output(std::size_t) { return &output_; }
  TfLiteStatus Invoke() {
    action_ = 1.0f;
    for (std::size_t row = 0; row < roadsense::kGoldenCount; ++row) {
      if (std::equal(ego_, ego_ + roadsense::kEgoCount, roadsense::kGoldenEgo[row]) &&
          std::equal(peers_, peers_ + roadsense::kPeersCount, roadsense::kGoldenPeers[row]) &&
          std::equal(mask_, mask_ + roadsense::kPeerMaskCount, roadsense::kGoldenPeerMask[row])) {
        action_ = roadsense::kGoldenActionFloat32[row] + GOLDEN_OFFSET;
      }
    }
    return kTfLiteOk;
  }

 private:
  bool is_good_;
  const unsigned* registered_;
  unsigned wanted_;
  TfLiteTensor inputs_[3] = {};
  TfLiteTensor output_ = {};
  float ego_[roadsense::kEgoCount] = {};
  float peers_[roadsense::kPeersCount] = {};
  float mask_[roadsense::kPeerMaskCount] = {};
  float action_ = 0.0f;
};
}  // namespace tflite
