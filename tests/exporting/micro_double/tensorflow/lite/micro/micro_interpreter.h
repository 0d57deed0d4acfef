#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "golden.h"
#ifdef ROADSENSE_TFLM_INT8
#include "policy_int8.h"
namespace shown = roadsense::policy_int8;
#else
#include "policy_float32.h"
namespace shown = roadsense::policy_float32;
#endif
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
                 size == shown::kArenaBytes),
        registered_(resolver.count_address()),
        wanted_(kCount) {
    inputs_[shown::kInputEgo] = {{ego_}, sizeof ego_};
    inputs_[shown::kInputPeers] = {{peers_}, sizeof peers_};
    inputs_[shown::kInputPeerMask] = {{mask_}, sizeof mask_};
    output_ = {{&action_}, sizeof action_};
  }
  TfLiteStatus AllocateTensors() { return is_good_ && *registered_ == wanted_ ? kTfLiteOk : kTfLiteError; }
  TfLiteTensor* input(std::size_t place) { return &inputs_[place]; }
  TfLiteTensor* output(std::size_t) { return &output_; }
  TfLiteStatus Invoke() {
    action_ = 1.0f;
    for (std::size_t row = 0; row < ROADSENSE_N_GOLDEN; ++row) {
      const roadsense_observation& seen = roadsense_golden[row];
      if (std::equal(ego_, ego_ + ROADSENSE_N_EGO, seen.ego) &&
          std::equal(mask_, mask_ + ROADSENSE_N_PEERS, seen.peer_mask) &&
          std::equal(peers_, peers_ + ROADSENSE_N_PEERS * ROADSENSE_N_PEER_FIELDS, &seen.peers[0][0])) {
        action_ = shown::kGoldenAction[row] + GOLDEN_OFFSET;
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
  float ego_[ROADSENSE_N_EGO] = {};
  float peers_[ROADSENSE_N_PEERS * ROADSENSE_N_PEER_FIELDS] = {};
  float mask_[ROADSENSE_N_PEERS] = {};
  float action_ = 0.0f;
};
}  // namespace tflite
