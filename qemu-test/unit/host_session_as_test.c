/* SPDX-License-Identifier: MIT */
/* Options of exec and of Linux's console: what of a line is theirs, and what is said
 * of those that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "host-bridge/ui/session_as.h"

static const char *const fixed[] = { "exec", "", NULL };
static struct session_as as;
static char said[256];

/* What is printed, in the place of stdio's. */
int __wrap_printf(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
	return 0;
}

int __wrap_puts(const char *text)
{
	return snprintf(said, sizeof(said), "%s\n", text);
}

/* Returns what is left of the line; NULL: it was refused. */
static const char *read_line(const char *line)
{
	said[0] = '\0';
	session_as_begin(&as, fixed);
	return session_as_read(&as, &line) ? line : NULL;
}

static void options_are_fields(void **state)
{
	const char *rest;

	(void)state;
	rest = read_line("--user ann --env 'A=b  c' --env B=\"x\"'y'  --dir /a\\ b "
			 "echo  --user 'x  y'");
	assert_string_equal(rest, "echo  --user 'x  y'");
	assert_int_equal(as.count, 6);
	assert_string_equal(as.field[0], "exec");
	assert_string_equal(as.field[2], "user=ann");
	assert_string_equal(as.field[3], "env=A=b  c");
	assert_string_equal(as.field[4], "env=B=xy");
	assert_string_equal(as.field[5], "dir=/a b");
	assert_null(as.field[6]);
	assert_string_equal(read_line("echo 'not closed"), "echo 'not closed");
	assert_int_equal(as.count, 2);
	assert_string_equal(read_line("--distro d -- -x"), "-x");
	assert_string_equal(as.field[2], "distro=d");
	assert_string_equal(read_line("--user u"), "");
	assert_string_equal(read_line(""), "");
}

static void bad_ones_are_named(void **state)
{
	static const struct {
		const char *line, *says;
	} bad[] = {
		{ "--usr ann x", "there is no option --usr; " },
		{ "-x", "there is no option -x; " },
		{ "--use u c", "there is no option --use; " },
		{ "--users u c", "there is no option --users; " },
		{ "-user u c", "there is no option -user; " },
		{ "--user", "--user: a value expected\n" },
		{ "--dir ''", "--dir: a value expected\n" },
		{ "--user 'ann", "a quote is not closed\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_null(read_line(bad[i].line));
		assert_memory_equal(said, bad[i].says, strlen(bad[i].says));
	}
}

static void lines_have_an_end(void **state)
{
	char line[SESSION_LINE + 100];
	size_t len = 0;

	(void)state;
	while (len + 12 < SESSION_LINE) {
		len += (size_t)sprintf(line + len, "--env A=%u ", 1u);
	}
	assert_null(read_line(line));
	assert_string_equal(said, "there are too many options\n");
	assert_int_equal(as.count, SESSION_FIELDS);
	memset(line, '-', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	assert_null(read_line(line));
	/* The longest there can be. */
	memset(line, 'x', SESSION_LINE);
	memcpy(line, "--env A=", 8);
	line[SESSION_LINE - 1] = '\0';
	assert_string_equal(read_line(line), "");
	assert_int_equal(strlen(as.field[2]), SESSION_LINE - 1 - 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_are_fields),
		cmocka_unit_test(bad_ones_are_named),
		cmocka_unit_test(lines_have_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
