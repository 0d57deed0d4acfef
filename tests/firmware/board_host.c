/* A board that plays a recorded drive from standard input, and prints what the firmware decides. A step is: whether
 * another one follows, what the car knows of itself, and the messages that arrive. */
#include <stdio.h>
#include <stdlib.h>

#include "firmware.h"

static struct roadsense_own own;
static uint32_t n_waiting;
static uint32_t now_ms;
static float asked_mps2;

static bool take(void *into, size_t n_bytes) { return fread(into, n_bytes, 1U, stdin) == 1U; }

bool roadsense_board_begin(void) { return true; }

uint32_t roadsense_board_now_ms(void) { return now_ms; }

bool roadsense_board_receive(struct roadsense_message *message) {
  if (n_waiting == 0U) {
    return false;
  }
  --n_waiting;
  return take(message, sizeof *message);
}

void roadsense_board_send(const struct roadsense_message *message) {
  if (message->sent_ms != now_ms || message->sender != 1U) {
    exit(3);
  }
}

void roadsense_board_sense(struct roadsense_own *sensed) { *sensed = own; }

void roadsense_board_brake(float deceleration_mps2) { asked_mps2 = deceleration_mps2; }

int main(void) {
  if (!roadsense_begin(1U)) {
    return 2;
  }
  while (take(&now_ms, sizeof now_ms) && take(&own, sizeof own) && take(&n_waiting, sizeof n_waiting)) {
    const struct roadsense_decision decision = roadsense_step();
    (void)printf("%.9g %.9g %u %u\n", (double)decision.action, (double)asked_mps2, (unsigned)decision.n_refused,
                 (unsigned)decision.n_dropped);
  }
  return 0;
}
