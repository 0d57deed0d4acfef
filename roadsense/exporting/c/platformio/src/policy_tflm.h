/* The policy on TensorFlow Lite Micro, in place of plain C. Compiled if ROADSENSE_TFLM is defined; ROADSENSE_TFLM_INT8
 * as well takes the int8 file. */
#ifndef ROADSENSE_POLICY_TFLM_H
#define ROADSENSE_POLICY_TFLM_H

#include "golden.h"
#include "observation.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Prepares the policy; returns false if the runtime refuses it. Call it once, first. */
bool roadsense_tflm_begin(void);

/* Acts as `roadsense_act` of `policy.h` does; also returns false, and gives 0, if the runtime fails. */
bool roadsense_tflm_act(const struct roadsense_observation *observation, float *action);

/* Compares the actions on the golden observations with those of the export. */
struct roadsense_self_test_result roadsense_tflm_test(void);

#ifdef __cplusplus
}
#endif

#endif
