/* SPDX-License-Identifier: MIT */
/*
 * `status --json` on a line of its own, behind "isthmus: sample ", from time to time:
 * what `isthmus picture` draws. It goes to the console's line, whoever has the
 * console, and to no other log; one that the line has no room for is left out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/dev/serial.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/ui/documents.h"
#include "host-bridge/ui/samples.h"

static const struct command_env *of;
static struct loop_timer timer;
static uint64_t every_ms;

static void on_time(struct loop_timer *t)
{
	if (!serial_busy(SERIAL_CONSOLE)) {
		notice_begin();
		printf("isthmus: sample ");
		documents_status(of);
		notice_end();
	}
	loop_timer_set(t, every_ms, on_time);
}

/** See samples.h. */
bool samples_every(const struct command_env *env, const char *seconds)
{
	char *end;
	unsigned long n = strtoul(seconds, &end, 10);

	if (strcmp(seconds, "off") == 0) {
		loop_timer_cancel(&timer);
		return true;
	}
	if (*seconds < '0' || *seconds > '9' || *end || n < 1 ||
	    n > SAMPLES_MOST) {
		return false;
	}
	of = env;
	every_ms = n * 1000;
	loop_timer_set(&timer, 0, on_time);
	return true;
}
