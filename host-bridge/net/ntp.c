/* SPDX-License-Identifier: MIT */
/*
 * The time of day, as servers of NTP have it: lwIP's client asks one, and takes
 * only the answer to what it has asked [RFC 4330]. That somebody on the way may lie
 * is not kept from us; but what cannot be the time is, and once it is known, what
 * is far from it. lwIP does not look at the leap indicator, so that is read before
 * lwIP has the packet. [RFC 5905 "Packet Header Variables"]
 */
#include <string.h>
#include <time.h>

#include "lwip/apps/sntp.h"
#include "lwip/prot/ip.h"

#include "host-bridge/loop/loop.h"
#include "host-bridge/net/ntp.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/rt/wall.h"

#define NS_PER_S	1000000000ll
#define NS_PER_MS	1000000ll
#define EARLIEST_S	1704067200ll	/* 2024: this is written later */
#define FAR_S		1000ll		/* as ntpd's "panic threshold" */
#define TOLD_NS		NS_PER_S	/* corrections that are worth a line */

#define DAY_S		86400ll
#define PORT		123u
#define UDP_HEADER	8u
#define NTP_HEADER	48u

enum { LI_NONE, LI_61, LI_59, LI_ALARM };	/* the month's last minute */

static struct ntp_status status;
static void (*set)(void);
static struct loop_timer leap;
static unsigned indicator;	/* of the last datagram that may be a server's */
static unsigned planned;	/* of the last answer */

/** See ntp.h. The one that lwIP takes a time from comes here just before. */
void ntp_look(const uint8_t *ip, size_t len)
{
	size_t at = ip[0] >> 4 == 4 ? (ip[0] & 15) * 4u : 40;
	uint8_t protocol = ip[0] >> 4 == 4 ? ip[9] : ip[6];

	if (protocol == IP_PROTO_UDP && len >= at + UDP_HEADER + NTP_HEADER &&
	    ip[at] == 0 && ip[at + 1] == PORT) {
		indicator = ip[at + UDP_HEADER] >> 6;
	}
}

/* When the UTC month of a time ends, by a clock that knows of no leap seconds. */
static int64_t month_ends(int64_t s)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31,
					30, 31 };
	time_t then = (time_t)s;
	struct tm tm;
	bool leap_year;

	gmtime_r(&then, &tm);
	leap_year = tm.tm_year % 4 == 0 && (tm.tm_year % 100 != 0 ||
					     tm.tm_year % 400 == 100);
	return s - s % DAY_S + (days[tm.tm_mon] - tm.tm_mday + 1 +
				(tm.tm_mon == 1 && leap_year)) * DAY_S;
}

static void on_leap(struct loop_timer *timer)
{
	(void)timer;
	notice("clock: a leap second %s; it goes %s until it is right",
	       planned == LI_61 ? "more" : "less",
	       planned == LI_61 ? "slower" : "faster");
	wall_adjust(wall_left_ns() + (planned == LI_61 ? -NS_PER_S : NS_PER_S));
	set();
}

/* At the end of the month there is one second more or less, if the last answer that
 * was taken says so. */
static void plan_leap(void)
{
	int64_t now = wall_now_ns();
	int64_t end = month_ends(now / NS_PER_S) * NS_PER_S;

	planned = indicator;
	loop_timer_cancel(&leap);
	if (planned != LI_NONE) {
		end -= planned == LI_59 ? NS_PER_S : 0;
		loop_timer_set(&leap, end > now ?
			       (uint64_t)((end - now) / NS_PER_MS) + 1 : 1, on_leap);
	}
}

/** See ntp.h. */
void ntp_get_status(struct ntp_status *s)
{
	*s = status;
}

/** lwIP asks what time it is. */
void lwip_port_time_get(uint32_t *sec, uint32_t *us)
{
	int64_t now = wall_now_ns();

	*sec = (uint32_t)(now / NS_PER_S);
	*us = (uint32_t)(now % NS_PER_S / 1000);
}

/** lwIP knows what time it is. Its seconds end in 2106. */
void lwip_port_time_set(uint32_t sec, uint32_t us)
{
	int64_t there = (int64_t)sec * NS_PER_S + (int64_t)us * 1000;
	int64_t offset = there - wall_now_ns();

	if (indicator == LI_ALARM || sec < EARLIEST_S || (status.answers > 0 &&
	    (offset > FAR_S * NS_PER_S || offset < -FAR_S * NS_PER_S))) {
		status.refused++;
		return;
	}
	status.answers++;
	status.offset_ns = offset;
	wall_adjust(offset);
	plan_leap();
	set();
	if (offset > TOLD_NS) {
		notice("clock: set, it was %lld ms behind",
		       (long long)(offset / NS_PER_MS));
	} else if (offset < -TOLD_NS) {
		notice("clock: it is %lld ms ahead, and goes slower until it is "
		       "right", (long long)(-offset / NS_PER_MS));
	}
}

/** See ntp.h. Once, when the stack is there. */
void ntp_start(const char *servers, void (*on_set)(void))
{
	static char names[256];
	uint8_t count = 0;

	set = on_set;
	sntp_setoperatingmode(SNTP_OPMODE_POLL);
	sntp_servermode_dhcp(servers == NULL);
	strlcpy(names, servers ? servers : "", sizeof(names));
	for (char *name = strtok(names, " "); name && count < SNTP_MAX_SERVERS;
	     name = strtok(NULL, " ")) {
		sntp_setservername(count++, name);
	}
	sntp_init();
}

/** See ntp.h. */
void ntp_ask(void)
{
	if (sntp_enabled()) {
		sntp_stop();
		sntp_init();
		stack_left();
	}
}
