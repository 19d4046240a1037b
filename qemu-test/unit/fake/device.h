/* SPDX-License-Identifier: MIT */
/*
 * What a driver under test stands on: memory for DMA with bus addresses of its own,
 * and the loop's clock. A device of a test reaches memory by fake_bus() only, which
 * holds it to what the driver has set aside.
 */
#ifndef FAKE_DEVICE_H
#define FAKE_DEVICE_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/dev/dma.h"
#include "host-bridge/loop/loop.h"

extern unsigned cuts;			/* the bus was taken from a device */
extern bool chaos;			/* registers read as anything */

/* Memory at a bus address. A device that goes astray ends the test. */
void *fake_bus(uint64_t bus, size_t len);
void fake_cut(void *arg);
/* A millisecond goes by: timers. */
void fake_tick(void);
uint32_t chaos_value(void);
/* Writes anything to any memory that the driver has set aside. Sometimes true. */
bool chaos_step(void);
/* After a test: no memory, no timers. */
void fake_none(void);

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
