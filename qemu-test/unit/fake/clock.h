/* SPDX-License-Identifier: MIT */
/* Included before all else: the clock is the test's. */
#ifndef ISTHMUS_TSC_H
#define ISTHMUS_TSC_H

#include <stdint.h>

uint64_t tsc_now(void);

#endif
