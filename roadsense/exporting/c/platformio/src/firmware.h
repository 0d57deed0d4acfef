/* The brake assist: begin once, step every ROADSENSE_STEP_MS. */
#ifndef ROADSENSE_FIRMWARE_H
#define ROADSENSE_FIRMWARE_H

#include "board.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a step came to. */
struct roadsense_decision {
  float action;       /* from 0 to 1 */
  uint32_t n_refused; /* steps so far in which a sensor's value was not usable; their action is 0 */
  uint32_t n_dropped; /* messages so far that were not taken in */
};

/* Tests choice of senders and policy on the golden vectors and starts the board; returns false if one fails. Then never
 * call the step. */
bool roadsense_begin(uint16_t own_id);

/* Hears, senses, sends, decides and brakes. */
struct roadsense_decision roadsense_step(void);

#ifdef __cplusplus
}
#endif

#endif
