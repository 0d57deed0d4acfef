#include "peers.h"

#define STALE_AFTER_MS ((int32_t)(1000.0f * ROADSENSE_STALE_AFTER_S))

/* Negative for what was sent later than now. */
static int32_t find_age_ms(const struct roadsense_message *message, uint32_t now_ms) {
  return (int32_t)(now_ms - message->sent_ms);
}

static bool is_heard(const struct roadsense_peer *peer, uint32_t now_ms) {
  return peer->is_taken && find_age_ms(&peer->newest, now_ms) <= STALE_AFTER_MS;
}

static bool is_usable(const struct roadsense_message *message, uint32_t now_ms) {
  const int32_t age_ms = find_age_ms(message, now_ms);
  return message->version == ROADSENSE_MESSAGE_VERSION && age_ms <= STALE_AFTER_MS && age_ms >= -STALE_AFTER_MS &&
         isfinite(message->x_m) && isfinite(message->y_m) && isfinite(message->speed_mps) &&
         isfinite(message->acceleration_mps2) && isfinite(message->heading_rad);
}

/* Returns the car's record, or a free one; NULL if there is none. */
static struct roadsense_peer *find_record(struct roadsense_peers *peers, uint16_t sender, uint32_t now_ms) {
  struct roadsense_peer *found = NULL;
  for (size_t i = 0; i < ROADSENSE_N_TRACKED; ++i) {
    struct roadsense_peer *peer = &peers->followed[i];
    if (is_heard(peer, now_ms)) {
      if (peer->newest.sender == sender) {
        return peer;
      }
    } else if (found == NULL) {
      found = peer;
    }
  }
  return found;
}

void roadsense_peers_begin(struct roadsense_peers *peers, uint16_t own_id) {
  static const struct roadsense_peers nobody = {0};
  *peers = nobody;
  peers->own_id = own_id;
  peers->own_course_rad = NAN;
}

static void follow(struct roadsense_peer *peer, const struct roadsense_message *message, bool is_known) {
  const float heard_mps2 = message->acceleration_mps2;
  if (is_known) {
    const float since_s = (float)(message->sent_ms - peer->newest.sent_ms) / 1000.0f;
    peer->steady_mps2 += (heard_mps2 - peer->steady_mps2) * since_s / (since_s + ROADSENSE_STEADY_S);
  } else {
    peer->steady_mps2 = heard_mps2;
    peer->course_rad = NAN;
  }
  if (message->speed_mps >= ROADSENSE_WALKING_MPS) {
    peer->course_rad = message->heading_rad;
  }
  peer->newest = *message;
  peer->is_taken = true;
}

bool roadsense_peers_hear(struct roadsense_peers *peers, const struct roadsense_message *message, uint32_t now_ms) {
  if (message->sender == peers->own_id || !is_usable(message, now_ms)) {
    return false;
  }
  struct roadsense_peer *peer = find_record(peers, message->sender, now_ms);
  if (peer == NULL) {
    return false;
  }
  /* A car that started anew counts from 0 again: after a silence any message is new. */
  const bool is_known = is_heard(peer, now_ms);
  if (is_known && (int32_t)(message->sequence - peer->newest.sequence) <= 0) {
    return false;
  }
  follow(peer, message, is_known);
  return true;
}

static struct roadsense_sender describe(const struct roadsense_peer *peer, const struct roadsense_own *own,
                                        uint32_t now_ms) {
  const struct roadsense_message *message = &peer->newest;
  const int32_t age_ms = find_age_ms(message, now_ms);
  const struct roadsense_sender sender = {
      (float)(message->x_m - own->x_m), (float)(message->y_m - own->y_m),
      message->speed_mps,               message->acceleration_mps2,
      peer->steady_mps2,                peer->course_rad,
      age_ms > 0 ? (float)age_ms / 1000.0f : 0.0f,
  };
  return sender;
}

void roadsense_peers_observe(struct roadsense_peers *peers, const struct roadsense_own *own, float assist_mps2,
                             uint32_t now_ms, struct roadsense_observation *observation) {
  static struct roadsense_sender senders[ROADSENSE_N_TRACKED];
  size_t n_senders = 0U;
  if (own->speed_mps >= ROADSENSE_WALKING_MPS || isnan(peers->own_course_rad)) {
    peers->own_course_rad = own->heading_rad;
  }
  for (size_t i = 0; i < ROADSENSE_N_TRACKED; ++i) {
    if (is_heard(&peers->followed[i], now_ms)) {
      senders[n_senders++] = describe(&peers->followed[i], own, now_ms);
    }
  }
  const struct roadsense_car car = {own->speed_mps, own->acceleration_mps2, own->driver_mps2, assist_mps2,
                                    peers->own_course_rad};
  roadsense_look(&car, senders, n_senders, observation);
}
