/* SPDX-License-Identifier: MIT */
/* What each CPU has for itself. GS base points to it in the hypervisor. */
#ifndef ISTHMUS_PERCPU_H
#define ISTHMUS_PERCPU_H

#include <abi/boot_info.h>
#include <types.h>

#define PERCPU_STACK_SIZE	8192u
#define PERCPU_IST_SIZE		4096u
#define PERCPU_QUEUE		(BOOT_MAX_PARTITIONS * 8u)

struct vcpu;

/* 64-bit TSS [SDM3 "TSS in 64-bit Mode"] */
struct __attribute__((packed)) tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t iomap_base;
};

struct percpu {
	struct percpu *self;		/* %gs:0 */
	uint64_t stack_top;		/* %gs:8 */
	uint64_t entry_rsp;		/* %gs:16, while in a guest (VT-x) */
	uint32_t index;			/* in cpus[] */
	uint32_t apic_id;
	uint32_t online;		/* set by the CPU itself */
	uint32_t resched;		/* (any) look at the queue again */
	uint32_t away;			/* (any) in a guest, or halted: it sees
					 * nothing without an interrupt */
	struct vcpu *loaded;		/* whose FPU, MSRs are in the CPU */
	struct vcpu *current;		/* being run now, for panic dumps */
	struct box_cpu *box;		/* its part of the black box */
	void *backend_current;		/* what the backend has loaded */
	uint64_t tsc_aux;		/* the MSR, once somebody is loaded */
	uint64_t timer_at;		/* host TSC: next deadline here */
	uint64_t timer_armed;		/* what the LAPIC timer is set to; 0 */
	uint64_t idle_ticks;		/* TSC ticks spent in idle() */
	uint64_t boot_tsc;		/* when it came up */
	hpa_t backend_page;		/* for hvm_ops.cpu_enable */
	uint32_t vcpu_count;
	struct vcpu *vcpus[PERCPU_QUEUE];
	uint64_t gdt[8];
	struct tss tss;
	/* stacks of NMI, #DF, #MC: see desc.c */
	uint8_t ist[3][PERCPU_IST_SIZE] __attribute__((aligned(16)));
	uint8_t stack[PERCPU_STACK_SIZE] __attribute__((aligned(16)));
} __attribute__((aligned(64)));	/* no cache line of two CPUs */
_Static_assert(__builtin_offsetof(struct percpu, entry_rsp) == 16,
	       "%gs:16 in vmx/entry.S");

extern struct percpu *cpus[BOOT_MAX_CPUS];
extern uint32_t cpu_count;

static inline struct percpu *this_cpu(void)
{
	struct percpu *p;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(p));
	return p;
}

/* The timer of pc's CPU is set for host TSC at, or earlier, and has not come. */
static inline bool timer_is_set(const struct percpu *pc, uint64_t at)
{
	return pc->timer_armed - 1 < at;	/* 0: it is not set */
}

#endif
