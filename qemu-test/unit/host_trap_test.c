/* SPDX-License-Identifier: MIT */
/* The last words of host-bridge, when the line's queue is full of others. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "hypervisor/include/abi/black_box.h"
#include "host-bridge/rt/black_box.h"
#include "host-bridge/rt/cpu.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/rt/sink.h"
#include "host-bridge/rt/stage.h"

#define ROOM	1000u

/* What the linker script has. */
uint8_t image_start[1], text_end[1], stack_guard[1], stack_bottom[1];
uint8_t stack_top[1];

static char queue[ROOM], wire[4 * ROOM];
static size_t queued, sent;
static sigjmp_buf halted;

struct trap_frame;
void trap_dump(const struct trap_frame *frame) __attribute__((noreturn));

/* As much of it as there is room for. */
static void text(const char *bytes, size_t len)
{
	size_t n = len < ROOM - queued ? len : ROOM - queued;

	memcpy(queue + queued, bytes, n);
	queued += n;
}

static void drain(void)
{
	assert_true(sent + queued < sizeof(wire));
	memcpy(wire + sent, queue, queued);
	sent += queued;
	queued = 0;
}

static const struct sink sink = { .text = text, .drain = drain };

const char *stage_mark(void)
{
	return "MARK";
}

enum stage stage_next(void)
{
	return STAGE_VOLUME_READY;
}

const char *stage_name(enum stage stage)
{
	(void)stage;
	return "volume ready";
}

/* CLI, which the build machine does not let us. */
static void on_halt(int signal)
{
	(void)signal;
	siglongjmp(halted, 1);
}

static void last_words(void **state)
{
	static char before[ROOM];

	(void)state;
	sink_set(&sink);
	memset(before, 'x', sizeof(before));
	text(before, sizeof(before));
	signal(SIGSEGV, on_halt);
	if (sigsetjmp(halted, 1) == 0) {
		cpu_fatal("no %s", "more");
	}
	signal(SIGSEGV, SIG_DFL);
	assert_memory_equal(wire, before, sizeof(before));
	assert_string_equal(wire + sizeof(before), "\nMARKisthmus: FAILED "
			    "stage 62 volume ready: no more\n");
}

static unsigned panics;

static void panicked(void)
{
	panics++;
}

/* As trap_entry.S leaves it. */
static void take_nmi(void)
{
	uint64_t frame[22] = { [15] = 2 };

	if (sigsetjmp(halted, 1) == 0) {
		trap_dump((const struct trap_frame *)frame);
	}
}

/* Then the line is not ours any more; and we stop as well, whatever comes. */
static void the_hypervisor_has_ended(void **state)
{
	(void)state;
	sent = 0;
	sink_set(&sink);
	sink_set_last(NULL, panicked);
	signal(SIGSEGV, on_halt);
	take_nmi();
	take_nmi();
	signal(SIGSEGV, SIG_DFL);
	assert_int_equal(panics, 1);
	assert_int_equal(sent + queued, 0);
}

static struct box_host box;
static unsigned resets;

static void reset(void)
{
	assert_int_equal(box.end, BOX_CRASHED);
	resets++;
}

/* What is said, and how it ends, is kept; without a box nothing is. */
static void black_box(void **state)
{
	static struct host_info info = { .module_count = 2, .modules = {
		{ .name = "volume", .size = 1 << 20 },
		{ .name = HOST_BOX_MODULE, .size = sizeof(box) - 1 } } };

	(void)state;
	info.modules[1].gpa = (uintptr_t)&box;
	black_box_init(&info);
	black_box_say("nowhere");
	black_box_clean();
	info.modules[1].size++;
	black_box_init(&info);
	assert_int_equal(box.log.head, 0);
	assert_int_equal(box.end, 0);
	sink_set(&sink);
	queued = sent = 0;
	notice("isthmus: %u", 7);
	signal(SIGSEGV, on_halt);
	take_nmi();
	assert_int_equal(box.end, 0);
	black_box_set_reset(reset);
	if (sigsetjmp(halted, 1) == 0) {
		cpu_fatal("no %s", "more");
	}
	signal(SIGSEGV, SIG_DFL);
	assert_int_equal(resets, 1);
	assert_string_equal(box.log.text, "isthmus: 7\n\nMARKisthmus: FAILED "
			    "stage 62 volume ready: no more\n");
	black_box_clean();
	assert_int_equal(box.end, BOX_CLEAN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(last_words),
		cmocka_unit_test(the_hypervisor_has_ended),
		cmocka_unit_test(black_box),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
