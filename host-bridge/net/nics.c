/* SPDX-License-Identifier: MIT */
/*
 * The list of network cards, and the line that each gets. A card that answers is
 * started in no time; a cable takes its own, and may not be there: nobody waits for
 * it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "host-bridge/net/nics.h"
#include "host-bridge/rt/notice.h"

#define START_MS	2000u
#define LOOK_MS		10u
#define LINK_MS		4000u		/* a link is waited for, for its line */

struct entry {
	struct entry *next;
	struct nic *nic;
	bool told;
};

static struct entry *first, **end = &first;
static unsigned count;
static struct loop_timer timer;

/** See nics.h. Out of memory, it is left out. */
void nics_add(struct nic *nic)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e) {
		notice("isthmus: no memory for a network card");
		return;
	}
	snprintf(nic->name, sizeof(nic->name), "net%u", count++);
	e->nic = nic;
	*end = e;
	end = &e->next;
	nic_start(nic);
}

/** See nics.h. */
struct nic *nics_get(unsigned index)
{
	struct entry *e = first;

	while (e && index-- > 0) {
		e = e->next;
	}
	return e ? e->nic : NULL;
}

/* True: there is nothing more to say of it. */
static bool tell(const struct nic *nic, bool late)
{
	char line[160];

	if (nic->state == NIC_FAILED) {
		notice("isthmus: network card %s is of no use: %s", nic->name,
		       nic->why);
		return true;
	}
	if (nic->state != NIC_READY || (!nic->link && !late)) {
		return false;
	}
	nic_describe(nic, line, sizeof(line));
	notice("isthmus: network card %s: %s", nic->name, line);
	return true;
}

static void on_timer(struct loop_timer *t)
{
	bool late = loop_uptime_ms() >= LINK_MS, more = false;

	for (struct entry *e = first; e; e = e->next) {
		e->told = e->told || tell(e->nic, late);
		more |= !e->told;
	}
	if (more) {
		loop_timer_set(t, LOOK_MS, on_timer);
	}
}

static bool starting(void)
{
	for (struct entry *e = first; e; e = e->next) {
		if (e->nic->state == NIC_STARTING) {
			return true;
		}
	}
	return false;
}

/** See nics.h. At top level. */
void nics_init(void)
{
	uint64_t until = loop_uptime_ms() + START_MS;

	nics_probe();
	/* Cards that start have timers. */
	while (starting() && loop_uptime_ms() < until) {
		loop_step(LOOP_FOREVER);
	}
	if (first) {
		loop_timer_set(&timer, LOOK_MS, on_timer);
	}
}
