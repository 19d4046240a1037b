/* SPDX-License-Identifier: MIT */
/*
 * Linux's time of day follows the machine's, which may be put right by the network
 * long after Linux has read it: the driver says how far behind Linux is. Never back:
 * what is far behind is set, all else is slewed by the kernel. Whoever else keeps
 * Linux's clock, as an NTP daemon does, says so to the kernel, and is left to it;
 * `isthmus.clock=off` on the command line is for one that does not.
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

/**
 * What is to be asked of the kernel if its clock is behind by so much and its status
 * (STA_*) is that. False: nothing, somebody else keeps the clock.
 */
bool agent_clock_ask(int64_t behind_ns, int status, struct timex *ask)
{
	*ask = (struct timex){ 0 };
	if (!(status & STA_UNSYNC)) {
		return false;
	}
	if (behind_ns > STEP_NS) {
		ask->modes = ADJ_SETOFFSET | ADJ_NANO;
		ask->time.tv_sec = behind_ns / NS_PER_S;
		ask->time.tv_usec = behind_ns % NS_PER_S;
	} else {
		ask->modes = ADJ_OFFSET_SINGLESHOT;
		ask->offset = behind_ns / 1000;
	}
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

/* Returns how long until the next look, after the one before it was ms. */
static int look(int ms)
{
	struct timex now = { 0 }, ask;
	int64_t ns;

	if (!behind(&ns) || adjtimex(&now) < 0) {
		return -1;
	}
	if (agent_clock_ask(ns, now.status, &ask) && adjtimex(&ask) < 0) {
		init_log("the clock: %s", strerror(errno));
		return -1;
	}
	if (ask.modes & ADJ_SETOFFSET) {
		return SOON_MS;
	}
	return ms < LATER_MS ? 2 * ms : LATER_MS;
}

/**
 * Looks, if it is time to: to be called again after the milliseconds that it
 * returns, or before; -1: nothing is to be done any more.
 */
int agent_clock_step(void)
{
	static char line[4096];
	static int64_t at;		/* the next look, of CLOCK_BOOTTIME */
	static int wait;		/* 0: there was none yet */
	struct timespec t;
	int64_t now;

	if (wait == 0) {
		cmdline_words(line, sizeof(line), take_word);
		wait = off ? -1 : SOON_MS / 2;	/* look() doubles it */
	}
	clock_gettime(CLOCK_BOOTTIME, &t);
	now = t.tv_sec * 1000ll + t.tv_nsec / 1000000;
	if (wait > 0 && now >= at) {
		wait = look(wait);
		at = now + wait;
	}
	return wait < 0 ? -1 : (int)(at - now);
}
