/* The smallest program with the policy in it: its size is the policy's. */
#include "policy.h"

struct roadsense_observation seen;
volatile float decided;

int main(void) {
  for (;;) {
    float action = 0.0f;
    (void)roadsense_act(&seen, &action);
    decided = action;
  }
}
