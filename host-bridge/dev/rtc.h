/* SPDX-License-Identifier: MIT */
/* The machine's battery-backed clock, as what goes on when all else stands still:
 * see rtc.c. */
#ifndef ISTHMUS_RTC_H
#define ISTHMUS_RTC_H

#include <stdint.h>

/* From now on: moved is called after the machine has stood still, its TSC too, with
 * about how long that was. */
void rtc_watch(void (*moved)(int64_t ns));

#define RTC_BYTES	10u	/* seconds, alarm, minutes .. year, as they are */

int64_t rtc_decode(const uint8_t bytes[RTC_BYTES], uint8_t mode);

/* What is known of how far the clock is ahead of the time that has passed. */
struct rtc_lead {
	int64_t least_ns, most_ns;	/* most < least: nothing yet */
	int64_t at_ns;			/* when it was */
};
#define RTC_LEAD_NONE	{ 1, 0, 0 }

int64_t rtc_stood_still(struct rtc_lead *lead, int64_t seconds, int64_t passed_ns);

#endif
