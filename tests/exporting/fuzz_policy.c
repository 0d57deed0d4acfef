/* Acts on random bits: on values of every size, NaN and infinity among them. Prints how many were accepted, refused. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "policy.h"

static uint32_t state = 1U;

static uint32_t draw(void) { /* xorshift32, Marsaglia 2003 */
  state ^= state << 13U;
  state ^= state >> 17U;
  state ^= state << 5U;
  return state;
}

static float draw_float(void) {
  const uint32_t bits = draw();
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static float draw_valid(void) { return ((float)(draw() % 1001U) - 500.0f) / 100.0f; }

int main(void) {
  unsigned n_accepted = 0U;
  unsigned n_refused = 0U;
  for (unsigned round = 0U; round < 4000U; ++round) {
    struct roadsense_observation seen;
    float *values = &seen.ego[0];
    for (size_t i = 0; i < sizeof seen / sizeof(float); ++i) {
      values[i] = draw_valid();
    }
    for (size_t slot = 0; slot < ROADSENSE_N_PEERS; ++slot) {
      seen.peer_mask[slot] = (float)(draw() % 2U);
    }
    if (round % 2U == 1U) {
      values[draw() % (sizeof seen / sizeof(float))] = draw_float();
    }
    float action = -1.0f;
    const bool is_accepted = roadsense_act(&seen, &action);
    if (is_accepted != roadsense_is_valid(&seen) || !(action >= 0.0f && action <= 1.0f)) {
      return 1;
    }
    if (!is_accepted && action > 0.0f) {
      return 2;
    }
    n_accepted += is_accepted ? 1U : 0U;
    n_refused += is_accepted ? 0U : 1U;
  }
  (void)printf("%u %u\n", n_accepted, n_refused);
  return 0;
}
