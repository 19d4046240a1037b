/* SPDX-License-Identifier: MIT */
/*
 * Linux's time of day follows the machine's, which may be put right by the network
 * long after Linux has read it: the driver says how far behind Linux is, and the
 * host when it is time to look. Never back: what is far behind is set, all else is
 * slewed, by the length of the kernel's tick, as fast as the machine's own clock is.
 * Whoever else keeps Linux's clock, as an NTP daemon does, says so to the kernel, and
 * is left to it; `isthmus.clock=off` on the command line is for one that does not.
 * [adjtimex(2), clock_adjtime(2)]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent.h"
#include "init.h"

#define BEHIND		"/sys/module/isthmus/parameters/clock_behind_ns"
#define NS_PER_S	1000000000ll
#define STEP_NS		128000000ll	/* ntpd's "step threshold" */
#define TICK_US		10000l		/* of timex.tick, as it should be */
#define SLEW_US		200l		/* by which it is changed at most: 2 % */
/* What a tick that is longer by 1 us makes up for between two looks. */
#define NS_PER_US	(AGENT_CLOCK_MS * NS_PER_S / 1000 / TICK_US)
/* Neither is worth following: what one look sees otherwise than the next. */
#define CLOSE_NS	50000ll
#define CLOSE_US	10l
#define LOOKS		20		/* at least, when the host has called */
#define SOON_MS		1000		/* between two looks: at first, and after */
#define LATER_MS	64000		/* a step; at last */

static bool off;

static void take_word(const char *word)
{
	const char *value = cmdline_after(word, "isthmus.clock=");

	if (value && strcmp(value, "off") == 0) {
		off = true;
	} else if (value) {
		init_log("%s: not off", word);
	}
}

static long to_tick(int64_t ns)
{
	return (long)((ns + (ns < 0 ? -NS_PER_US : NS_PER_US) / 2) / NS_PER_US);
}

/**
 * What is to be asked of the kernel if its clock is behind by so much, and *now is
 * what adjtimex() has said of it. c: what the look before has found, 0 at first; if
 * c->follows is set the next one must be AGENT_CLOCK_MS later. Then the clock will
 * be right, and goes as the machine's does, whatever that does meanwhile. False:
 * nothing, somebody else keeps the clock.
 */
bool agent_clock_ask(struct agent_clock *c, int64_t behind_ns,
		     const struct timex *now, struct timex *ask)
{
	long change;

	*ask = (struct timex){ .modes = ADJ_TICK, .tick = TICK_US };
	if (!(now->status & STA_UNSYNC)) {
		c->follows = false;
		return false;
	}
	if (behind_ns > STEP_NS) {
		ask->modes |= ADJ_SETOFFSET | ADJ_NANO;
		ask->time.tv_sec = behind_ns / NS_PER_S;
		ask->time.tv_usec = behind_ns % NS_PER_S;
		c->follows = false;
		return true;
	}
	if (behind_ns < -STEP_NS) {
		change = -SLEW_US;
	} else {
		change = now->tick - TICK_US + to_tick(behind_ns) +
			 (c->follows ? to_tick(behind_ns - c->behind_ns) : 0);
		change = change > SLEW_US ? SLEW_US :
			 change < -SLEW_US ? -SLEW_US : change;
		if (llabs(behind_ns) < CLOSE_NS && labs(change) <= CLOSE_US) {
			change = 0;
		}
	}
	ask->tick += change;
	c->behind_ns = behind_ns;
	c->follows = change != 0;
	return true;
}

/* False: nobody says. */
static bool behind(int64_t *ns)
{
	FILE *f = fopen(BEHIND, "re");
	bool there = f && fscanf(f, "%" SCNd64, ns) == 1;

	if (f) {
		fclose(f);
	}
	return there;
}

static struct agent_clock clock_now;
static int looks;		/* that are due whatever they find */
static int64_t at;		/* the next one, of CLOCK_BOOTTIME */

/* Returns how long until the next look, after the one before it was ms. */
static int look(int ms)
{
	struct timex now = { 0 }, ask;
	int64_t ns;

	if (!behind(&ns) || adjtimex(&now) < 0) {
		return -1;
	}
	if (agent_clock_ask(&clock_now, ns, &now, &ask) && adjtimex(&ask) < 0) {
		init_log("the clock: %s", strerror(errno));
		return -1;
	}
	looks -= looks > 0;
	if (clock_now.follows || looks > 0) {
		return AGENT_CLOCK_MS;
	}
	if (ask.modes & ADJ_SETOFFSET) {
		return SOON_MS;
	}
	return ms < SOON_MS ? SOON_MS : ms < LATER_MS ? 2 * ms : LATER_MS;
}

/** The machine's clock goes otherwise from now on. */
void agent_clock_soon(void)
{
	looks = LOOKS;
	at = 0;
}

/**
 * Looks, if it is time to: to be called again after the milliseconds that it
 * returns, or before; -1: nothing is to be done any more.
 */
int agent_clock_step(void)
{
	static char line[4096];
	static int wait;		/* 0: there was none yet */
	struct timespec t;
	int64_t now;

	clock_gettime(CLOCK_BOOTTIME, &t);
	now = t.tv_sec * 1000ll + t.tv_nsec / 1000000;
	if (wait == 0) {
		cmdline_words(line, sizeof(line), take_word);
		wait = off ? -1 : SOON_MS;
		at = now + wait;
	}
	if (wait > 0 && now >= at) {
		wait = look(wait);
		at = now + wait;
	}
	return wait < 0 ? -1 : (int)(at - now);
}
