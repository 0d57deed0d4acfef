#pragma once
#include <cstdint>

namespace tflite {
struct Model {
  const unsigned char* bytes;
};
inline const Model* GetModel(const void* bytes) {
  static Model model;
  model.bytes = static_cast<const unsigned char*>(bytes);
  // As in every TFLite file; and the runtime reads aligned words.
  const bool is_model = model.bytes[4] == 'T' && model.bytes[5] == 'F' && model.bytes[6] == 'L' && model.bytes[7] == '3';
  return is_model && reinterpret_cast<std::uintptr_t>(bytes) % 16 == 0 ? &model : nullptr;
}
}  // namespace tflite
