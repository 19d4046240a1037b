/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's part of the black box, docs/black-box.md: the log is written
 * there (core/log.c), and each CPU's exits. Each CPU also watches the next one, and
 * makes it say where it hangs. Nothing here takes a lock, or waits but at the end.
 */
#include <hv.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>

/* Each CPU looks so often, in seconds, whether the next one has had a turn; so
 * many times without one, and it hangs. All stand still together when the machine
 * does, which counts once at most. */
#define WATCH_SECONDS	3u
#define WATCH_TIMES	5u

#define RESET_PORT	0xcf9	/* [ICH9 "RST_CNT-Reset Control Register"] */

/* Exits that are about values of registers: RAX, and ECX. */
#define BY_REGISTERS	(BIT32(VM_EXIT_CPUID) | BIT32(VM_EXIT_MSR_READ) | \
			 BIT32(VM_EXIT_MSR_WRITE) | BIT32(VM_EXIT_HYPERCALL))

/* NULL: the loader has not told yet where. */
struct black_box *box;
static struct percpu *hung;	/* is to say where, at an NMI */

/**
 * Moves to the box's address in our own tables, to which they have been switched;
 * what caches hold would be lost with a reset. Boot CPU, before it logs again.
 */
void box_init(void)
{
	uint64_t at;

	box = paging_map_device(boot.box, true);
	for (at = PAGE_SIZE; at < boot.box_size; at += PAGE_SIZE) {
		paging_map_device(boot.box + at, true);
	}
}

/** v has left its guest, as e says. On its CPU pc, at each exit. */
void box_exit(struct percpu *pc, struct vcpu *v, const struct vm_exit *e)
{
	const struct box_exit x = {
		.tsc = rdtsc(),
		.rip = e->rip,
		.detail = BIT32(e->code) & BY_REGISTERS ?
			v->regs.rax << 32 | (uint32_t)v->regs.rcx : e->fault.gpa.v,
		.what = e->code | v->name,
	};
	struct box_cpu *b = pc->box;
	struct box_exit *to = &b->exit[b->count++ % BOX_EXITS];

	b->doing = BOX_HYPERVISOR;
	*to = x;
	to->sum = box_exit_sum(&x);
}

/* Of each CPU's, whose turns are often: a cache line of its own. */
static struct {
	uint64_t turns;		/* ever */
	uint64_t at;		/* host TSC: its next look at the next CPU */
	uint64_t seen;		/* that one's turns, at the last look */
	uint32_t silent;	/* looks since it had one */
} __attribute__((aligned(64))) watch[BOOT_MAX_CPUS];

/* Who hangs is made to say where, or it is said for it. Over CPU 0, and with that
 * all, the chipset watches. */
static NOINLINE void look(uint32_t i, uint64_t now)
{
	uint32_t next = (i + 1) % cpu_count;
	uint64_t turns = __atomic_load_n(&watch[next].turns, __ATOMIC_RELAXED);

	watch[i].at = now + WATCH_SECONDS * boot.tsc_hz;
	watch[i].silent = turns == watch[i].seen ? watch[i].silent + 1 : 0;
	watch[i].seen = turns;
	if (i == 0) {
		box_alive();
	}
	if (watch[i].silent == WATCH_TIMES) {
		hung = cpus[next];
		lapic_nmi(hung->apic_id);
	}
	if (watch[i].silent > WATCH_TIMES) {
		panic("CPU %u hangs, and takes no NMI", next);
	}
}

/**
 * The scheduler of CPU pc has its turn, at host TSC now. Returns by when it must
 * have the next one. No lock held.
 */
uint64_t box_turn(struct percpu *pc, uint64_t now)
{
	watch[pc->index].turns++;
	if (now >= watch[pc->index].at) {
		look(pc->index, now);
	}
	return watch[pc->index].at;
}

/** The chipset's watchdog, if it runs, has nothing to do for 24 s. */
void box_alive(void)
{
	if (boot.watchdog) {
		outw((uint16_t)boot.watchdog, 1);
	}
}

/** An NMI has come, with no panic: is it box_watch()'s? */
void box_nmi(uint64_t rip)
{
	if (hung == this_cpu()) {
		panic("CPU %u hangs at %#lx", hung->index, rip);
	}
}

/**
 * The end, after a failure that has been told: this CPU halts. If the manifest
 * wants it it resets the machine, once the host partition has had its last turn.
 */
void box_end(void)
{
	uint64_t until = rdtsc() + 2 * boot.tsc_hz;

	cpu_cli();
	if (boot.flags & BOOT_FLAG_RESET) {
		while (rdtsc() < until) {
			cpu_pause();
		}
		outb(RESET_PORT, 0x02);
		outb(RESET_PORT, 0x06);
	}
	cpu_halt_forever();
}
