#include "peers.h"

#define PI 3.14159265f
#define STALE_AFTER_MS ((int32_t)(1000.0f * ROADSENSE_STALE_AFTER_S))

/* Negative for what was sent later than now. */
static int32_t find_age_ms(const struct roadsense_message *message, uint32_t now_ms) {
  return (int32_t)(now_ms - message->sent_ms);
}

static bool is_heard(const struct roadsense_peers *peers, size_t slot, uint32_t now_ms) {
  return peers->is_taken[slot] && find_age_ms(&peers->newest[slot], now_ms) <= STALE_AFTER_MS;
}

static bool is_usable(const struct roadsense_message *message, uint32_t now_ms) {
  const int32_t age_ms = find_age_ms(message, now_ms);
  return message->version == ROADSENSE_MESSAGE_VERSION && age_ms <= STALE_AFTER_MS && age_ms >= -STALE_AFTER_MS &&
         isfinite(message->x_m) && isfinite(message->y_m) && isfinite(message->speed_mps) &&
         isfinite(message->acceleration_mps2) && isfinite(message->heading_rad);
}

/* Returns the car's slot: its own, or a free one behind the convoy's; ROADSENSE_N_PEERS if there is none. */
static size_t find_slot(const struct roadsense_peers *peers, uint16_t sender, uint32_t now_ms) {
  size_t found = ROADSENSE_N_PEERS;
  for (size_t slot = 0; slot < ROADSENSE_N_PEERS; ++slot) {
    const bool is_convoy = slot < peers->n_convoy;
    if (peers->newest[slot].sender == sender && (is_convoy || is_heard(peers, slot, now_ms))) {
      return slot;
    }
    if (found == ROADSENSE_N_PEERS && !is_convoy && !is_heard(peers, slot, now_ms)) {
      found = slot;
    }
  }
  return found;
}

void roadsense_peers_begin(struct roadsense_peers *peers, uint16_t own_id, const uint16_t *convoy_ids,
                           size_t n_convoy) {
  static const struct roadsense_peers nobody = {0};
  *peers = nobody;
  peers->own_id = own_id;
  peers->n_convoy = n_convoy < ROADSENSE_N_PEERS ? n_convoy : ROADSENSE_N_PEERS;
  for (size_t slot = 0; slot < peers->n_convoy; ++slot) {
    peers->newest[slot].sender = convoy_ids[slot];
  }
}

bool roadsense_peers_hear(struct roadsense_peers *peers, const struct roadsense_message *message, uint32_t now_ms) {
  if (message->sender == peers->own_id || !is_usable(message, now_ms)) {
    return false;
  }
  const size_t slot = find_slot(peers, message->sender, now_ms);
  if (slot == ROADSENSE_N_PEERS) {
    return false;
  }
  /* A car that started anew counts from 0 again: after a silence any message is new. */
  if (is_heard(peers, slot, now_ms) && (int32_t)(message->sequence - peers->newest[slot].sequence) <= 0) {
    return false;
  }
  peers->newest[slot] = *message;
  peers->is_taken[slot] = true;
  return true;
}

/* Returns an angle as one from -PI to PI. */
static float wrap_rad(float angle_rad) {
  const float turned_rad = fmodf(angle_rad + PI, 2.0f * PI);
  return turned_rad < 0.0f ? turned_rad + PI : turned_rad - PI;
}

static void observe_peer(const struct roadsense_message *message, const struct roadsense_own *own, uint32_t now_ms,
                         float *fields) {
  const float along = cosf(own->heading_rad);
  const float across = sinf(own->heading_rad);
  const float east_m = (float)(message->x_m - own->x_m);
  const float north_m = (float)(message->y_m - own->y_m);
  const int32_t age_ms = find_age_ms(message, now_ms);
  const float values[ROADSENSE_N_PEER_FIELDS] = {
      east_m * along + north_m * across,
      north_m * along - east_m * across,
      message->speed_mps - own->speed_mps,
      message->acceleration_mps2,
      wrap_rad(message->heading_rad - own->heading_rad),
      age_ms > 0 ? (float)age_ms / 1000.0f : 0.0f,
  };
  for (size_t i = 0; i < ROADSENSE_N_PEER_FIELDS; ++i) {
    fields[i] = roadsense_scale(values[i], roadsense_peer_scale[i]);
  }
}

void roadsense_peers_observe(const struct roadsense_peers *peers, const struct roadsense_own *own, float assist_mps2,
                             uint32_t now_ms, struct roadsense_observation *observation) {
  static const struct roadsense_observation nothing = {{0.0f}, {{0.0f}}, {0.0f}};
  const float ego[ROADSENSE_N_EGO] = {own->speed_mps, own->acceleration_mps2, own->driver_mps2, assist_mps2};
  *observation = nothing;
  for (size_t i = 0; i < ROADSENSE_N_EGO; ++i) {
    observation->ego[i] = roadsense_scale(ego[i], roadsense_ego_scale[i]);
  }
  for (size_t slot = 0; slot < ROADSENSE_N_PEERS; ++slot) {
    if (is_heard(peers, slot, now_ms)) {
      observation->peer_mask[slot] = 1.0f;
      observe_peer(&peers->newest[slot], own, now_ms, observation->peers[slot]);
    }
  }
}
