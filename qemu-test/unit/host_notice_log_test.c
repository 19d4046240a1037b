/* SPDX-License-Identifier: MIT */
/* Notices that are kept: with their time, without the secret mark, the last ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "host-bridge/rt/notice.h"
#include "host-bridge/rt/notice_log.h"
#include "host-bridge/rt/stage.h"
#include "host-bridge/rt/wall.h"

static struct notice_listener *listener;
static char got[2 * NOTICE_LOG];

void notice_listener_add(struct notice_listener *l)
{
	listener = l;
}

const char *stage_mark(void)
{
	return "\1secret";
}

int64_t wall_now_ns(void)
{
	return 1800000000ll * 1000000000 + 999999999;
}

/* All that there is, from *at on, in odd pieces. */
static void read_all(uint64_t *at)
{
	size_t len = 0, n;

	while ((n = notice_log_read(NULL, at, got + len, 37)) > 0) {
		len += n;
	}
	got[len] = '\0';
}

static void lines_have_their_time(void **state)
{
	uint64_t at = 0;

	(void)state;
	notice_log_init();
	read_all(&at);
	assert_string_equal(got, "");
	listener->line(listener, "\1secretisthmus: stage 60");
	listener->line(listener, "network console: 10.0.2.2 is in");
	read_all(&at);
	assert_string_equal(got, "2027-01-15 08:00:00 isthmus: stage 60\n"
			    "2027-01-15 08:00:00 network console: 10.0.2.2 is "
			    "in\n");
	read_all(&at);
	assert_string_equal(got, "");
}

/* Of those that have no room any more the first goes whole. */
static void the_last_stay(void **state)
{
	char text[32];
	uint64_t at = 0;
	unsigned next;

	(void)state;
	for (unsigned i = 10000; i < 12000; i++) {
		snprintf(text, sizeof(text), "line %u", i);
		listener->line(listener, text);
	}
	read_all(&at);
	assert_in_range(strlen(got), NOTICE_LOG - 31, NOTICE_LOG);
	next = (unsigned)(12000 - strlen(got) / 31);
	for (char *line = got; *line; line += 31) {
		snprintf(text, sizeof(text), " line %u\n", next++);
		assert_memory_equal(line, "2027-01-15 08:00:00", 19);
		assert_memory_equal(line + 19, text, 12);
	}
	assert_int_equal(next, 12000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_have_their_time),
		cmocka_unit_test(the_last_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
