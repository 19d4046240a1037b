/* SPDX-License-Identifier: MIT */
/*
 * Two passes over a log: one counts its lines, one prints, up to where the log
 * ended then; a log that grows as fast as it is printed ends all the same. The
 * ring may have dropped lines between the passes: then some fewer are shown than
 * were asked for. Text is shown as it was written, control characters of Linux's
 * included.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "host-bridge/ui/console.h"
#include "host-bridge/ui/log_view.h"

#define PIECE	512

/* Newlines up to the end, whose position is put. An unfinished last line counts
 * as none and is printed. */
static unsigned long count_lines(log_view_read read, void *arg, uint64_t *end)
{
	unsigned long lines = 0;
	char buf[PIECE];
	size_t n;

	*end = 0;
	while ((n = read(arg, end, buf, sizeof(buf))) > 0) {
		for (size_t i = 0; i < n; i++) {
			lines += buf[i] == '\n';
		}
	}
	return lines;
}

/**
 * Prints until the end or ctrl-c. lines: NULL for all, else a decimal number;
 * false, with nothing printed, when it is none. CR is left out: the console
 * makes its own.
 */
bool log_view(log_view_read read, void *arg, const char *lines)
{
	uint64_t at = 0, end;
	unsigned long skip = 0, want, all = count_lines(read, arg, &end);
	char buf[PIECE];
	char *rest;
	size_t n;

	if (lines) {
		want = strtoul(lines, &rest, 10);
		/* strtoul() alone would take blanks and a sign. */
		if (*lines < '0' || *lines > '9' || *rest) {
			return false;
		}
		skip = want < all ? all - want : 0;
	}
	while (at < end && (n = read(arg, &at, buf, sizeof(buf))) > 0 &&
	       console_go_on()) {
		for (size_t i = 0; i < n; i++) {
			if (skip > 0) {
				skip -= buf[i] == '\n';
			} else if (buf[i] != '\r') {
				putchar(buf[i]);
			}
		}
	}
	return true;
}
