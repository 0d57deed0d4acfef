// Starts the brake assist under Arduino or ESP-IDF. Without a passed self-test it never touches the brake.
#include <cstdio>

#include "firmware.h"

#ifdef ARDUINO
#include <Arduino.h>
#endif
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

namespace {

// The number of this car; every car needs another one.
constexpr uint16_t kOwnId = 1;

void Run() {
  if (!roadsense_begin(kOwnId)) {
    std::puts("The self-test or the board failed: the assist stays off.");
    return;
  }
  TickType_t woken = xTaskGetTickCount();
  for (uint32_t step = 0;; ++step) {
    const roadsense_decision decision = roadsense_step();
    if (step % 10 == 0) {
      std::printf("action %.3f, refused %lu, dropped %lu\n", static_cast<double>(decision.action),
                  static_cast<unsigned long>(decision.n_refused), static_cast<unsigned long>(decision.n_dropped));
    }
    vTaskDelayUntil(&woken, pdMS_TO_TICKS(ROADSENSE_STEP_MS));
  }
}

}  // namespace

#ifdef ARDUINO
void setup() {
  Serial.begin(115200);
  Run();
}
void loop() { vTaskDelay(portMAX_DELAY); }
#else
extern "C" void app_main(void) { Run(); }
#endif
