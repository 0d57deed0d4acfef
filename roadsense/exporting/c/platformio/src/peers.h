/* The cars that are heard, and what the policy sees of them: as RoadSense's environment does it in training. */
#ifndef ROADSENSE_PEERS_H
#define ROADSENSE_PEERS_H

#include "message.h"
#include "observation.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What this car knows of itself. A value that is not known is NAN: the policy then refuses to act. */
struct roadsense_own {
  double x_m; /* as in a message */
  double y_m;
  float speed_mps;
  float acceleration_mps2;
  float heading_rad;
  float driver_mps2; /* acceleration that the driver asks for by the pedals, negative for braking */
};

/* The newest message of each car that is followed. */
struct roadsense_peers {
  uint16_t own_id;
  size_t n_convoy; /* the first slots are the convoy's, from the leader forward; they are kept for these cars */
  struct roadsense_message newest[ROADSENSE_N_PEERS];
  bool is_taken[ROADSENSE_N_PEERS]; /* whether the slot has a message */
};

/* Begins with nobody heard. `convoy_ids` are the cars ahead, from the leader forward; those beyond the slots are left
 * out. */
void roadsense_peers_begin(struct roadsense_peers *peers, uint16_t own_id, const uint16_t *convoy_ids, size_t n_convoy);

/* Takes a message in. Returns false if it is dropped: this car's own, of another version, not finite, of another time
 * than the last ROADSENSE_STALE_AFTER_S, no newer than what is known, or of a car for which no slot is free. */
bool roadsense_peers_hear(struct roadsense_peers *peers, const struct roadsense_message *message, uint32_t now_ms);

/* Writes what the policy sees. `assist_mps2` is the deceleration that the assist last asked for, from 0. */
void roadsense_peers_observe(const struct roadsense_peers *peers, const struct roadsense_own *own, float assist_mps2,
                             uint32_t now_ms, struct roadsense_observation *observation);

#ifdef __cplusplus
}
#endif

#endif
