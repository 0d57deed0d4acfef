#include "firmware.h"

#include "golden.h"
#include "golden_places.h"

#ifdef ROADSENSE_TFLM
#include "policy_tflm.h"
#else
#include "policy.h"
#endif

static struct roadsense_peers peers;
static float assist_mps2;
static uint32_t sequence;
static struct roadsense_decision decision;

static bool test_policy(void) {
#ifdef ROADSENSE_TFLM
  return roadsense_tflm_begin() && roadsense_tflm_test().n_failures == 0U;
#else
  return roadsense_self_test(roadsense_act, roadsense_golden_action_c, roadsense_golden_tolerance_c).n_failures == 0U;
#endif
}

static bool act(const struct roadsense_observation *observation, float *action) {
#ifdef ROADSENSE_TFLM
  return roadsense_tflm_act(observation, action);
#else
  return roadsense_act(observation, action);
#endif
}

bool roadsense_begin(uint16_t own_id) {
  roadsense_peers_begin(&peers, own_id);
  return roadsense_test_places() == 0U && test_policy() && roadsense_board_begin();
}

static void send(const struct roadsense_own *own, uint32_t now_ms) {
  const struct roadsense_message message = {
      own->x_m,         own->y_m,     now_ms, sequence, own->speed_mps, own->acceleration_mps2,
      own->heading_rad, peers.own_id, ROADSENSE_MESSAGE_VERSION,
  };
  ++sequence;
  roadsense_board_send(&message);
}

struct roadsense_decision roadsense_step(void) {
  const uint32_t now_ms = roadsense_board_now_ms();
  struct roadsense_message message;
  while (roadsense_board_receive(&message)) {
    if (!roadsense_peers_hear(&peers, &message, now_ms)) {
      ++decision.n_dropped;
    }
  }
  struct roadsense_own own;
  roadsense_board_sense(&own);
  send(&own, now_ms);
  struct roadsense_observation observation;
  roadsense_peers_observe(&peers, &own, assist_mps2, now_ms, &observation);
  if (!act(&observation, &decision.action)) {
    ++decision.n_refused;
  }
  assist_mps2 = roadsense_deceleration_mps2(decision.action);
  roadsense_board_brake(assist_mps2);
  return decision;
}
