#pragma once
#include <cstdint>
struct HardwareSerial {
  void begin(unsigned long baud);
};
extern HardwareSerial Serial;
void setup();
void loop();
