/* What a board has to give. `board_esp32.c` has the radio and the clock of an ESP32; sensors and brake are yours. */
#ifndef ROADSENSE_BOARD_H
#define ROADSENSE_BOARD_H

#include "peers.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Prepares radio, sensors and brake. */
bool roadsense_board_begin(void);

/* Returns the time on the clock that all cars share, in ms; it may wrap around. */
uint32_t roadsense_board_now_ms(void);

/* Takes the next message that arrived; returns false if none waits. */
bool roadsense_board_receive(struct roadsense_message *message);

/* Sends a message to every car. */
void roadsense_board_send(const struct roadsense_message *message);

/* Reads this car's sensors; what is not known is NAN. */
void roadsense_board_sense(struct roadsense_own *own);

/* Asks the brake for a deceleration, from 0 to ROADSENSE_FULL_BRAKING_MPS2; 0 leaves the car to its driver. */
void roadsense_board_brake(float deceleration_mps2);

#ifdef __cplusplus
}
#endif

#endif
