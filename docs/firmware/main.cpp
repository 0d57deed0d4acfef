// A drive of one step: self-test, an observation made of physical values, the deceleration the policy asks for.

#include <cstdio>

#include "brake_assist.h"

namespace {

roadsense::BrakeAssist assist;

// What the car knows: its own state, and the last message of each car it hears. See `observation.h` for the order.
struct Peer {
  bool is_heard;
  float fields[roadsense::kPeersCount / roadsense::kPeerMaskCount];
};

float Decide(const float (&ego_values)[roadsense::kEgoCount], const Peer (&heard)[roadsense::kPeerMaskCount]) {
  float ego[roadsense::kEgoCount];
  float peers[roadsense::kPeersCount] = {};  // empty slots stay zero
  float peer_mask[roadsense::kPeerMaskCount] = {};
  for (std::size_t i = 0; i < roadsense::kEgoCount; ++i) {
    ego[i] = roadsense::Scale(ego_values[i], roadsense::kEgoScale[i]);
  }
  constexpr std::size_t kFields = roadsense::kPeersCount / roadsense::kPeerMaskCount;
  for (std::size_t slot = 0; slot < roadsense::kPeerMaskCount; ++slot) {
    if (!heard[slot].is_heard) continue;
    peer_mask[slot] = 1.0f;
    for (std::size_t i = 0; i < kFields; ++i) {
      peers[slot * kFields + i] = roadsense::Scale(heard[slot].fields[i], roadsense::kPeerScale[i]);
    }
  }
  return roadsense::DecelerationMps2(assist.Act(ego, peers, peer_mask));
}

}  // namespace

int main() {
  if (!assist.Begin()) return std::puts("The runtime refuses the policy."), 1;
  const roadsense::SelfTestResult test = assist.Test();
  std::printf("%zu of %zu golden vectors failed; largest difference %g\n", test.failures, roadsense::kGoldenCount,
              static_cast<double>(test.worst_difference));
  if (!test.passed()) return 1;

  // At 25 m/s, 30 m behind a car that brakes with 6 m/s2, heard 0.1 s ago.
  const float ego[roadsense::kEgoCount] = {25.0f, 0.0f, 0.0f, 0.0f};
  const Peer heard[roadsense::kPeerMaskCount] = {{true, {30.0f, 0.0f, -1.0f, -6.0f, 0.0f, 0.1f}}};
  std::printf("brake with %.1f m/s2\n", static_cast<double>(Decide(ego, heard)));
  return 0;
}
