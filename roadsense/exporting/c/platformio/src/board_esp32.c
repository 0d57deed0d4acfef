/* An ESP32's radio (ESP-NOW, to all cars on one channel) and clock. Not compiled in RoadSense's tests. */
#include "board.h"

#include <string.h>

#include "esp_event.h"
#include "esp_idf_version.h"
#include "esp_netif.h"
#include "esp_now.h"
#include "esp_timer.h"
#include "esp_wifi.h"
#include "freertos/FreeRTOS.h"
#include "freertos/queue.h"
#include "nvs_flash.h"

#define RADIO_CHANNEL 6
#define N_WAITING 32

static const uint8_t everybody[ESP_NOW_ETH_ALEN] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
static QueueHandle_t waiting;

#if ESP_IDF_VERSION >= ESP_IDF_VERSION_VAL(5, 0, 0)
static void take(const esp_now_recv_info_t *sender, const uint8_t *data, int n_bytes) {
#else
static void take(const uint8_t *sender, const uint8_t *data, int n_bytes) {
#endif
  (void)sender;
  struct roadsense_message message;
  if (n_bytes == (int)sizeof message) {
    memcpy(&message, data, sizeof message);
    (void)xQueueSend(waiting, &message, 0);
  }
}

static bool begin_radio(void) {
  const wifi_init_config_t wifi = WIFI_INIT_CONFIG_DEFAULT();
  esp_now_peer_info_t all;
  memset(&all, 0, sizeof all);
  memcpy(all.peer_addr, everybody, sizeof everybody);
  all.channel = RADIO_CHANNEL;
  all.ifidx = WIFI_IF_STA;
  return nvs_flash_init() == ESP_OK && esp_netif_init() == ESP_OK && esp_event_loop_create_default() == ESP_OK &&
         esp_wifi_init(&wifi) == ESP_OK && esp_wifi_set_storage(WIFI_STORAGE_RAM) == ESP_OK &&
         esp_wifi_set_mode(WIFI_MODE_STA) == ESP_OK && esp_wifi_start() == ESP_OK &&
         esp_wifi_set_channel(RADIO_CHANNEL, WIFI_SECOND_CHAN_NONE) == ESP_OK && esp_now_init() == ESP_OK &&
         esp_now_register_recv_cb(take) == ESP_OK && esp_now_add_peer(&all) == ESP_OK;
}

bool roadsense_board_begin(void) {
  waiting = xQueueCreate(N_WAITING, sizeof(struct roadsense_message));
  return waiting != NULL && begin_radio();
}

bool roadsense_board_receive(struct roadsense_message *message) { return xQueueReceive(waiting, message, 0) == pdTRUE; }

void roadsense_board_send(const struct roadsense_message *message) {
  (void)esp_now_send(everybody, (const uint8_t *)message, sizeof *message);
}

/* Yours: the time since the board's start is not shared between cars. Take GPS time, or messages seem to be of another
 * time and are dropped. */
uint32_t roadsense_board_now_ms(void) { return (uint32_t)(esp_timer_get_time() / 1000); }

/* Yours: position and course of a GPS receiver, speed and pedals from the car's bus, acceleration of an IMU. */
void roadsense_board_sense(struct roadsense_own *own) {
  const struct roadsense_own unknown = {(double)NAN, (double)NAN, NAN, NAN, NAN, NAN};
  *own = unknown;
}

/* Yours: for a first drive a lamp or a log, not a brake. */
void roadsense_board_brake(float deceleration_mps2) { (void)deceleration_mps2; }
