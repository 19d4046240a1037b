/* SPDX-License-Identifier: MIT */
/*
 * The time of day, as servers of NTP have it: lwIP's client asks one, and takes
 * only the answer to what it has asked [RFC 4330]. That somebody on the way may lie
 * is not kept from us; but what cannot be the time is, and once it is known, what
 * is far from it.
 */
#include <string.h>

#include "lwip/apps/sntp.h"

#include "host-bridge/net/ntp.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/rt/wall.h"

#define NS_PER_S	1000000000ll
#define NS_PER_MS	1000000ll
#define EARLIEST_S	1704067200ll	/* 2024: this is written later */
#define FAR_S		1000ll		/* as ntpd's "panic threshold" */
#define TOLD_NS		NS_PER_S	/* corrections that are worth a line */

static struct ntp_status status;
static void (*set)(void);

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

	if (sec < EARLIEST_S || (status.answers > 0 &&
	    (offset > FAR_S * NS_PER_S || offset < -FAR_S * NS_PER_S))) {
		status.refused++;
		return;
	}
	status.answers++;
	status.offset_ns = offset;
	wall_adjust(offset);
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
