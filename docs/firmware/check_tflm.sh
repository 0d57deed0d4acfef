#!/usr/bin/env bash
# Runs the firmware on TensorFlow Lite Micro's C++ sources on this machine: self-test, then nothing. By hand, not in CI:
#   git clone https://github.com/espressif/esp-tflite-micro
#   docs/firmware/check_tflm.sh esp-tflite-micro runs/first/export/firmware [-DROADSENSE_TFLM_INT8]
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: $0 CHECKOUT FIRMWARE [-DROADSENSE_TFLM_INT8]" >&2 && exit 2; }
tflm=$(realpath "$1") firmware=$(realpath "$2")
shift 2
here=$(realpath "$(dirname "$0")/../..")
skeleton="$firmware/platformio/src"
build=$(mktemp -d)
trap 'rm -r "$build"' EXIT

lite="$tflm/tensorflow/lite"
includes=(-I"$firmware" -I"$skeleton" -I"$tflm")
includes+=(-I"$tflm/third_party/gemmlowp" -I"$tflm/third_party/flatbuffers/include" -I"$tflm/third_party/ruy")
# The runtime and the application have to agree on TF_LITE_STATIC_MEMORY.
defines=(-DTF_LITE_STATIC_MEMORY -DTF_LITE_DISABLE_X86_NEON -DROADSENSE_TFLM "$@")
mapfile -t sources < <(find "$lite/micro" -maxdepth 1 -name '*.cc'
  find "$lite/micro/"{kernels,tflite_bridge,memory_planner,arena_allocator} -maxdepth 1 -name '*.cc'
  find "$lite/core" "$lite/kernels" "$tflm/tensorflow/compiler" -name '*.cc')

for source in "$skeleton/firmware.c" "$skeleton/peers.c" "$here/tests/firmware/board_host.c"; do
  gcc -std=c99 -O2 "${defines[@]}" "${includes[@]}" -c "$source" -o "$build/$(basename "$source").o"
done
g++ -std=c++17 -O2 -w -ffunction-sections -fdata-sections -Wl,--gc-sections "${defines[@]}" "${includes[@]}" \
  "$skeleton/policy_tflm.cpp" "${sources[@]}" "$build"/*.o -lm -o "$build/check"
printf '\0\0\0\0' | "$build/check" && echo "The self-test passed."
