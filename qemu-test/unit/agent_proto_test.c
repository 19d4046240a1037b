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

static void test_bad_requests(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} bad[] = {
#define BAD(t) { t, sizeof(t) - 1 }
		BAD(""), BAD("\0"), BAD("pin"), BAD("pings"), BAD("ping\0"),
		BAD("ping\0x"), BAD("exec"), BAD("exec\0a\0b"),
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

static void feed(const void *data, size_t len)
{
	uint8_t *where;

	assert_true(agent_parser_room(&parser, &where) >= len);
	memcpy(where, data, len);
	parser.have += len;
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
		cmocka_unit_test(test_frame_by_bytes),
		cmocka_unit_test(test_largest_frame),
		cmocka_unit_test(test_refused_frames),
		cmocka_unit_test(test_random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
