/* SPDX-License-Identifier: MIT */
/*
 * Port accesses of Linux in the event loop, against a hypervisor that has as
 * many of them as the test wants.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "host-bridge/rt/hc.h"
#include "host-bridge/guest/linux_io.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/dev/serial.h"

#define LINUX_ID	1u
#define PCI_ADDRESS	0xcf8u
#define MANY		1000u

static uint64_t events;			/* bits not yet taken */
static unsigned left, answered;		/* accesses */
static unsigned calls;			/* hypercalls */
static unsigned answered_at_key;

int64_t hypercall(enum hypercall nr, struct hc_regs *regs);

/* hc_call() lets a hypercall change its results only, and no vector register
 * either. */
__attribute__((target("general-regs-only")))
int64_t hypercall(enum hypercall nr, struct hc_regs *regs)
{
	calls++;
	switch (nr) {
	case HC_WAIT:
		/* Nobody would wake it. */
		assert_true(events != 0 || regs->rdi == 0);
		regs->rdi = events;
		events = 0;
		return HC_OK;
	case HC_IOREQ_GET:
		if (left == 0) {
			return HC_ENOENT;
		}
		left--;
		regs->rdi = LINUX_ID << 16;
		regs->rsi = PCI_ADDRESS | 4u << 16 | HC_IOREQ_IN;
		return HC_OK;
	case HC_IOREQ_DONE:
		answered++;
		return HC_OK;
	default:
		return HC_ENOENT;
	}
}

__asm__(".globl hc_entry\n"
	"hc_entry:\n"
	"	push %rbp; mov %rsp, %rbp\n"
	"	push %r11; push %r9; push %rcx\n"
	"	push %r8; push %r10; push %rdx; push %rsi; push %rdi\n"
	"	mov %rsp, %rsi; mov %eax, %edi; and $-16, %rsp\n"
	"	call hypercall\n"
	"	lea -64(%rbp), %rsp\n"
	"	pop %rdi; pop %rsi; pop %rdx; pop %r10; pop %r8\n"
	"	pop %rcx; pop %r9; pop %r11; pop %rbp\n"
	"	ret\n");

void serial_write(enum serial_line line, const void *data, size_t len)
{
	(void)line;
	(void)data;
	(void)len;
}

static void on_key(void *arg)
{
	(void)arg;
	answered_at_key = answered;
}

static void asked(enum linux_request request)
{
	(void)request;
	fail();
}

static int setup(void **state)
{
	(void)state;
	loop_init(1000000000);
	loop_on_event(HC_EVENT_IRQ(0), on_key, NULL);
	linux_io_init(LINUX_ID, asked);
	events = left = answered = calls = answered_at_key = 0;
	return 0;
}

/* One access costs a wait and three calls: none is left, it is asked. */
static void one_is_cheap(void **state)
{
	(void)state;
	left = 1;
	events = HC_EVENT_IOREQ;
	loop_step(LOOP_FOREVER);
	assert_int_equal(answered, 1);
	assert_int_equal(calls, 4);
}

/* There is always one more; a key is served all the same, and no access is
 * forgotten though the bit came once. */
static void many_hold_up_nobody(void **state)
{
	(void)state;
	left = MANY;
	events = HC_EVENT_IOREQ | HC_EVENT_IRQ(0);
	loop_step(LOOP_FOREVER);
	assert_in_range(answered_at_key, 1, 64);
	for (unsigned turn = 0; turn < MANY && left > 0; turn++) {
		loop_step(LOOP_FOREVER);
	}
	assert_int_equal(answered, MANY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_is_cheap, setup),
		cmocka_unit_test_setup(many_hold_up_nobody, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
