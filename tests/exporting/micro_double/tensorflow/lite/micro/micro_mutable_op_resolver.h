#pragma once

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

namespace tflite {
template <unsigned kCount>
class MicroMutableOpResolver {
 public:
  TfLiteStatus AddAdd() { return Add(); }
  TfLiteStatus AddConcatenation() { return Add(); }
  TfLiteStatus AddDequantize() { return Add(); }
  TfLiteStatus AddFullyConnected() { return Add(); }
  TfLiteStatus AddMaximum() { return Add(); }
  TfLiteStatus AddMinimum() { return Add(); }
  TfLiteStatus AddMul() { return Add(); }
  TfLiteStatus AddQuantize() { return Add(); }
  TfLiteStatus AddReduceMax() { return Add(); }
  TfLiteStatus AddRelu() { return Add(); }
  TfLiteStatus AddReshape() { return Add(); }
  TfLiteStatus AddTanh() { return Add(); }
  const unsigned* count_address() const { return &count_; }

 private:
  TfLiteStatus Add() { return ++count_ <= kCount ? kTfLiteOk : kTfLiteError; }
  unsigned count_ = 0;
};
}  // namespace tflite
