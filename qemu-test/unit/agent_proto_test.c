/* SPDX-License-Identifier: MIT */
/* The agent's control protocol: requests and frames, good and bad bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "guest/init/agent.h"

static struct agent_parser parser;

/* A request as the parser gets it; text may hold NUL bytes. */
static struct agent_request parse(const char *text, size_t len)
{
	static char copy[256];
	struct agent_request req;

	assert_true(len < sizeof(copy));
	memset(copy, 'x', sizeof(copy));
	memcpy(copy, text, len);
	copy[len] = '\0';
	agent_parse_request(copy, len, &req);
	assert_true((req.verb == AGENT_VERB_BAD) == (req.error != NULL));
	return req;
}

#define PARSE(text) parse(text, sizeof(text) - 1)
#define SEED	"0123456789abcdef0123456789abcdef" \
		"0123456789abcdef0123456789abcdef"

static void feed(const void *data, size_t len)
{
	uint8_t *where;

	assert_true(agent_parser_room(&parser, &where) >= len);
	memcpy(where, data, len);
	parser.have += len;
}

static void test_good_requests(void **state)
{
	struct agent_request req;

	(void)state;
	assert_int_equal(PARSE("ping").verb, AGENT_VERB_PING);
	assert_int_equal(PARSE("shutdown\0poweroff").verb,
			 AGENT_VERB_POWEROFF);
	assert_int_equal(PARSE("shutdown\0reboot").verb, AGENT_VERB_REBOOT);
	req = PARSE("exec\0echo a b");
	assert_int_equal(req.verb, AGENT_VERB_EXEC);
	assert_string_equal(req.command, "echo a b");
	req = PARSE("watch\0/a b");
	assert_int_equal(req.verb, AGENT_VERB_WATCH);
	assert_string_equal(req.command, "/a b");
	req = PARSE("exec\0");
	assert_int_equal(req.verb, AGENT_VERB_EXEC);
	assert_string_equal(req.command, "");
	assert_int_equal(PARSE("freeze").verb, AGENT_VERB_FREEZE);
	assert_int_equal(PARSE("mount").verb, AGENT_VERB_MOUNT);
	req = PARSE("fork\0a-child\0" SEED "\0isthmus.net=x");
	assert_int_equal(req.verb, AGENT_VERB_FORK);
	assert_string_equal(req.name, "a-child");
	assert_string_equal(req.seed, SEED);
	assert_string_equal(req.net, "isthmus.net=x");
	req = PARSE("fork\0n\0" SEED "\0");
	assert_int_equal(req.verb, AGENT_VERB_FORK);
	assert_string_equal(req.net, "");
	req = PARSE("shell\00024\00080");
	assert_int_equal(req.verb, AGENT_VERB_SHELL);
	assert_int_equal(req.rows, 24);
	assert_int_equal(req.cols, 80);
}

static void test_options(void **state)
{
	struct agent_request req;

	(void)state;
	req = PARSE("exec\0cmd\0env=A=\0tty=30x100\0user=u\0env=_b9=x=y z"
		    "\0dir=/a b\0distro=d-1.x");
	assert_int_equal(req.verb, AGENT_VERB_EXEC);
	assert_string_equal(req.command, "cmd");
	assert_string_equal(req.user, "u");
	assert_string_equal(req.dir, "/a b");
	assert_string_equal(req.distro, "d-1.x");
	assert_int_equal(req.env_count, 2);
	assert_string_equal(req.env[0], "A=");
	assert_string_equal(req.env[1], "_b9=x=y z");
	assert_true(req.tty);
	assert_int_equal(req.rows, 30);
	assert_int_equal(req.cols, 100);
	req = PARSE("exec\0user=x");
	assert_string_equal(req.command, "user=x");
	assert_null(req.user);
	assert_false(req.tty);
	req = PARSE("shell\00024\00080\0user=1:2\0distro=-");
	assert_int_equal(req.verb, AGENT_VERB_SHELL);
	assert_string_equal(req.user, "1:2");
	assert_string_equal(req.distro, "-");
	assert_true(req.tty);
	/* What is wrong is named, as far as it can be shown. */
	req = PARSE("exec\0a\0\x1b[1m=x");
	assert_string_equal(req.error, "?[1m: there is no such option");
	req = PARSE("exec\0a\0dir=x");
	assert_string_equal(req.error, "dir: an absolute path expected");
	req = PARSE("exec\0a\0user=x\0user=y");
	assert_string_equal(req.error, "user: it is there twice");
	req = PARSE("exec\0a\0abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz=");
	assert_string_equal(req.error, "abcdefghijklmnopqrstuvwxyzabcdef: there "
			    "is no such option");
}

static void test_many_variables(void **state)
{
	static char text[16 + 8 * (AGENT_ENV_MAX + 1)];
	struct agent_request req;

	(void)state;
	for (unsigned count = AGENT_ENV_MAX; count <= AGENT_ENV_MAX + 1; count++) {
		size_t len = 6;

		memcpy(text, "exec\0a", 6);
		for (unsigned i = 0; i < count; i++) {
			memcpy(text + len, "\0env=A=", 8);
			len += 7;
		}
		text[len] = '\0';
		agent_parse_request(text, len, &req);
		if (count <= AGENT_ENV_MAX) {
			assert_int_equal(req.verb, AGENT_VERB_EXEC);
			assert_int_equal(req.env_count, AGENT_ENV_MAX);
		} else {
			assert_string_equal(req.error, "env: there are too many");
		}
	}
}

static void test_signals(void **state)
{
	uint8_t bytes[] = { AGENT_SIGNAL, 1, 0, 0, 0, 0 };
	struct agent_frame f;
	unsigned known = 0;

	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		bytes[5] = (uint8_t)i;
		parser.have = 0;
		feed(bytes, 5);
		assert_int_equal(agent_parse_frame(&parser, &f),
				 AGENT_PARSE_MORE);
		feed(bytes + 5, 1);
		known += agent_parse_frame(&parser, &f) == AGENT_PARSE_FRAME;
		assert_int_equal(agent_parse_frame(&parser, &f) ==
				 AGENT_PARSE_FRAME, agent_signal_known((uint8_t)i));
	}
	assert_int_equal(known, 9);
}

static void test_bad_requests(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} bad[] = {
#define BAD(t) { t, sizeof(t) - 1 }
		BAD(""), BAD("\0"), BAD("pin"), BAD("pings"), BAD("ping\0"),
		BAD("ping\0x"), BAD("exec"), BAD("exec\0a\0b"),
		BAD("exec\0a\0"), BAD("exec\0a\0user"), BAD("exec\0a\0user="),
		BAD("exec\0a\0=x"), BAD("exec\0a\0usr=x"), BAD("exec\0a\0users=x"),
		BAD("exec\0a\0use=x"), BAD("exec\0a\0user=x\0user=y"),
		BAD("exec\0a\0user=x\0"), BAD("exec\0a\0dir="),
		BAD("exec\0a\0dir=tmp"), BAD("exec\0a\0env=A"),
		BAD("exec\0a\0env==A"), BAD("exec\0a\0env=1A=x"),
		BAD("exec\0a\0env=A B=x"), BAD("exec\0a\0env="),
		BAD("exec\0a\0tty=24"), BAD("exec\0a\0tty=24x"),
		BAD("exec\0a\0tty=x80"), BAD("exec\0a\0tty=0x80"),
		BAD("exec\0a\0tty=24x65536"), BAD("exec\0a\0tty=24x80x1"),
		BAD("exec\0a\0tty=1x1\0tty=1x1"), BAD("exec\0a\0distro="),
		BAD("exec\0a\0distro=A"), BAD("exec\0a\0distro=1a"),
		BAD("exec\0a\0distro=--"), BAD("exec\0a\0distro=a/b"),
		BAD("exec\0a\0distro=.."),
		BAD("exec\0a\0distro=abcdefghijklmnopqrstuvwxyz012345"),
		BAD("shell\00024\00080\0tty=24x80"), BAD("shell\00024\0user=x"),
		BAD("exec\0a\0b\0c\0d"), BAD("watch"), BAD("watch\0a\0b"),
		BAD("shutdown"),
		BAD("shutdown\0"), BAD("shutdown\0now"),
		BAD("shutdown\0reboot\0x"), BAD("shell"), BAD("shell\00024"),
		BAD("shell\00024\0"), BAD("shell\0000\00080"),
		BAD("shell\00024\00065536"), BAD("shell\000-1\00080"),
		BAD("shell\00024\00080x"), BAD("shell\000 24\00080"),
		BAD("shell\00024\00099999999999999999999"),
		BAD("shell\00024\00080\0x"), BAD("\xff\xfe"),
		BAD("freeze\0"), BAD("mount\0x"), BAD("fork"), BAD("fork\0n"),
		BAD("fork\0\0" SEED "\0"), BAD("fork\0n\0" SEED "0\0"),
		BAD("fork\0n\0" SEED), BAD("fork\0n\0" SEED "\0\0"),
		BAD("fork\0n\0"),
		BAD("fork\0n\0X123456789abcdef0123456789abcdef"
		    "0123456789abcdef0123456789abcdef\0"),
		BAD("fork\0" SEED "0\0" SEED "\0"),
		BAD("shell\00024\00080\0x\0"), BAD("exec\0a\0b\0c"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse(bad[i].text, bad[i].len).verb,
				 AGENT_VERB_BAD);
	}
}

static void test_frame_by_bytes(void **state)
{
	static const uint8_t bytes[] = { 3, 2, 0, 0, 0, 'h', 'i',
					 5, 4, 0, 0, 0, 30, 0, 100, 1,
					 3, 0, 0, 0, 0 };
	struct agent_frame f;
	unsigned int frames = 0;

	(void)state;
	parser.have = 0;
	for (size_t i = 0; i < sizeof(bytes); i++) {
		feed(&bytes[i], 1);
		if (agent_parse_frame(&parser, &f) != AGENT_PARSE_FRAME) {
			continue;
		}
		frames++;
		if (frames == 1) {
			assert_int_equal(i, 6);
			assert_int_equal(f.type, AGENT_STDIN);
			assert_int_equal(f.length, 2);
			assert_memory_equal(f.payload, "hi", 2);
		} else if (frames == 2) {
			assert_int_equal(f.type, AGENT_WINDOW);
			assert_int_equal(agent_get_le16(f.payload), 30);
			assert_int_equal(agent_get_le16(f.payload + 2), 356);
		}
		agent_parser_drop(&parser, &f);
	}
	assert_int_equal(frames, 3);
	assert_int_equal(parser.have, 0);
}

static void test_largest_frame(void **state)
{
	static uint8_t payload[AGENT_PAYLOAD_MAX];
	uint8_t header[AGENT_HEADER];
	struct agent_frame f;
	uint8_t *where;

	(void)state;
	parser.have = 0;
	agent_frame_header(header, AGENT_STDIN, AGENT_PAYLOAD_MAX);
	feed(header, sizeof(header));
	feed(payload, sizeof(payload) - 1);
	assert_int_equal(agent_parse_frame(&parser, &f), AGENT_PARSE_MORE);
	assert_int_equal(agent_parser_room(&parser, &where), 1);
	feed(payload, 1);
	assert_int_equal(agent_parse_frame(&parser, &f), AGENT_PARSE_FRAME);
	agent_parser_drop(&parser, &f);

	agent_frame_header(header, AGENT_STDIN, AGENT_PAYLOAD_MAX + 1);
	feed(header, sizeof(header));
	assert_int_equal(agent_parse_frame(&parser, &f), AGENT_PARSE_BAD);
}

static void test_refused_frames(void **state)
{
	static const uint8_t bad[][AGENT_HEADER] = {
		{ 0, 0, 0, 0, 0 }, { 1, 0, 0, 0, 0 }, { 2, 1, 0, 0, 0 },
		{ 4, 4, 0, 0, 0 }, { 6, 0, 0, 0, 0 }, { 255, 0, 0, 0, 0 },
		{ 5, 0, 0, 0, 0 }, { 5, 5, 0, 0, 0 }, { 3, 0, 0, 0, 128 },
		{ 8, 0, 0, 0, 0 }, { 8, 2, 0, 0, 0 }, { 9, 4, 0, 0, 0 },
	};
	struct agent_frame f;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		parser.have = 0;
		feed(bad[i], sizeof(bad[i]));
		assert_int_equal(agent_parse_frame(&parser, &f),
				 AGENT_PARSE_BAD);
	}
}

/* Words that requests are made of, in any order. */
static void test_random_options(void **state)
{
	static const char *const words[] = {
		"exec", "shell", "24", "80", "user=", "user", "dir=/", "env=A=",
		"env=", "tty=1x1", "tty=", "x", "=", "distro=a", "", "distro",
	};
	struct agent_request req;
	char text[128];

	(void)state;
	srandom(2);
	for (int round = 0; round < 50000; round++) {
		size_t len = 0, count = 1 + (size_t)random() % 9;

		for (size_t i = 0; i < count; i++) {
			const char *word = words[random() % 16];

			if (i > 0 && random() % 8) {
				text[len++] = '\0';
			}
			memcpy(text + len, word, strlen(word));
			len += strlen(word);
		}
		text[len] = '\0';
		agent_parse_request(text, len, &req);
		assert_true((req.verb == AGENT_VERB_BAD) == (req.error != NULL));
		assert_true(!req.tty || (req.rows && req.cols) || req.error);
	}
}

/* Any bytes at all: the sanitizers watch, and it always gets on or ends. */
static void test_random_bytes(void **state)
{
	struct agent_request req;
	struct agent_frame f;
	char text[64];

	(void)state;
	srandom(1);
	for (int round = 0; round < 20000; round++) {
		size_t len = (size_t)random() % (sizeof(text) - 1);
		enum agent_parse result;

		for (size_t i = 0; i < len; i++) {
			text[i] = (char)(random() % 4 ? random() % 8 :
					 random());
		}
		text[len] = '\0';
		parser.have = 0;
		feed(text, len);
		do {
			result = agent_parse_frame(&parser, &f);
			if (result == AGENT_PARSE_FRAME) {
				assert_true(f.length <= parser.have);
				agent_parser_drop(&parser, &f);
			}
		} while (result == AGENT_PARSE_FRAME);
		agent_parse_request(text, len, &req);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_requests),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_many_variables),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_random_options),
		cmocka_unit_test(test_frame_by_bytes),
		cmocka_unit_test(test_largest_frame),
		cmocka_unit_test(test_refused_frames),
		cmocka_unit_test(test_random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
