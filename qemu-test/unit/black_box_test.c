/* SPDX-License-Identifier: MIT */
/* What the loader reads of the last run's black box: whole, cut off anywhere, and
 * whatever memory may hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hypervisor/include/vm_exit.h"
#include "proto/black_box.h"

#define CPUS	2u
#define ROOM	(sizeof(struct black_box) + CPUS * sizeof(struct box_cpu))

static struct black_box *box;
static struct box_host *host;
static struct black_box_read r;

static struct {
	struct black_box_out out;
	size_t size;
	char text[1 << 20];
} told;

static void take(struct black_box_out *out, const char *text, size_t size)
{
	(void)out;
	assert_true(size > 0 && told.size + size < sizeof(told.text));
	memcpy(told.text + told.size, text, size);
	told.size += size;
	told.text[told.size] = '\0';
}

static int make(void **state)
{
	(void)state;
	free(box);
	free(host);
	box = calloc(1, ROOM);
	host = calloc(1, sizeof(*host));
	box->magic = BOX_MAGIC;
	box->version = BOX_VERSION;
	box->cpus = CPUS;
	box->boots = 7;
	box->sum = black_box_sum(box);
	return 0;
}

static void say(struct box_log *log, const char *text)
{
	for (; *text; text++) {
		box_put(log, *text);
	}
}

/* Reads and tells all of it; every character can be shown. */
static const char *tell(void)
{
	r = (struct black_box_read){ .box = box, .host = host, .watchdog = r.watchdog };
	black_box_look(&r);
	told.size = 0;
	told.out.text = take;
	black_box_tell(&r, &told.out);
	for (size_t i = 0; i < told.size; i++) {
		assert_true(told.text[i] == '\n' || (told.text[i] >= ' ' && told.text[i] <= '~'));
	}
	return told.text;
}

static void expect(const char *stage, const char *cause)
{
	tell();
	assert_string_equal(r.stage, stage);
	assert_string_equal(r.cause, cause);
}

static void causes(void **state)
{
	(void)state;
	expect("unknown", "a reset without a word: from outside, or a triple fault on the way to "
	       "the next stage");
	say(&box->log, "isthmus: stage 10 firmware\nno isthmus: stage 99 x\n");
	say(&box->log, "isthmus: stage 48 partitions built\nisthmus: stage 5");
	expect("5", "a reset without a word: from outside, or a triple fault on the way to the "
	       "next stage");
	say(&box->log, "0 entering the host partition\n");
	box->cpu[1].doing = BOX_HYPERVISOR;
	expect("50 entering the host partition", "a reset without a word: a triple fault in the "
	       "hypervisor, or from outside while it hung");
	r.watchdog = true;
	expect("50 entering the host partition", "the chipset's watchdog has reset the machine: "
	       "CPU 0, or all, did nothing any more, or a triple fault came before");
	r.watchdog = false;
	/* one that it has gone on after */
	say(&host->log, "isthmus: FAILED stage 62 volume ready: no disk\n"
	    "isthmus: stage 66 linux started\n");
	expect("66 linux started", "a reset without a word: a triple fault in the hypervisor, or "
	       "from outside while it hung");
	say(&host->log, "\nisthmus: FAILED stage 68 agent ready: host-bridge crashed: page fault "
	    "(vector 14)\n  rax 0\n");
	expect("68 agent ready", "host-bridge crashed: page fault (vector 14)");
	say(&box->log, "\n\x1e" "0123456789abcdefisthmus: PANIC in the hypervisor: it: all\nRIP");
	expect("66 linux started", "panic in the hypervisor: it: all");
	assert_null(strstr(tell(), "0123456789abcdef"));
	host->end = BOX_CLEAN;
	expect("66 linux started", "");
}

/* What others have said is not taken for ours, and harms no terminal. */
static void others_words(void **state)
{
	(void)state;
	say(&box->log, "isthmus: stage 12 manifest\nhe says: isthmus: stage 99 x\n");
	say(&host->log, "\x1b[2J\x80\x7f isthmus: stage 98 x\n");
	expect("12 manifest", "a reset without a word: from outside, or a triple fault on the way "
	       "to the next stage");
	assert_string_equal(r.host_log, "?[2J?? isthmus: stage 98 x\n");
}

static void failed_stages(void **state)
{
	(void)state;
	say(&box->log, "isthmus: stage 13 modules\n"
	    "isthmus: FAILED stage 13 modules: no such file: x\n");
	expect("13 modules", "no such file: x");
	assert_non_null(strstr(tell(), "\nboots since the machine was off: 7\n"));
	say(&box->log, "isthmus: FAILED stage 44\n");
	expect("44", "it failed");
}

/* A line of any length is cut where it has no room. */
static void long_lines(void **state)
{
	char text[2 * BLACK_BOX_LINE] = "";

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	say(&box->log, "isthmus: FAILED stage 44 ");
	say(&box->log, text);
	say(&box->log, ": ");
	say(&box->log, text);
	tell();
	assert_int_equal(strlen(r.stage), BLACK_BOX_LINE - 1);
	assert_string_equal(r.cause, "it failed");
	say(&box->log, "\nisthmus: FAILED stage 45 b: ");
	say(&box->log, text);
	tell();
	assert_string_equal(r.stage, "45 b");
	assert_int_equal(strlen(r.cause), BLACK_BOX_LINE - 1 - strlen("45 b: "));
	say(&box->log, "\nisthmus: PANIC in the hypervisor: ");
	say(&box->log, text);
	tell();
	assert_int_equal(strlen(r.cause), BLACK_BOX_LINE - 1);
}

/* Text that comes out as it went in, from the oldest block that is whole. */
static void rings(void **state)
{
	static char all[3 * BOX_TEXT];
	size_t n = 0;

	(void)state;
	for (unsigned i = 0; n < sizeof(all) - 32; i++) {
		char line[32];
		size_t more = (size_t)snprintf(line, sizeof(line), "line %u of it\n", i);

		memcpy(all + n, line, more);
		n += more;
		say(&box->log, line);
		if (i % 97 == 0 || n % BOX_BLOCK < 3) {
			r.box = box;
			r.host = host;
			black_box_look(&r);
			size_t shown = strlen(r.log);

			assert_memory_equal(r.log, all + n - shown, shown);
			assert_true(shown == n || shown > BOX_TEXT - 2 * BOX_BLOCK);
		}
	}
}

/* Another writer goes on where one was cut off: nothing of that is damage. */
static void goes_on(const struct box_log *cut, unsigned whole)
{
	struct box_log was = box->log;

	box->log = *cut;
	box_go_on(&box->log);
	box_go_on(&box->log);
	say(&box->log, "yz");
	tell();
	assert_int_equal(strlen(r.log), whole + 2);
	assert_string_equal(r.log + whole, "yz");
	assert_null(strstr(r.log, "damaged"));
	box->log = was;
}

/* A writer that was cut off between any two of its stores. */
static void torn(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2 * BOX_BLOCK + 3; i++) {
		struct box_log was = box->log;

		box_put(&box->log, 'x');
		struct box_log now = box->log, *l = &box->log;

		*l = was;
		memcpy(l->text, now.text, sizeof(l->text));
		tell();
		assert_int_equal(strlen(r.log), i);
		assert_null(strstr(r.log, "damaged"));
		goes_on(l, i);
		memcpy(l->sum, now.sum, sizeof(l->sum));
		tell();
		assert_int_equal(strlen(r.log), i + 1);
		assert_null(strstr(r.log, "damaged"));
		goes_on(l, i + 1);
		*l = now;
		goes_on(l, i + 1);
	}
}

static void damage(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		say(&box->log, "0123456789\n");
	}
	for (unsigned at = 0; at < 11000; at += 37) {
		box->log.text[at] ^= 1;
		assert_non_null(strstr(tell(), "[damaged]"));
		assert_true(strlen(r.log) < 11000 - BOX_BLOCK / 2);
		box->log.text[at] ^= 1;
	}
	assert_null(strstr(tell(), "[damaged]"));
}

static void heads(void **state)
{
	(void)state;
	assert_true(black_box_is(box, ROOM));
	assert_false(black_box_is(box, ROOM - 1));
	assert_false(black_box_is(box, 8));
	for (size_t bit = 0; bit < 8 * offsetof(struct black_box, reserved); bit++) {
		((uint8_t *)box)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(black_box_is(box, ROOM));
		((uint8_t *)box)[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (uint32_t cpus = 0; cpus < 70; cpus++) {
		box->cpus = cpus == 69 ? ~0u : cpus;
		box->sum = black_box_sum(box);
		assert_int_equal(black_box_is(box, ROOM), cpus <= CPUS);
		assert_int_equal(black_box_is(box, ~0ull), cpus <= 64);
	}
}

static void exits(void **state)
{
	struct box_cpu *cpu = &box->cpu[1];
	const char *text;

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		struct box_exit *x = &cpu->exit[i % BOX_EXITS];

		*x = (struct box_exit){ .tsc = 1000 + i, .rip = 0xabc, .detail = 0xdef,
					.what = i % 30 | 2 << 8 | 1 << 16 };
		x->sum = box_exit_sum(x);
		cpu->count++;
	}
	cpu->doing = BOX_GUEST;
	cpu->exit[5].rip ^= 2;
	text = tell();
	assert_non_null(strstr(text, "CPU 0, starting; its last exits of 0 "));
	assert_non_null(strstr(text, "CPU 1, in a guest; its last exits of 300 "));
	assert_null(strstr(text, "  1043 "));
	assert_non_null(strstr(text, "\n  1044 2/1 "));
	assert_non_null(strstr(text, "\n  1276 2/1 cpuid at 0xabc 0xdef\n"));
	assert_non_null(strstr(text, "\n  1299 2/1 ? at 0xabc 0xdef\n  damaged: 1\n"));
	assert_int_equal(VM_EXIT_COUNT, 22);	/* names are in proto/black_box.c */
	assert_int_equal(VM_EXIT_CPUID, 276 % 30);
}

/* Whatever was there: nothing but text comes of it, and not without end. */
static void garbage(void **state)
{
	(void)state;
	srandom(1);
	for (unsigned round = 0; round < 60; round++) {
		struct black_box head = { .magic = box->magic, .version = box->version,
					  .cpus = box->cpus, .boots = box->boots };

		for (size_t i = 0; i < ROOM; i++) {
			((uint8_t *)box)[i] = (uint8_t)random();
		}
		for (size_t i = 0; i < sizeof(*host); i++) {
			((uint8_t *)host)[i] = (uint8_t)random();
		}
		assert_false(black_box_is(box, ROOM));
		memcpy(box, &head, offsetof(struct black_box, sum));
		box->sum = black_box_sum(box);
		assert_true(black_box_is(box, ROOM));
		box->log.head = round % 3 ? box->log.head : ~0ull - round;
		box->cpu[0].count = round % 3 ? box->cpu[0].count : ~0ull - round;
		tell();
		assert_true(strlen(r.log) < 32 && told.size < 4096);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(causes, make),
		cmocka_unit_test_setup(others_words, make),
		cmocka_unit_test_setup(failed_stages, make),
		cmocka_unit_test_setup(long_lines, make),
		cmocka_unit_test_setup(rings, make),
		cmocka_unit_test_setup(torn, make),
		cmocka_unit_test_setup(damage, make),
		cmocka_unit_test_setup(heads, make),
		cmocka_unit_test_setup(exits, make),
		cmocka_unit_test_setup(garbage, make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
