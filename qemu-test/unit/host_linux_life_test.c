/* SPDX-License-Identifier: MIT */
/*
 * Two Linux partitions side by side, on hypercalls that are answered here: what
 * becomes of one is not the other's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "host-bridge/dev/serial.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/guest/linux_acpi.h"
#include "host-bridge/guest/linux_image.h"
#include "host-bridge/rt/legacy.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/rt/stage.h"
#include "host_bzimage.h"
#include "host_hc.h"

#define RAM	(64 * MIB)

/* What the linker script has. */
uint8_t stage_small[64 << 10] __attribute__((aligned(4096)));
uint8_t stage_big[2 << 20] __attribute__((aligned(4096)));
__asm__(".pushsection .rodata\n"
	".globl linux_dsdt, linux_dsdt_end\n"
	"linux_dsdt: .skip 64\n"
	"linux_dsdt_end:\n"
	".popsection\n");

/* By partition number, 1 and 2. */
static struct {
	unsigned donated, starts, stops;
	bool crashed, stopped, frozen;
	char line[80];			/* the command line's beginning */
	bool children;		/* it is a template that has some */
	unsigned freezes;
	uint64_t child_of;
} seen[3];
/* What freezing and forking is answered with; freezing first so many times with
 * HC_EAGAIN. */
static int64_t fork_status;
static unsigned unparked;
/* What outlives a program; here the test, too, for its objects stay. As it was when a
 * Linux was being frozen. */
static uint8_t memory[8 * MIB], meanwhile[sizeof(memory)];
static uint64_t events;
static struct hc_ioreq *access;

static struct config config;
static struct guest guest[2];
static uint8_t kernel[FILE_SIZE];
static struct host_module module;

__attribute__((target("general-regs-only")))
int64_t hypercall(enum hypercall nr, struct hc_regs *regs)
{
	switch (nr) {
	case HC_WAIT:
		regs->rdi = events;
		events = 0;
		return HC_OK;
	case HC_QUERY:
		if (regs->rdi == HC_QUERY_MEMORY) {
			regs->rsi = RAM;
			regs->r10 = 1;
			return HC_OK;
		}
		if (regs->rdi == HC_QUERY_STATE) {
			regs->rdi = seen[regs->rsi].stopped ?
				    HC_STATE_STOPPED :
				    seen[regs->rsi].frozen ?
				    HC_STATE_FROZEN :
				    seen[regs->rsi].crashed ?
				    HC_STATE_CRASHED : HC_STATE_RUNNING;
			regs->rsi = HC_REASON_TRIPLE_FAULT;
			return HC_OK;
		}
		return HC_ENOENT;
	case HC_MEM_DONATE:
		seen[regs->rdi].donated += (unsigned)regs->r10;
		if (regs->rdx == LINUX_LOW_GPA) {
			memcpy(seen[regs->rdi].line, (uint8_t *)regs->rsi +
			       LINUX_CMDLINE_GPA - LINUX_LOW_GPA, 79);
		}
		return HC_OK;
	case HC_PARTITION_START:
		seen[regs->rdi].starts++;
		seen[regs->rdi].crashed = false;
		return HC_OK;
	case HC_PARTITION_STOP:
		seen[regs->rdi].stops++;
		return seen[regs->rdi].children ? HC_EBUSY : HC_OK;
	case HC_FORK:
		if (regs->rdi == HC_FORK_FREEZE) {
			memcpy(meanwhile, memory, sizeof(memory));
			seen[regs->rsi].freezes++;
			return unparked > 0 ? unparked--, HC_EAGAIN :
					      fork_status;
		}
		seen[regs->rdx].child_of = regs->rsi;
		return fork_status;
	case HC_IOREQ_GET:
		if (!access) {
			return HC_ENOENT;
		}
		regs->rdi = access->handle;
		regs->rsi = access->word;
		regs->rdx = access->value;
		access = NULL;
		return HC_OK;
	default:
		return HC_OK;
	}
}

const struct host_module *config_module(const struct config *use,
					const char *name)
{
	(void)use;
	return name ? &module : NULL;
}

void notice(const char *fmt, ...)
{
	(void)fmt;
}

void stage_reached_by(enum stage stage, const char *who)
{
	(void)stage;
	(void)who;
}

void stage_failed(enum stage stage, const char *fmt, ...)
{
	(void)stage;
	(void)fmt;
}

void serial_write(enum serial_line line, const void *data, size_t len)
{
	(void)line;
	(void)data;
	(void)len;
}

bool serial_busy(enum serial_line line)
{
	(void)line;
	return false;
}

void serial_on_drained(enum serial_line line, void (*fn)(void *arg), void *arg)
{
	(void)line;
	(void)fn;
	(void)arg;
}

static void crash(unsigned id)
{
	seen[id].crashed = true;
	events = HC_EVENT_PARTITION;
	loop_step(LOOP_FOREVER);
}

/* The first is started again after a crash, the second is not. */
static int setup(void **state)
{
	static bool once;

	(void)state;
	if (!once) {
		loop_init(1000000000);
		bzimage_make(kernel);
		module.gpa = (uintptr_t)kernel;
		module.size = sizeof(kernel);
		for (unsigned i = 0; i < 2; i++) {
			config.guests[i] = (struct config_guest){
				.id = i + 1, .bootargs = "", .kernel = "k",
			};
			linux_init(&guest[i], &config, &config.guests[i],
				   i == 0);
		}
		once = true;
	}
	for (unsigned i = 0; i < 2; i++) {
		linux_stop(&guest[i]);
		assert_true(linux_start(&guest[i]));
		seen[i + 1].starts = seen[i + 1].stops = 0;
	}
	return 0;
}

static void memory_goes_to_each(void **state)
{
	(void)state;
	linux_stop(&guest[1]);
	seen[1].donated = seen[2].donated = 0;
	assert_true(linux_start(&guest[1]));
	assert_int_equal(seen[1].donated, 0);
	assert_in_range(seen[2].donated, 10, 1000);
	assert_false(linux_start(&guest[1]));
}

static void a_crash_is_one_partitions(void **state)
{
	(void)state;
	linux_set_ready(&guest[1]);
	crash(1);
	assert_int_equal(seen[1].stops, 1);
	assert_int_equal(seen[1].starts, 1);
	assert_int_equal(linux_state(&guest[0]), LINUX_RUNNING);
	assert_int_equal(seen[2].stops, 0);
	assert_true(linux_ready(&guest[1]));
	assert_false(linux_ready(&guest[0]));
	crash(2);
	assert_int_equal(linux_state(&guest[1]), LINUX_FAILED);
	assert_false(linux_ready(&guest[1]));
	assert_int_equal(seen[2].starts, 0);
	assert_int_equal(seen[1].stops, 1);
}

static unsigned gone[2];

static void on_gone(void *arg)
{
	(*(unsigned *)arg)++;
}

/* Whoever had something for a Linux (files' locks, the last hold of a file) hears
 * whenever it is gone, and that it is the one: stopped, crashed, also if it is
 * started again; not when it was down. */
static void its_end_is_told(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		linux_on_down(&guest[i], on_gone, &gone[i]);
	}
	linux_stop(&guest[1]);
	assert_int_equal(gone[1], 1);
	linux_stop(&guest[1]);
	assert_int_equal(gone[1], 1);
	assert_true(linux_start(&guest[1]));
	crash(2);
	assert_int_equal(gone[1], 2);
	assert_int_equal(gone[0], 0);
	crash(1);
	assert_int_equal(linux_state(&guest[0]), LINUX_RUNNING);
	assert_int_equal(gone[0], 1);
	for (unsigned i = 0; i < 2; i++) {
		linux_on_down(&guest[i], NULL, NULL);
	}
}

/* The third quick one in a row keeps it down, whatever the other does. */
static void crashes_are_counted_apart(void **state)
{
	(void)state;
	crash(1);
	crash(2);
	crash(1);
	assert_int_equal(linux_state(&guest[0]), LINUX_RUNNING);
	crash(1);
	assert_int_equal(linux_state(&guest[0]), LINUX_FAILED);
	assert_true(linux_start(&guest[0]));
}

static void power_off_is_ones_own(void **state)
{
	struct hc_ioreq off = {
		.handle = 2u << 16,
		.word = LINUX_PORT_SLEEP_CTL | 1u << 16,
		.value = LINUX_SLEEP_ENABLE | LINUX_SLEEP_S5 << 2,
	};

	(void)state;
	access = &off;
	events = HC_EVENT_IOREQ;
	loop_step(LOOP_FOREVER);
	assert_int_equal(linux_state(&guest[1]), LINUX_STOPPED);
	assert_int_equal(seen[2].stops, 1);
	assert_int_equal(linux_state(&guest[0]), LINUX_RUNNING);
	assert_int_equal(seen[1].stops, 0);
}

/* The manifest's words, and ours before them. */
static void words_on_the_command_line(void **state)
{
	static char longest[LINUX_CMDLINE_SIZE];

	(void)state;
	config.guests[1].bootargs = "quiet";
	linux_stop(&guest[1]);
	assert_true(linux_start(&guest[1]));
	assert_string_equal(seen[2].line, "quiet");
	linux_words(&guest[1], "isthmus.net=x");
	linux_stop(&guest[1]);
	assert_true(linux_start(&guest[1]));
	assert_string_equal(seen[2].line, "isthmus.net=x quiet");
	/* Too long is refused, not cut. */
	memset(longest, 'x', sizeof(longest) - 1);
	config.guests[1].bootargs = longest;
	linux_stop(&guest[1]);
	assert_false(linux_start(&guest[1]));
	config.guests[1].bootargs = "";
	linux_words(&guest[1], NULL);
	assert_true(linux_start(&guest[1]));
}

/* A template does not run, has lost what it had of ours, and is not started; it is
 * stopped when it has no children. */
static void a_template_stays(void **state)
{
	(void)state;
	linux_on_down(&guest[0], on_gone, &gone[0]);
	gone[0] = 0;
	unparked = 3;
	fork_status = HC_EBUSY;
	assert_non_null(linux_freeze(&guest[0]));
	assert_int_equal(linux_state(&guest[0]), LINUX_RUNNING);
	unparked = 3;
	fork_status = HC_OK;
	seen[1].freezes = 0;
	linux_set_ready(&guest[0]);
	assert_null(linux_freeze(&guest[0]));
	assert_int_equal(seen[1].freezes, 4);
	assert_int_equal(linux_state(&guest[0]), LINUX_FROZEN);
	assert_false(linux_ready(&guest[0]));
	assert_int_equal(gone[0], 1);
	assert_non_null(linux_freeze(&guest[0]));
	assert_false(linux_start(&guest[0]));
	seen[1].children = true;
	assert_false(linux_stop(&guest[0]));
	assert_int_equal(linux_state(&guest[0]), LINUX_FROZEN);
	seen[1].children = false;
	assert_true(linux_stop(&guest[0]));
	assert_int_equal(linux_state(&guest[0]), LINUX_STOPPED);
	assert_int_equal(gone[0], 1);
	linux_on_down(&guest[0], NULL, NULL);
}

/* A child finds the devices as its template has set them up. It is no template, and
 * when it crashes it is gone, where its own kernel would be started again. */
static void a_child_lives_once(void **state)
{
	(void)state;
	assert_non_null(linux_fork(&guest[1], &guest[0]));	/* it runs */
	guest[1].io.pci.address = 0x80000810;
	assert_null(linux_freeze(&guest[1]));
	assert_non_null(linux_fork(&guest[1], &guest[0]));
	linux_stop(&guest[0]);
	fork_status = HC_EINVAL;
	assert_non_null(linux_fork(&guest[1], &guest[0]));
	assert_int_equal(linux_state(&guest[0]), LINUX_STOPPED);
	fork_status = HC_OK;
	assert_null(linux_fork(&guest[1], &guest[0]));
	assert_int_equal(seen[1].child_of, 2);
	assert_int_equal(linux_state(&guest[0]), LINUX_RUNNING);
	assert_int_equal(guest[0].io.pci.address, 0x80000810);
	assert_non_null(linux_freeze(&guest[0]));
	assert_false(linux_start(&guest[0]));
	seen[1].starts = 0;
	crash(1);
	assert_int_equal(linux_state(&guest[0]), LINUX_FAILED);
	assert_int_equal(seen[1].starts, 0);
	/* the next life is one of its own */
	assert_true(linux_start(&guest[0]));
	crash(1);
	assert_int_equal(linux_state(&guest[0]), LINUX_RUNNING);
	assert_true(linux_stop(&guest[1]));
}

/* There is no next program any more. */
static void forget_all(void)
{
	legacy_init(NULL, 0, 0);
	memset(memory, 0, sizeof(memory));
	for (unsigned i = 0; i < 2; i++) {
		guest[i].left = NULL;
		guest[i].io.saved = NULL;
	}
}

/* Another program goes on with what this one had: here, with objects of its own, each
 * of which is made once. */
static void another_program_follows(void **state)
{
	static struct guest next[2], third[2];
	struct hc_ioreq waits = { 1ull << 16, 0x3ff | 1 << 16, 0x5a };

	(void)state;
	legacy_init(memory, sizeof(memory), 0);
	for (unsigned i = 0; i < 2; i++) {
		linux_stop(&guest[i]);
		assert_true(linux_take_up(&guest[i]));
		assert_true(linux_start(&guest[i]));
	}
	linux_set_ready(&guest[0]);
	access = &waits;		/* to the scratch register */
	events = HC_EVENT_IOREQ;
	loop_step(0);
	assert_int_equal(guest[0].io.uart.scratch, 0x5a);
	/* the one runs, the other was being started */
	seen[2].stopped = true;
	legacy_init(memory, sizeof(memory), 1);
	for (unsigned i = 0; i < 2; i++) {
		linux_init(&next[i], &config, &config.guests[i], true);
		seen[i + 1].starts = seen[i + 1].stops = 0;
	}
	assert_false(linux_take_up(&next[0]));
	assert_int_equal(linux_state(&next[0]), LINUX_RUNNING);
	assert_true(linux_ready(&next[0]));
	assert_int_equal(next[0].io.uart.scratch, 0x5a);
	assert_int_equal(seen[1].stops, 0);
	assert_true(linux_take_up(&next[1]));
	assert_int_equal(linux_state(&next[1]), LINUX_STOPPED);
	assert_int_equal(seen[2].stops, 1);
	/* an event of before is not needed to find what waits */
	waits = (struct hc_ioreq){ 1ull << 16, 0x3ff | 1 << 16, 0xa5 };
	access = &waits;
	loop_step(0);
	assert_null(access);
	/* a child's bounds are not known */
	next[0].child = true;
	linux_leave(&next[0], false);
	legacy_init(memory, sizeof(memory), 2);
	linux_init(&third[0], &config, &config.guests[0], true);
	next[0].state = LINUX_STOPPED;
	assert_false(linux_take_up(&third[0]));
	assert_int_equal(linux_state(&third[0]), LINUX_STOPPED);
	assert_int_equal(seen[1].stops, 1);
	/* and one that somebody has stopped stays so */
	linux_stop(&next[1]);
	legacy_init(memory, sizeof(memory), 2);
	linux_init(&third[1], &config, &config.guests[1], true);
	assert_false(linux_take_up(&third[1]));
	forget_all();
}

/* The program ends while one is being frozen, of which some vCPUs may stand for good; and
 * when it is frozen. */
static void half_a_template(void **state)
{
	static struct guest others[3];	/* each is made once */

	(void)state;
	for (unsigned done = 0; done < 2; done++) {
		struct guest *next = &others[done];

		legacy_init(memory, sizeof(memory), 0);
		linux_stop(&guest[0]);
		assert_true(linux_take_up(&guest[0]));
		assert_true(linux_start(&guest[0]));
		linux_set_ready(&guest[0]);
		unparked = 2;
		assert_null(linux_freeze(&guest[0]));
		seen[1].frozen = done != 0;
		seen[1].stops = 0;
		if (!done) {
			memcpy(memory, meanwhile, sizeof(memory));
		}
		legacy_init(memory, sizeof(memory), 1);
		linux_init(next, &config, &config.guests[0], true);
		assert_int_equal(linux_take_up(next), !done);
		assert_int_equal(linux_state(next), done ? LINUX_FROZEN : LINUX_STOPPED);
		assert_int_equal(seen[1].stops, !done);
		/* it is no longer between, for the one after that */
		if (!done) {
			assert_true(linux_start(next));
			legacy_init(memory, sizeof(memory), 2);
			linux_init(&others[2], &config, &config.guests[0], true);
			assert_false(linux_take_up(&others[2]));
			assert_int_equal(linux_state(&others[2]), LINUX_RUNNING);
		}
		seen[1].frozen = false;
		forget_all();
	}
}

/* That Linux writes to its scratch register. */
static void scratch(unsigned id, unsigned value)
{
	struct hc_ioreq waits = { (uint64_t)id << 16, 0x3ff | 1 << 16, value };

	access = &waits;
	events = HC_EVENT_IOREQ;
	loop_step(0);
	assert_null(access);
}

/* Programs that follow one another, each with objects of its own. */
static struct guest programs[4][2];

/* The program after `lives` others, which see nothing any more. */
static struct guest *next_program(unsigned lives)
{
	legacy_init(memory, sizeof(memory), lives);
	for (unsigned i = 0; i < 2; i++) {
		linux_init(&programs[lives][i], &config, &config.guests[i],
			   i == 0);
		for (unsigned k = 0; k < lives; k++) {
			programs[k][i].state = LINUX_STOPPED;
		}
		seen[i + 1].starts = seen[i + 1].stops = 0;
	}
	return programs[lives];
}

/* Each has what was its own, in the program after the next, too. */
static void each_goes_on_with_its_own(void **state)
{
	struct guest *g;

	(void)state;
	seen[2].stopped = false;
	g = next_program(0);
	for (unsigned i = 0; i < 2; i++) {
		linux_stop(&guest[i]);
		assert_true(linux_take_up(&g[i]));
		assert_true(linux_start(&g[i]));
	}
	linux_set_ready(&g[0]);
	scratch(1, 0x11);
	scratch(2, 0x22);
	g = next_program(1);
	for (unsigned i = 0; i < 2; i++) {
		assert_false(linux_take_up(&g[i]));
		assert_int_equal(linux_state(&g[i]), LINUX_RUNNING);
		assert_int_equal(linux_ready(&g[i]), i == 0);
		assert_int_equal(g[i].io.uart.scratch, 0x11 * (i + 1));
	}
	scratch(1, 0x33);
	g = next_program(2);
	for (unsigned i = 0; i < 2; i++) {
		assert_false(linux_take_up(&g[i]));
	}
	assert_int_equal(g[0].io.uart.scratch, 0x33);
	assert_int_equal(g[1].io.uart.scratch, 0x22);
	assert_int_equal(seen[1].stops + seen[2].stops, 0);
	/* one crashes, and one becomes a template, while there is nobody */
	seen[1].crashed = seen[2].frozen = true;
	g = next_program(3);
	for (unsigned i = 0; i < 2; i++) {
		assert_false(linux_take_up(&g[i]));
		assert_int_equal(seen[i + 1].stops, 0);
	}
	assert_int_equal(linux_state(&g[1]), LINUX_FROZEN);
	loop_step(0);
	assert_int_equal(seen[1].starts, 1);
	assert_int_equal(linux_state(&g[0]), LINUX_RUNNING);
	assert_int_equal(linux_state(&g[1]), LINUX_FROZEN);
	seen[2].frozen = false;
	g[0].state = g[1].state = LINUX_STOPPED;
	forget_all();
}

/* The first program starts those that the manifest wants, and no other. */
static void the_first_program(void **state)
{
	(void)state;
	legacy_init(memory, sizeof(memory), 0);
	for (unsigned i = 0; i < 2; i++) {
		linux_stop(&guest[i]);
		config.guests[i].on_demand = i == 1;
		assert_int_equal(linux_take_up(&guest[i]), i == 0);
		config.guests[i].on_demand = false;
		assert_int_equal(linux_state(&guest[i]), LINUX_STOPPED);
	}
	forget_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(memory_goes_to_each, setup),
		cmocka_unit_test_setup(a_crash_is_one_partitions, setup),
		cmocka_unit_test_setup(its_end_is_told, setup),
		cmocka_unit_test_setup(crashes_are_counted_apart, setup),
		cmocka_unit_test_setup(power_off_is_ones_own, setup),
		cmocka_unit_test_setup(words_on_the_command_line, setup),
		cmocka_unit_test_setup(a_template_stays, setup),
		cmocka_unit_test_setup(a_child_lives_once, setup),
		cmocka_unit_test_setup(another_program_follows, setup),
		cmocka_unit_test_setup(half_a_template, setup),
		cmocka_unit_test_setup(each_goes_on_with_its_own, setup),
		cmocka_unit_test_setup(the_first_program, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
