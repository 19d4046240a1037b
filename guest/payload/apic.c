/* SPDX-License-Identifier: MIT */
/*
 * Interrupts to whom they are not for, timers that never rest, and the clock's pages:
 * what reaches others does so by the canary's gates.
 */
#include "cpu.h"
#include "payload.h"

#define NO_DETAIL	(~0ull)
#define MSR_APIC_BASE	0x1bu
#define MSR_TSC		0x10u
#define MSR_TSC_DEADLINE	0x6e0u
#define MSR_EOI		0x80bu
#define MSR_SVR		0x80fu
#define MSR_ESR		0x828u
#define MSR_ICR		0x830u
#define MSR_LVT_TIMER	0x832u
#define MSR_TIMER_INITIAL	0x838u
#define MSR_TIMER_DIVIDE	0x83eu
#define MSR_SELF_IPI	0x83fu
#define APIC_IDS	64u
#define ICR_NMI		0x400u
#define ICR_INIT	0x4500u
#define ICR_SIPI	0x4600u
#define VECTOR		0x40u
#define REARMS		10000u
#define NMI_ROUNDS	200u
#define KVM_WALL	0x4b564d00u
#define KVM_TIME	0x4b564d01u

struct frame;

static volatile uint32_t nmis, ticks;

static __attribute__((interrupt)) void on_nmi(struct frame *f)
{
	(void)f;
	/* one more within the first, which must wait for its end */
	if (++nmis == 1) {
		wrmsr(MSR_ICR, 1u << 18 | ICR_NMI);
		for (volatile uint32_t i = 0; i < 4000; i++) {
		}
		nmis = nmis == 1 ? 1 : 100;
	}
}

/* An IRET to the next instruction lets NMIs in. Here none is blocked; but Bochs 2.7
 * blocks them for others, too, while a handler runs, and until their own IRET. */
static void let_nmis_in(void)
{
	__asm__ volatile("movq %%rsp, %%rax; movl %%ss, %%ecx; pushq %%rcx; "
			 "pushq %%rax; pushfq; movl %%cs, %%ecx; pushq %%rcx; "
			 "leaq 1f(%%rip), %%rax; pushq %%rax; iretq; 1:"
			 : : : "rax", "rcx", "memory");
}

static __attribute__((interrupt)) void on_tick(struct frame *f)
{
	(void)f;
	ticks++;
	wrmsr(MSR_EOI, 0);
}

static void send(uint32_t to, uint32_t low)
{
	wrmsr(MSR_ICR, (uint64_t)to << 32 | low);
}

/* Off and on again: what is pending is gone. */
static void apic_anew(void)
{
	wrmsr(MSR_APIC_BASE, 0xfee00000);
	wrmsr(MSR_APIC_BASE, 0xfee00800);
	wrmsr(MSR_APIC_BASE, 0xfee00c00);
	wrmsr(MSR_SVR, 0x1ff);
}

/** INIT and start-up to everybody, by each way to name them. */
void run_starts(uint64_t unused)
{
	(void)unused;
	for (uint32_t id = 0; id < APIC_IDS; id++) {
		send(id, ICR_INIT);
		send(id, ICR_SIPI | 0x10);
		send(1u << (id & 15), 0x800 | ICR_INIT);
	}
	for (uint32_t way = 1; way < 4; way++) {
		send(0, way << 18 | ICR_INIT);
		send(0, way << 18 | ICR_SIPI | 0x10);
	}
	send(~0u, ICR_INIT);
	report_value("starts", NO_DETAIL, 0, 0);
}

/** NMIs to everybody, to itself, within one; others' turns fall within handlers, too.
 * The second is there behind the first's IRET, before another instruction. */
void run_nmis(uint64_t unused)
{
	uint32_t r[4], both = 0;

	(void)unused;
	machine_set_handler(2, (const void *)on_nmi);
	for (uint32_t round = 0; round < NMI_ROUNDS; round++) {
		nmis = 0;
		let_nmis_in();
		send(0, 1u << 18 | ICR_NMI);
		both += nmis == 2;
		for (volatile uint32_t i = 0; i < round * 32; i++) {
		}
		get_cpuid(0, 0, r);
	}
	report_value("nmis-both", NO_DETAIL, 0, both);
	nmis = 10;
	for (uint32_t i = 0; i < 2000; i++) {
		send(i % APIC_IDS, ICR_NMI);
		send(~0u, 0x800 | ICR_NMI);
		send(0, 3u << 18 | ICR_NMI);	/* all but itself */
	}
	let_nmis_in();
	machine_set_handler(2, trap_stubs + 16 * 2);
}

/** All modes, vectors below 32 and destinations of the command register. */
void run_commands(uint64_t unused)
{
	struct msr m = { .number = MSR_ICR };
	uint32_t refused = 0;

	(void)unused;
	wrmsr(MSR_SVR, 0x1ff);
	for (uint32_t low = 0; low < 0x1000; low++) {
		/* NMI and INIT have rows of their own */
		if ((low >> 8 & 7) == 4 || (low >> 8 & 7) == 5) {
			continue;
		}
		m.value = (uint64_t)(low % 7 ? low % 5 : ~0u) << 32 | low |
			  (uint64_t)(low & 3) << 18;
		refused += guarded(do_wrmsr, &m) != 0;
	}
	for (uint32_t vector = 0; vector < 256; vector++) {
		wrmsr(MSR_SELF_IPI, vector);
		wrmsr(MSR_ESR, 0);
	}
	/* errors whose own interrupt is an error */
	wrmsr(0x837, 3);
	for (uint32_t i = 0; i < 1000; i++) {
		wrmsr(MSR_SELF_IPI, i & 15);
		wrmsr(MSR_ESR, 0);
	}
	report_value("commands-refused", NO_DETAIL, 0, refused);
	apic_anew();
}

/** Timers of every mode and divider that are due at once, for ever, never; and the TSC
 * written under them. */
void run_timers(uint64_t unused)
{
	uint64_t was = rdtsc();

	(void)unused;
	machine_set_handler(VECTOR, (const void *)on_tick);
	wrmsr(MSR_SVR, 0x1ff);
	__asm__ volatile("sti");
	for (uint32_t mode = 0; mode < 2; mode++) {
		wrmsr(MSR_LVT_TIMER, mode << 17 | VECTOR);
		for (uint32_t i = 0; i < 16 * 8; i++) {
			struct msr d = { MSR_TIMER_DIVIDE, i & 15 };

			(void)guarded(do_wrmsr, &d);
			__asm__ volatile("sti");
			wrmsr(MSR_TIMER_INITIAL, i >> 4);
		}
		wrmsr(MSR_TIMER_INITIAL, 1);
		for (volatile uint32_t i = 0; i < 1000000; i++) {
		}
		wrmsr(MSR_TIMER_INITIAL, 0);
	}
	wrmsr(MSR_LVT_TIMER, 2u << 17 | VECTOR);
	for (uint32_t i = 0; i < row_times(REARMS); i++) {
		wrmsr(MSR_TSC_DEADLINE, i & 1 ? 1 : mixed(i) >> (i & 63));
	}
	for (uint32_t bit = 0; bit < 64; bit++) {
		wrmsr(MSR_TSC, 1ull << bit);
		wrmsr(MSR_TSC_DEADLINE, rdtsc() + 10);
	}
	wrmsr(MSR_TSC_DEADLINE, 0);
	wrmsr(MSR_TSC, was);
	__asm__ volatile("cli");
	report_value("ticks", NO_DETAIL, 0, ticks > row_times(REARMS) / 2);
	apic_anew();
}

/** The clock's pages where it has no memory, or not all of it. */
void run_clock_pages(uint64_t unused)
{
	static const uint64_t at[] = {
		0x3f000001, 0x18000001, 0xe4000001, 0xe4001001, 0xe0000001,
		0xfee00001, 0xfec00001, 0x10000ff1, 0x10000ffd, ~0ull - 2,
		0x7ffffffffffff001, 0x8000000000000001, 0x1000000000001, 1,
	};

	(void)unused;
	for (uint32_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		struct msr wall = { KVM_WALL, at[i] & ~3ull };
		struct msr time = { KVM_TIME, at[i] };

		(void)guarded(do_wrmsr, &wall);
		(void)guarded(do_wrmsr, &time);
		for (volatile uint32_t k = 0; k < 10000; k++) {
		}
	}
	wrmsr(KVM_TIME, 0);
	report_value("clock-pages", NO_DETAIL, 0, 0);
}
