/* SPDX-License-Identifier: MIT */
/*
 * The machine may stand still, and its TSC with it: an emulator that is stopped and
 * goes on, a virtual machine that was put to sleep. Its battery-backed clock (RTC)
 * goes on, so it is looked at from time to time: what it has moved on by more than
 * the TSC is how long that was. Only that counts: what it says the time is may be a
 * local time, or wrong. It tells whole seconds; many looks together tell more.
 *
 * Its ports are the host partition's by the manifest; where they are not, or there
 * is no such clock, all ones are read, and nothing is ever found.
 * [MC146818A "Address Map", "Update Cycle"]
 */
#include <stdbool.h>
#include <string.h>

#include "drivers/portio.h"
#include "host-bridge/dev/rtc.h"
#include "host-bridge/loop/loop.h"

#define PORT_INDEX	0x70u
#define PORT_DATA	0x71u
#define REG_A		0x0au
#define REG_B		0x0bu
#define A_UPDATES	0x80u	/* the registers may be changing */
#define B_24_HOURS	0x02u
#define B_BINARY	0x04u
#define HOUR_PM		0x80u	/* of 12 */

#define NS_PER_S	1000000000ll
#define NS_PER_MS	1000000ll
#define LEAST_NS	(2 * NS_PER_S)	/* what is not for want of precision */
/* Between two looks, so that the fractions of a second at which they come differ. */
#define LOOK_MS		7310u
#define DRIFT		2000	/* one part in so many: of one clock to the other */

static struct loop_timer timer;
static struct rtc_lead lead = RTC_LEAD_NONE;
static void (*on_moved)(int64_t ns);

/* -1: it is no number of two digits. */
static int number(uint8_t byte, bool binary)
{
	if (binary) {
		return byte < 100 ? byte : -1;
	}
	return (byte & 15) < 10 && byte >> 4 < 10 ? (byte >> 4) * 10 + (byte & 15) :
	       -1;
}

/**
 * The clock's seconds since its 2000, were it right; mode: its register B. -1: that
 * is no time. Pure.
 */
int64_t rtc_decode(const uint8_t bytes[RTC_BYTES], uint8_t mode)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273,
				      304, 334 };
	bool binary = mode & B_BINARY, half = !(mode & B_24_HOURS);
	int second = number(bytes[0], binary), minute = number(bytes[2], binary);
	int hour = number(half ? bytes[4] & (uint8_t)~HOUR_PM : bytes[4], binary);
	int day = number(bytes[7], binary), month = number(bytes[8], binary);
	int year = number(bytes[9], binary);

	if (half) {
		if (hour < 1 || hour > 12) {
			return -1;
		}
		hour = hour % 12 + (bytes[4] & HOUR_PM ? 12 : 0);
	}
	if (second < 0 || second > 59 || minute < 0 || minute > 59 || hour < 0 ||
	    hour > 23 || day < 1 || day > 31 || month < 1 || month > 12 ||
	    year < 0) {
		return -1;
	}
	day += year * 365 + (year + 3) / 4 + before[month - 1] - 1 +
	       (month > 2 && year % 4 == 0);
	return ((day * 24ll + hour) * 60 + minute) * 60 + second;
}

/**
 * The clock says so many seconds, and by the TSC so much has passed since any moment
 * that is always the same. Returns how long the machine has stood still since the
 * look before, right to a second; 0: it has not, or for less than two. Pure.
 */
int64_t rtc_stood_still(struct rtc_lead *l, int64_t seconds, int64_t passed_ns)
{
	/* Its second has begun, and has not ended. */
	struct rtc_lead now = { seconds * NS_PER_S - passed_ns,
				(seconds + 1) * NS_PER_S - passed_ns, passed_ns };
	struct rtc_lead old = *l;
	int64_t drift = (passed_ns - old.at_ns) / DRIFT;
	int64_t moved = (now.least_ns + now.most_ns) / 2 -
			(old.least_ns + old.most_ns) / 2;

	*l = now;
	if (old.most_ns < old.least_ns) {
		return 0;
	}
	old.least_ns -= drift;
	old.most_ns += drift;
	if (now.least_ns - old.most_ns >= LEAST_NS) {
		return moved;
	}
	/* What both looks say; if they do not agree, the clock was set, or goes very
	 * wrong: the later one's word. */
	if (now.least_ns <= old.most_ns && now.most_ns >= old.least_ns) {
		l->least_ns = now.least_ns > old.least_ns ? now.least_ns :
							    old.least_ns;
		l->most_ns = now.most_ns < old.most_ns ? now.most_ns : old.most_ns;
	}
	return 0;
}

static uint8_t reg(unsigned index)
{
	port_out8(PORT_INDEX, (uint8_t)index);
	return port_in8(PORT_DATA);
}

/* -1: not now, as it is changing, or there is none. */
static int64_t read_seconds(void)
{
	uint8_t bytes[2][RTC_BYTES];

	for (unsigned i = 0; i < 2; i++) {
		if (reg(REG_A) & A_UPDATES) {
			return -1;
		}
		for (unsigned k = 0; k < RTC_BYTES; k++) {
			bytes[i][k] = reg(k);
		}
	}
	return memcmp(bytes[0], bytes[1], RTC_BYTES) == 0 ?
	       rtc_decode(bytes[0], reg(REG_B)) : -1;
}

static void look(struct loop_timer *t)
{
	int64_t passed_ns = (int64_t)loop_ticks_to_ms(loop_now()) * NS_PER_MS;
	int64_t seconds = read_seconds(), moved = 0;

	if (seconds >= 0) {
		moved = rtc_stood_still(&lead, seconds, passed_ns);
	}
	loop_timer_set(t, LOOK_MS, look);
	if (moved != 0) {
		on_moved(moved);
	}
}

/** See rtc.h. Once, when there is a loop. */
void rtc_watch(void (*moved)(int64_t ns))
{
	on_moved = moved;
	look(&timer);
}
