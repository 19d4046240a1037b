/* SPDX-License-Identifier: MIT */
/*
 * What is taken in the hypervisor itself, by vector: an interrupt, whoever sent
 * it, is acknowledged; an exception of ours is a panic.
 */
#include <mc.h>

#include "hv_fakes.h"

struct trap_frame;
void trap_handle(struct trap_frame *f);

const char idt_stubs[256 * 16];
static uint32_t last, taken, overdue, checks;

void irq_handle(uint32_t vector)
{
	last = vector;
	taken++;
}

void start_overdue(uint64_t rip)
{
	assert_int_equal(rip, 0x1234);
	overdue++;
}

void mc_in_hypervisor(void)
{
	checks++;
}

uint64_t read_cr2(void)
{
	return 0;
}

static void trap(uint64_t vector)
{
	/* 15 registers, vector, error code, RIP, .. */
	uint64_t frame[22] = { [15] = vector, [17] = 0x1234 };

	trap_handle((struct trap_frame *)frame);
}

static void by_vector(void **state)
{
	volatile uint32_t i, quiet = 0;

	(void)state;
	fakes_reset();
	for (i = 0; i < 256; i++) {
		taken = 0;
		if (i >= 32) {
			trap(i);
			assert_int_equal(taken, 1);
			assert_int_equal(last, i);
		} else if (i == X86_EXC_NMI || i == X86_EXC_DB ||
			   i == X86_EXC_MC) {
			trap(i);
			quiet++;
		} else {
			assert_panics(trap(i));
		}
	}
	assert_int_equal(quiet, 3);
	assert_int_equal(checks, 1);
	assert_int_equal(overdue, 1);	/* VECTOR_TIMER's */
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_vector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
