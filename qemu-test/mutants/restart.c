/* SPDX-License-Identifier: MIT */
/*
 * A mutant for boot tests, linked only into mutant-restart.elf: the host partition's
 * program ends when a program in Linux has wished it, by a byte to one of two ports
 * of its own, and so many ticks later, wherever it is then. What is here stands in
 * front of the functions it is named after (--wrap).
 */
#include <hv.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>

/* Among those that host-bridge answers, and does nothing at: how it ends. */
#define PORT_LOST	0x60du	/* without its tables: nobody says why */
#define PORT_FAULT	0x60eu	/* at an address that is not mapped */
#define TICKS		20011u	/* for each 1 of the byte */
#define NOWHERE		0xb0000000u

void __real_exit_handle(struct vcpu *v, const struct vm_exit *e);
void __wrap_exit_handle(struct vcpu *v, const struct vm_exit *e);
bool __real_vcpu_prepare(struct vcpu *v);
bool __wrap_vcpu_prepare(struct vcpu *v);

static uint64_t at = ~0ull;	/* host TSC */
static bool lost;

/* It leaves its guest when it is time, be it in the middle of whatever. */
bool __wrap_vcpu_prepare(struct vcpu *v)
{
	if (partition_is_host(v->partition)) {
		sched_timer(this_cpu(), at);
	}
	return __real_vcpu_prepare(v);
}

void __wrap_exit_handle(struct vcpu *v, const struct vm_exit *e)
{
	bool is_host = partition_is_host(v->partition);

	if (!is_host && e->code == VM_EXIT_IO && !e->io.in &&
	    (e->io.port == PORT_LOST || e->io.port == PORT_FAULT)) {
		lost = e->io.port == PORT_LOST;
		at = rdtsc() + (v->regs.rax & 0xff) * TICKS;
	}
	__real_exit_handle(v, e);
	if (is_host && rdtsc() >= at) {
		at = ~0ull;
		if (lost) {
			hvm->vcpu_set(v, VCPU_CR3, NOWHERE);
		} else {
			hvm->vcpu_set(v, VCPU_RIP, 0x10);
		}
	}
}
