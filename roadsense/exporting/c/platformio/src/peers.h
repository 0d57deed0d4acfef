/* The cars that are heard: the newest message of each, and what the policy sees of them, as RoadSense's environment does it
 * in training. Which of them get a place is the rule in `places.h`. */
#ifndef ROADSENSE_PEERS_H
#define ROADSENSE_PEERS_H

#include "message.h"
#include "places.h"

#define ROADSENSE_N_TRACKED 32U

#ifdef __cplusplus
extern "C" {
#endif

/* What this car knows of itself. A value that is not known is NAN: the policy then refuses to act. */
struct roadsense_own {
  double x_m; /* as in a message */
  double y_m;
  float speed_mps;
  float acceleration_mps2;
  float heading_rad; /* may mean nothing below ROADSENSE_WALKING_MPS */
  float driver_mps2; /* acceleration that the driver asks for by the pedals, negative for braking */
};

/* A car that is followed. */
struct roadsense_peer {
  struct roadsense_message newest;
  float course_rad;  /* of its last message at walking pace or faster; NAN before that */
  float steady_mps2; /* running mean of its accelerations */
  bool is_taken;     /* whether anything is known */
};

/* All cars that are followed. */
struct roadsense_peers {
  struct roadsense_peer followed[ROADSENSE_N_TRACKED];
  float own_course_rad; /* as a peer's */
  uint16_t own_id;
};

/* Begins with nobody heard. */
void roadsense_peers_begin(struct roadsense_peers *peers, uint16_t own_id);

/* Takes a message in. Returns false if it is dropped: this car's own, of another version, not finite, of another time
 * than the last ROADSENSE_STALE_AFTER_S, no newer than what is known of the sender (a relayed message keeps its sequence
 * number), or if ROADSENSE_N_TRACKED others are heard. */
bool roadsense_peers_hear(struct roadsense_peers *peers, const struct roadsense_message *message, uint32_t now_ms);

/* Writes what the policy sees. `assist_mps2` is the deceleration that the assist last asked for, from 0. */
void roadsense_peers_observe(struct roadsense_peers *peers, const struct roadsense_own *own, float assist_mps2,
                             uint32_t now_ms, struct roadsense_observation *observation);

#ifdef __cplusplus
}
#endif

#endif
