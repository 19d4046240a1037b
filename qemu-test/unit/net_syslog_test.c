/* SPDX-License-Identifier: MIT */
/*
 * The machine's log on the wire: each line once, from the first, whole, in order;
 * the last words of the program too; never the secret mark.
 */
#include <stdio.h>
#include <stdlib.h>

#include "net_fixture.h"

#include "host-bridge/net/stack.h"
#include "host-bridge/net/syslog.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/rt/sink.h"
#include "host-bridge/rt/wall.h"

static const struct config_network want = { .hostname = "box" };
static char log_text[65536];
static char got[1 << 20];
static uint64_t panic_ms;	/* when the hypervisor says more; 0: it runs */

/* As the hypervisor's, 24 bytes at most. */
static size_t read_log(void *arg, uint64_t *at, char *buf, size_t size)
{
	size_t left = strlen(log_text) - *at;
	size_t n = left < size ? left : size;

	(void)arg;
	/* Who asks again and again waits for what comes. */
	if (n == 0 && panic_ms > 0) {
		net_ms++;
		if (net_ms == panic_ms) {
			strcat(log_text, "RIP 0x1234\nthe e");
		}
	}
	n = n < 24 ? n : 24;
	memcpy(buf, log_text + *at, n);
	*at += n;
	return n;
}

static void datagram(uint16_t port, const uint8_t *data, size_t len)
{
	size_t used = strlen(got);

	assert_int_equal(port, 5514);
	assert_true(used + len + 2 < sizeof(got));
	memcpy(got + used, data, len);
	got[used + len] = '\n';
	got[used + len + 1] = '\0';
}

static void all_comes_from_the_first_line(void **state)
{
	(void)state;
	net_begin();
	wall_init(1800000000, 0, 1000000000);
	strcpy(log_text, "isthmus: stage 40 hypervisor entered\n\n"
	       "isthmus: FAILED stage 42\nhalf");
	stack_init();
	assert_int_equal(stack_start(&net_nic, &want), 0);
	syslog_start("10.0.2.9 5514", read_log);
	assert_non_null(net_listener);
	router.datagram = datagram;
	net_listener->line(net_listener, "\1secretisthmus: stage 60");
	net_run(5000);
	assert_string_equal(got, "");
	net_nic.known = net_nic.link = true;
	net_nic.changed(net_nic.arg);
	net_run(1000);
	strcat(log_text, " a line\n");
	net_run(200);
	assert_string_equal(got,
		"<134>1 2027-01-15T08:00:06.200Z box hypervisor - - - "
		"isthmus: stage 40 hypervisor entered\n"
		"<130>1 2027-01-15T08:00:06.200Z box hypervisor - - - "
		"isthmus: FAILED stage 42\n"
		"<134>1 2027-01-15T08:00:06.200Z box host-bridge - - - "
		"isthmus: stage 60\n"
		"<134>1 2027-01-15T08:00:07.100Z box hypervisor - - - "
		"half a line\n");
}

/* A wire that takes nothing for a while, and more than a tick's lines. */
static void none_is_lost_or_twice(void **state)
{
	unsigned seen = 0;

	(void)state;
	got[0] = '\0';
	for (unsigned i = 0; i < 1000; i++) {
		sprintf(log_text + strlen(log_text), "line %u of many\n", i);
	}
	net_run(350);
	net_send_error = 105;
	net_run(1000);
	net_send_error = 0;
	net_run(3000);
	for (char *at = got; (at = strstr(at, "- - - line ")) != NULL; at++) {
		assert_int_equal(atoi(at + 11), seen);
		seen++;
	}
	assert_int_equal(seen, 1000);
}

/* Longer than a message: in pieces. */
static void long_lines_are_cut(void **state)
{
	size_t all = 0;

	(void)state;
	got[0] = '\0';
	memset(log_text + strlen(log_text), 'x', 700);
	strcat(log_text, "\n");
	net_run(300);
	for (char *at = got; (at = strstr(at, "- - - ")) != NULL; at++) {
		assert_in_range(strspn(at + 6, "x"), 1, 480);
		all += strspn(at + 6, "x");
	}
	assert_int_equal(all, 700);
}

/* Nothing runs any more but what is called. */
static void the_last_words_come(void **state)
{
	static const char said[] = "\n\1secretisthmus: FAILED stage 70 running: "
				   "host-bridge crashed";

	(void)state;
	got[0] = '\0';
	sink_last(said, sizeof(said) - 1);
	sink_last(": page fault\n  rax 0\n", 21);
	net_run(0);
	assert_non_null(strstr(got, "<130>1 2027-01-15T08:00:"));
	assert_non_null(strstr(got, "Z box host-bridge - - - isthmus: FAILED "
			       "stage 70 running: host-bridge crashed: page "
			       "fault\n"));
	assert_non_null(strstr(got, " - - -   rax 0\n"));
	assert_null(strstr(got, "secret"));
}

/* What the hypervisor still says. It had begun a line before. */
static void a_panic_comes(void **state)
{
	uint64_t begun;

	(void)state;
	got[0] = '\0';
	strcat(log_text, "begun");
	net_run(300);
	strcat(log_text, " before\n\1secretisthmus: PANIC in the hypervisor: "
	       "exception 13\n");
	begun = net_ms;
	panic_ms = begun + 200;
	sink_panicked();
	assert_in_range(net_ms - begun, 400, 500);
	net_run(0);
	assert_non_null(strstr(got, "Z box hypervisor - - - begun before\n"));
	assert_non_null(strstr(got, "<130>1 2027-01-15T08:00:"));
	assert_non_null(strstr(got, "Z box hypervisor - - - isthmus: PANIC in "
			       "the hypervisor: exception 13\n"));
	assert_non_null(strstr(got, " - - - RIP 0x1234\n"));
	assert_null(strstr(got, "secret"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_comes_from_the_first_line),
		cmocka_unit_test(none_is_lost_or_twice),
		cmocka_unit_test(long_lines_are_cut),
		cmocka_unit_test(the_last_words_come),
		cmocka_unit_test(a_panic_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
