/* SPDX-License-Identifier: MIT */
/* The chipset's watchdog. */
#ifndef ISTHMUS_TCO_H
#define ISTHMUS_TCO_H

#include <stdbool.h>
#include <stdint.h>

/* A register of PCI's configuration space, of a function by its number. */
typedef uint32_t (*tco_config)(uint32_t address, uint32_t reg);

/* Whether it was it that has made the last reset. */
bool tco_fired(tco_config config);
uint16_t tco_start(tco_config config);

#endif
