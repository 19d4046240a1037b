/* SPDX-License-Identifier: MIT */
/* The PC's battery clock. */
#ifndef ISTHMUS_RTC_H
#define ISTHMUS_RTC_H

#include <stdint.h>

/* Seconds since 1970 (the clock is taken as UTC), or 0 when there is no
 * clock or it shows no sensible time. Waits at most a few ms. */
uint64_t rtc_read(void);

#endif
