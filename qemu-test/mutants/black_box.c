/* SPDX-License-Identifier: MIT */
/*
 * A mutant for one boot test, linked only into mutant-black_box.elf: it fails in the
 * way that the manifest's mark says, at a stage or, when all runs, at an exit. The
 * mark is "fail-", a letter for how, where in two digits (a stage, or 0 and the number
 * of a CPU), and what fills it up. What is here stands in front of the functions it
 * is named after (--wrap).
 */
#include <hv.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>

#define EXITS	300u	/* of that CPU's, before it fails */
#define NOWHERE	0x123400000000ull	/* in no page tables, the loader's neither */

void __real_stage(unsigned int code, const char *name);
void __wrap_stage(unsigned int code, const char *name);
void __real_exit_handle(struct vcpu *v, const struct vm_exit *e);
void __wrap_exit_handle(struct vcpu *v, const struct vm_exit *e);

static char how(void)
{
	const char *m = boot.mark + 1;

	return m[0] == 'f' && m[1] == 'a' && m[2] == 'i' && m[3] == 'l' &&
	       m[4] == '-' ? m[5] : 0;
}

static uint32_t where(void)
{
	return (uint32_t)(boot.mark[8] - '0') * 10 +
	       (uint32_t)(boot.mark[9] - '0');
}

/* The processor finds no handler, for that neither. */
static void NORETURN triple_fault(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} none = { 0, 0 };

	__asm__ volatile("lidt %0; int3" : : "m"(none));
	for (;;) {
	}
}

static void NORETURN hang(void)
{
	for (;;) {
		__asm__ volatile("");
	}
}

/* The stack is nowhere: the page fault has none either. */
static void no_stack(void)
{
	__asm__ volatile("movabs $0x123400000000, %rax;"
			 "mov %rax, %rsp; push %rax");
}

static void fail(void)
{
	switch (how()) {
	case 'p':
		panic("injected");
	case 'u':
		__asm__ volatile("ud2");
		break;
	case 'f':
		*(volatile uint64_t *)NOWHERE = 0;
		break;
	case 'd':
		no_stack();
		break;
	case 't':
		triple_fault();
	case 'h':
		hang();
	case 'c':
		cpu_cli();
		hang();
	case 'l':	/* and on the way another CPU's, which waits */
		lock_take(&frame_lock);
		lock_take(&frame_lock);
		break;
	}
}

void __wrap_stage(unsigned int code, const char *name)
{
	__real_stage(code, name);
	if (where() == code) {
		fail();
	}
}

/* The host partition's program goes on at an address that is not mapped, or
 * without its tables. */
static void break_host(struct vcpu *v)
{
	if (how() == 'b' && partition_is_host(v->partition)) {
		hvm->vcpu_set(v, VCPU_RIP, 0x10);
	}
	if (how() == 'r' && partition_is_host(v->partition)) {
		hvm->vcpu_set(v, VCPU_CR3, 0xb0000000);
	}
}

void __wrap_exit_handle(struct vcpu *v, const struct vm_exit *e)
{
	static uint32_t count;

	__real_exit_handle(v, e);
	if (how() && this_cpu()->index == where() && ++count == EXITS) {
		fail();
		break_host(v);
	}
}
