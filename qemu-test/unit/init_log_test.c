/* SPDX-License-Identifier: MIT */
/*
 * What init and the agent write into the kernel's log: whole lines, each by one
 * write, however long.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char log_text[4096];
static size_t log_len;
static unsigned writes;
static int log_open(const char *path, int flags);
static ssize_t log_write(int fd, const void *data, size_t len);
static int log_close(int fd);

#define open	log_open
#define write	log_write
#define close	log_close
#include "guest/init/init_log.c"

static int log_open(const char *path, int flags)
{
	assert_string_equal(path, "/dev/kmsg");
	assert_int_equal(flags & O_ACCMODE, O_WRONLY);
	return 7;
}

static ssize_t log_write(int fd, const void *data, size_t len)
{
	assert_int_equal(fd, 7);
	assert_true(log_len + len < sizeof(log_text));
	memcpy(log_text + log_len, data, len);
	log_len += len;
	log_text[log_len] = '\0';
	writes++;
	return (ssize_t)len;
}

static int log_close(int fd)
{
	assert_int_equal(fd, 7);
	return 0;
}

static void lines_are_whole(void **state)
{
	(void)state;
	init_log("up, %d", 1);
	init_log("%s", "port 7");
	assert_int_equal(writes, 2);
	assert_string_equal(log_text, "<3>isthmus-init: up, 1\n"
			    "<3>isthmus-init: port 7\n");
}

static void a_long_one_is_cut(void **state)
{
	(void)state;
	log_len = writes = 0;
	init_log("%0500d", 1);
	assert_int_equal(writes, 1);
	assert_int_equal(log_len, 255);
	assert_ptr_equal(strchr(log_text, '\n'), log_text + 254);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_whole),
		cmocka_unit_test(a_long_one_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
