/* The brake assist's policy in plain C99. Written by `roadsense export`; do not edit. */
#ifndef ROADSENSE_POLICY_H
#define ROADSENSE_POLICY_H

#include "observation.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the action on an observation, from 0 to 1; returns false, and gives 0, if the observation is refused.
 * It takes no memory but its own static buffers, so one call has to end before the next begins. */
bool roadsense_act(const struct roadsense_observation *observation, float *action);

#ifdef __cplusplus
}
#endif

#endif
