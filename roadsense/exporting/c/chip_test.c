/* Run on an emulated chip: self-test, refusal, and what an action takes. Prints a name and a number a line. */
#include <stdint.h>
#include <stdio.h>

#include "golden.h"
#include "policy.h"

#define N_PAINTED 8192U
#define PAINT 0xA5U

#if defined(__riscv)
static uint32_t count_instructions(void) {
  uint32_t count;
  __asm__ volatile(".option push\n.option arch, +zicsr\ncsrr %0, minstret\n.option pop" : "=r"(count));
  return count;
}
#else
/* The emulator runs an instruction a nanosecond (`-icount shift=0`); SysTick counts down once in 40 ns. */
static uint32_t count_instructions(void) {
  static volatile uint32_t *const systick = (volatile uint32_t *)0xE000E010U;
  if ((systick[0] & 1U) == 0U) {
    systick[1] = 0xFFFFFFU;
    systick[2] = 0U;
    systick[0] = 5U;
    while (systick[2] == 0U) {
    }
  }
  return (0xFFFFFFU - systick[2]) * 40U;
}
#endif

/* Returns how many bytes of the stack an action takes: those in which the paint is gone. */
static __attribute__((noinline)) unsigned measure_stack(const struct roadsense_observation *seen) {
  volatile unsigned char *const top = (volatile unsigned char *)__builtin_frame_address(0) - 128;
  for (unsigned i = 1U; i <= N_PAINTED; ++i) {
    top[-(int)i] = PAINT;
  }
  float action = 0.0f;
  (void)roadsense_act(seen, &action);
  unsigned n_used = N_PAINTED;
  while (n_used > 0U && top[-(int)n_used] == PAINT) {
    --n_used;
  }
  return n_used + 128U;
}

static uint32_t measure_instructions(const struct roadsense_observation *seen) {
  float action = 0.0f;
  const uint32_t begin = count_instructions();
  (void)roadsense_act(seen, &action);
  return count_instructions() - begin;
}

int main(void) {
  const struct roadsense_self_test_result test =
      roadsense_self_test(roadsense_act, roadsense_golden_action_c, roadsense_golden_tolerance_c);
  unsigned n_broken_accepted = 0U;
  for (size_t i = 0; i < ROADSENSE_N_EGO; ++i) {
    struct roadsense_observation broken = roadsense_golden[0];
    float action = 1.0f;
    broken.ego[i] = NAN;
    n_broken_accepted += roadsense_act(&broken, &action) || action > 0.0f ? 1U : 0U;
  }
  struct roadsense_observation full = roadsense_golden[0];
  for (size_t slot = 0; slot < ROADSENSE_N_PEERS; ++slot) {
    full.peer_mask[slot] = 1.0f;
  }
  uint32_t total = 0U;
  for (size_t row = 0; row < ROADSENSE_N_GOLDEN; ++row) {
    total += measure_instructions(&roadsense_golden[row]);
  }
  (void)printf("n_failures %u\nn_broken_accepted %u\n", (unsigned)test.n_failures, n_broken_accepted);
  (void)printf("instructions %u\nmost_instructions %u\nstack_bytes %u\n", (unsigned)(total / ROADSENSE_N_GOLDEN),
               (unsigned)measure_instructions(&full), measure_stack(&full));
  return 0;
}
