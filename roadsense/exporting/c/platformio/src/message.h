/* A message as it goes over the air: 40 bytes, little-endian, without gaps. Every car sends one every 0.1 s. */
#ifndef ROADSENSE_MESSAGE_H
#define ROADSENSE_MESSAGE_H

#include <stdint.h>

#define ROADSENSE_MESSAGE_VERSION 1U

struct roadsense_message {
  double x_m; /* front bumper's middle, east of a point that all cars share */
  double y_m; /* and north of it */
  uint32_t sent_ms;  /* time of the state, on the clock that all cars share, such as GPS time; it may wrap around */
  uint32_t sequence; /* one more with each message; it may wrap around */
  float speed_mps;
  float acceleration_mps2;
  float heading_rad; /* counter-clockwise from east */
  uint16_t sender;   /* the car's number */
  uint16_t version;  /* ROADSENSE_MESSAGE_VERSION */
};

/* Does not compile where the compiler leaves gaps. */
typedef char roadsense_message_has_no_gaps[sizeof(struct roadsense_message) == 40U ? 1 : -1];

#endif
