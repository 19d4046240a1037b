/* SPDX-License-Identifier: MIT */
/* Agent frames: requests, and decoding in pieces of every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/agent/agent_frame.h"

static char seen[512];

static void output(void *arg, enum agent_type type, const void *data,
		   size_t len)
{
	size_t at = strlen(seen);

	(void)arg;
	for (size_t i = 0; i < len; i++) {
		seen[at++] = type == AGENT_STDOUT ? 'o' : 'e';
		seen[at++] = ((const char *)data)[i];
	}
	seen[at] = '\0';
}

static void exited(void *arg, uint32_t status)
{
	(void)arg;
	snprintf(seen + strlen(seen), 32, "[exit %u]", (unsigned)status);
}

static void failed(void *arg, const char *text)
{
	(void)arg;
	snprintf(seen + strlen(seen), 256, "[error %s]", text);
}

static void flushed(void *arg)
{
	(void)arg;
	snprintf(seen + strlen(seen), 32, "[flushed]");
}

static const struct agent_sink sink = {
	output, exited, failed, flushed, NULL
};

/* Decodes the bytes in pieces of the given size. */
static int decode(const char *bytes, size_t len, size_t piece)
{
	struct agent_decoder dec = { 0 };
	int error = 0;

	seen[0] = '\0';
	for (size_t at = 0; at < len && error == 0; at += piece) {
		error = agent_decode(&dec, &sink, bytes + at,
				     len - at < piece ? len - at : piece);
	}
	return error;
}

static void decodes_in_any_pieces(void **state)
{
	static const char bytes[] =
		"\1\3\0\0\0abc" "\7\0\0\0\0" "\11\4\0\0\0\1\2\3\4" "\2\1\0\0\0x" "\1\0\0\0\0"
		"\6\4\0\0\0oops" "\4\4\0\0\0\x89\1\0\0";

	(void)state;
	for (size_t piece = 1; piece < sizeof(bytes); piece++) {
		assert_int_equal(decode(bytes, sizeof(bytes) - 1, piece), 0);
		assert_string_equal(seen,
				    "oaoboc[flushed]ex[error oops][exit 393]");
	}
}

static void refuses_what_is_no_frame(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{ "\0\0\0\0\0", 5 },		/* type 0 */
		{ "\3\1\0\0\0a", 6 },		/* stdin from the agent */
		{ "\7\1\0\0\0", 5 },		/* a flush of one byte */
		{ "\11\3\0\0\0", 5 },		/* a number of three */
		{ "\10\0\0\0\0", 5 },
		{ "\4\3\0\0\0abc", 8 },		/* status of 3 bytes */
		{ "\4\0\0\0\0", 5 },
		{ "\4\5\0\0\0abcde", 10 },
		{ "\6\311\0\0\0", 5 },		/* error text of 201 bytes */
		{ "\4\377\377\377\377", 5 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(decode(bad[i].bytes, bad[i].len, 100), -1);
		assert_string_equal(seen, "");
	}
}

static void longest_error_text(void **state)
{
	char bytes[5 + AGENT_TEXT_MAX] = "\6\310\0\0\0";
	char want[AGENT_TEXT_MAX + 16];

	(void)state;
	memset(bytes + 5, 'e', AGENT_TEXT_MAX);
	assert_int_equal(decode(bytes, sizeof(bytes), 7), 0);
	snprintf(want, sizeof(want), "[error %.*s]", (int)AGENT_TEXT_MAX,
		 bytes + 5);
	assert_string_equal(seen, want);
}

static void makes_requests(void **state)
{
	const char *const exec[] = { "exec", "echo hi", NULL };
	const char *const shell[] = { "shell", "24", "80", NULL };
	uint8_t buf[32];

	(void)state;
	assert_int_equal(agent_request(buf, sizeof(buf), exec), 16);
	assert_memory_equal(buf, "\14\0\0\0exec\0echo hi", 16);
	assert_int_equal(agent_request(buf, sizeof(buf), shell), 15);
	assert_memory_equal(buf, "\13\0\0\0shell\0" "24\0" "80", 15);
	assert_int_equal(agent_request(buf, 14, exec), 0);
}

static void heads_frames_for_the_tool(void **state)
{
	static const struct {
		const char *mark;
		char type;
		size_t len;
		const char *want;
	} heads[] = {
		{ "\x1e" "0123456789abcdef", 'o', 0,
		  "\x1e" "0123456789abcdefo0000" },
		{ "\x1e" "0123456789abcdef", 'e', 4096,
		  "\x1e" "0123456789abcdefe1000" },
		{ "", 'x', 0xffff, "xffff" },
	};
	char head[AGENT_TOOL_HEAD];

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		assert_int_equal(agent_tool_frame(head, heads[i].mark,
						  heads[i].type, heads[i].len),
				 strlen(heads[i].want));
		assert_string_equal(head, heads[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_in_any_pieces),
		cmocka_unit_test(refuses_what_is_no_frame),
		cmocka_unit_test(longest_error_text),
		cmocka_unit_test(makes_requests),
		cmocka_unit_test(heads_frames_for_the_tool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
