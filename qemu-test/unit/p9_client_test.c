/* SPDX-License-Identifier: MIT */
/*
 * The console's commands on Linux's files when Linux means harm: lengths that
 * cannot be, directories without end, answers to what nobody asked. Each must
 * end with a word to the user, and leave the next command working.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host-bridge/ui/words.h"
#include "qemu-test/unit/hostile_linux.h"

#define PROTOCOL_ERROR	"Protocol error"

/* What the server has: one directory, whose listing a test can spoil. */
static struct {
	uint32_t entries;	/* of the directory */
	size_t name_len;	/* of each; 0: "name-N" */
	char name_byte;
	uint32_t count_off;	/* what Rreaddir's count is too much */
	uint32_t data_off;	/* what Rread's count is too much */
	uint32_t mode;
	const char *link;	/* where every name but the root leads */
	uint8_t type_off, tag_off;
	uint32_t size_off;
} linux_has;

static uint8_t *answer_start;
static struct p9_writer w;

static void put_entry(uint64_t number)
{
	const struct p9_qid qid = { .path = number + 10 };
	static char name[65536];
	size_t len = linux_has.name_len;

	if (len == 0) {
		len = (size_t)sprintf(name, "name-%u", (unsigned)number);
	} else {
		memset(name, linux_has.name_byte, len);
	}
	p9_putqid(&w, &qid);
	p9_put64(&w, number + 1);
	p9_put8(&w, 8);
	p9_putstr(&w, name, len);
}

static void put_listing(const uint8_t *request)
{
	uint64_t offset;
	uint32_t count;
	uint8_t *at = w.at;

	memcpy(&offset, request + 11, sizeof(offset));
	p9_put32(&w, 0);
	for (unsigned n = 0; n < 200 && offset + n < linux_has.entries; n++) {
		if ((size_t)(w.at - at) + linux_has.name_len > 65000) {
			break;
		}
		put_entry(offset + n);
	}
	count = (uint32_t)(w.at - at - 4) + linux_has.count_off;
	memcpy(at, &count, sizeof(count));
}

static void put_body(uint8_t type, const uint8_t *request)
{
	struct p9_qid qid = { .type = linux_has.link ? P9_QTSYMLINK : 0 };
	const struct p9_attr attr = { .mode = linux_has.mode, .size = 5 };
	uint16_t names;

	switch (type) {
	case P9_TVERSION:
		p9_put32(&w, 65536 + P9_IOHDR);
		p9_putstr(&w, P9_VERSION, strlen(P9_VERSION));
		break;
	case P9_TWALK:
		memcpy(&names, request + 15, sizeof(names));
		p9_put16(&w, names);
		for (; names > 0; names--) {
			p9_putqid(&w, &qid);
		}
		break;
	case P9_TREADLINK:
		p9_putstr(&w, linux_has.link, strlen(linux_has.link));
		break;
	case P9_TGETATTR:
		p9_putattr(&w, &attr);
		break;
	case P9_TREADDIR:
		put_listing(request);
		break;
	case P9_TREAD:
		p9_put32(&w, 5 + linux_has.data_off);
		p9_put(&w, "hello", 5);
		break;
	default:
		p9_putqid(&w, &qid);
		p9_put32(&w, 0);
	}
}

static size_t answer(const uint8_t *request, size_t len, uint8_t *to,
		     size_t room)
{
	uint16_t tag;
	uint32_t size;
	size_t n;

	assert_true(len >= P9_HEADER);
	memcpy(&size, request, sizeof(size));
	assert_int_equal(size, len);
	memcpy(&tag, request + 5, sizeof(tag));
	answer_start = to;
	p9_begin(&w, to, room, (uint8_t)(request[4] + 1 + linux_has.type_off),
		 (uint16_t)(tag + linux_has.tag_off));
	put_body(request[4], request);
	n = p9_end(&w);
	size = (uint32_t)n + linux_has.size_off;
	memcpy(to, &size, sizeof(size));
	return n;
}

/* What the commands print, by way of a file in place of standard output. */
static char *printed(const char *line)
{
	static char text[24u << 20];
	int out = dup(STDOUT_FILENO);
	FILE *file = tmpfile();
	size_t n;

	assert_non_null(file);
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	hostile_command(answer, line);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	rewind(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	fclose(file);
	return text;
}

static int setup(void **state)
{
	(void)state;
	memset(&linux_has, 0, sizeof(linux_has));
	linux_has.name_byte = 'A';
	linux_has.mode = 0100644;
	linux_has.entries = 3;
	hostile_patience = 0;
	return 0;
}

static void test_well_meaning(void **state)
{
	const char *text;

	(void)state;
	text = printed("ls linux:/dir");
	assert_non_null(strstr(text, "name-0\n"));
	assert_non_null(strstr(text, "name-2\n"));
	linux_has.name_len = P9_NAME_MAX;
	assert_non_null(strstr(printed("ls linux:/dir"), "AAAA\n"));
}

/* A name's length is 16 bits of Linux's choice; its bytes are too. */
static void test_names(void **state)
{
	static const size_t lengths[] = { P9_NAME_MAX + 1, 4096, 8192, 60000 };
	struct completion found;

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		linux_has.name_len = lengths[i];
		assert_non_null(strstr(printed("ls linux:/"), PROTOCOL_ERROR));
		hostile_complete(answer, "ls", "linux:/", &found);
		assert_int_equal(found.count, 0);
	}
	linux_has.name_len = 3;
	linux_has.name_byte = '/';
	assert_non_null(strstr(printed("ls linux:/"), PROTOCOL_ERROR));
	linux_has.name_byte = '\0';
	assert_non_null(strstr(printed("ls linux:/"), PROTOCOL_ERROR));
	/* The next one is told the truth. */
	linux_has.name_len = 0;
	assert_non_null(strstr(printed("ls linux:/"), "name-1\n"));
}

static void test_counts(void **state)
{
	(void)state;
	for (uint32_t off = 1; off != 0; off <<= 1) {
		linux_has.count_off = off;
		assert_non_null(strstr(printed("ls linux:/"), PROTOCOL_ERROR));
		linux_has.count_off = 0 - off;
		assert_non_null(strstr(printed("ls linux:/"), PROTOCOL_ERROR));
		linux_has.count_off = 0;
		linux_has.data_off = off;
		assert_non_null(strstr(printed("cat linux:/f"),
				       PROTOCOL_ERROR));
		linux_has.data_off = 0;
		linux_has.size_off = off;
		assert_non_null(strstr(printed("ls linux:/"), "linux:/: "));
		linux_has.size_off = 0;
	}
}

/* A directory that has no end is shown in part, and said to be. */
static void test_no_end(void **state)
{
	struct completion found;
	const char *text;

	(void)state;
	linux_has.entries = UINT32_MAX;
	linux_has.name_len = P9_NAME_MAX;
	text = printed("ls linux:/");
	assert_non_null(strstr(text, "linux:/: there are more; these are "
			       "65536 of them\n"));
	hostile_complete(answer, "ls", "linux:/", &found);
	assert_int_equal(found.count, 0);
	/* Whoever has seen enough is heard. */
	hostile_patience = 50;
	assert_non_null(strstr(printed("ls linux:/"), "interrupted"));
	assert_true(hostile_turns < 60);
}

static void test_links(void **state)
{
	static char text[40000];

	(void)state;
	linux_has.link = "again";
	assert_non_null(strstr(printed("cat linux:/f"),
			       strerror(ELOOP)));
	memset(text, 'x', sizeof(text) - 1);
	linux_has.link = text;
	assert_non_null(strstr(printed("cat linux:/f"),
			       strerror(ENAMETOOLONG)));
	linux_has.link = "";
	assert_non_null(strstr(printed("cat linux:/f"),
			       strerror(ENAMETOOLONG)));
}

static void test_another_answer(void **state)
{
	(void)state;
	linux_has.type_off = 2;
	assert_non_null(strstr(printed("ls linux:/"), PROTOCOL_ERROR));
	linux_has.type_off = 0;
	linux_has.tag_off = 1;
	assert_non_null(strstr(printed("ls linux:/"), PROTOCOL_ERROR));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_well_meaning),
		TEST(test_names),
		TEST(test_counts),
		TEST(test_no_end),
		TEST(test_links),
		TEST(test_another_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
