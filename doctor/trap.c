/* SPDX-License-Identifier: MIT */
/*
 * A world of our own for one CPU at a time: interrupts off, a GDT with a TSS (VT-x
 * wants one in the host's state), an IDT whose exceptions end what was tried and
 * nothing else. The firmware's come back afterwards. It often has no TSS; then
 * TR, which cannot be loaded with nothing, keeps ours, so that page stays for
 * good. [SDM3 "Protected-Mode Exceptions and Interrupts", "TSS Descriptor in
 * 64-bit mode"]
 */
#include <string.h>

#include "hypervisor/include/x86.h"
#include "trial.h"

#define VECTORS		32u
#define STUB		16u		/* bytes of each in entry.S */
#define GATE		0x8e00u		/* interrupt gate, present */
#define TSS_PRESENT	(0x89ull << 40)	/* available, 64-bit */
#define TSS_BUSY	(1ull << 41)
#define TSS_SIZE	104u
#define GDT_MAX		2048u		/* bytes of the firmware's that are kept */
#define TSS_AT		3072u		/* in the page */

struct __attribute__((packed)) table_register {
	uint16_t limit;
	uint64_t base;
};

uint64_t trap_call(void (*function)(void *arg), void *arg, uint64_t *stack);
extern const uint8_t trap_stubs[];
extern uint64_t trap_stack;

uint64_t trap_stack;			/* where trap_call() goes on */
static uint8_t *world;			/* GDT, then the TSS */
static struct { uint64_t low, high; } idt[VECTORS];
static struct table_register their_gdt, their_idt;
static uint16_t their_tr, our_tr;
static uint64_t their_flags;

/** page: one for the GDT and the TSS, that nobody frees. */
void trap_init(uint8_t *page)
{
	world = page;
}

static void idt_make(void)
{
	uint16_t cs;

	__asm__ volatile("mov %%cs, %0" : "=r"(cs));
	for (uint32_t i = 0; i < VECTORS; i++) {
		uint64_t at = (uint64_t)trap_stubs + i * STUB;

		idt[i].low = (at & 0xffff) | (uint64_t)cs << 16 | (uint64_t)GATE << 32 |
			     (at >> 16 & 0xffff) << 48;
		idt[i].high = at >> 32;
	}
}

/* The firmware's descriptors, so that its selectors go on, and ours behind. */
static void gdt_make(void)
{
	uint64_t tss = (uint64_t)world + TSS_AT;
	uint32_t size = their_gdt.limit + 1u < GDT_MAX ? their_gdt.limit + 1u : GDT_MAX;
	uint64_t low = (TSS_SIZE - 1) | (tss & 0xffffff) << 16 | TSS_PRESENT |
		       (tss >> 24 & 0xff) << 56;
	uint64_t high = tss >> 32;

	memset(world, 0, 4096);
	memcpy(world, (const void *)their_gdt.base, size);
	our_tr = (uint16_t)((size + 7) & ~7u);
	memcpy(world + our_tr, &low, 8);
	memcpy(world + our_tr + 8, &high, 8);
}

/** From here on exceptions are ours, until trap_leave_world(). */
void trap_enter_world(void)
{
	struct table_register gdt, ours = { sizeof(idt) - 1, (uint64_t)idt };

	__asm__ volatile("pushfq; popq %0; cli" : "=r"(their_flags));
	__asm__ volatile("sgdt %0; sidt %1; str %2"
			 : "=m"(their_gdt), "=m"(their_idt), "=r"(their_tr));
	idt_make();
	gdt_make();
	gdt = (struct table_register) { (uint16_t)(our_tr + 15), (uint64_t)world };
	__asm__ volatile("lgdt %0; lidt %1; ltr %2" : : "m"(gdt), "m"(ours), "r"(our_tr));
}

/** The firmware's tables again, and interrupts as they were. */
void trap_leave_world(void)
{
	__asm__ volatile("lgdt %0; lidt %1" : : "m"(their_gdt), "m"(their_idt));
	/* one beyond their GDT is ours of an earlier time */
	if ((their_tr & 0xfff8) != 0 && (their_tr | 7u) < their_gdt.limit) {
		uint64_t *tss = (uint64_t *)(their_gdt.base + (their_tr & 0xfff8));

		*tss &= ~TSS_BUSY;
		__asm__ volatile("ltr %0" : : "r"(their_tr));
	}
	__asm__ volatile("pushq %0; popfq" : : "r"(their_flags) : "cc", "memory");
}

/** Calls a function in our world; 0, or the vector + 1 of what it raised. */
uint32_t trap_try(void (*function)(void *arg), void *arg)
{
	return (uint32_t)trap_call(function, arg, &trap_stack);
}

struct access {
	uint64_t at, value;
};

static void do_rdmsr(void *arg)
{
	struct access *a = arg;

	a->value = rdmsr((uint32_t)a->at);
}

static void do_read32(void *arg)
{
	struct access *a = arg;

	a->value = *(volatile uint32_t *)a->at;
}

static void do_read64(void *arg)
{
	struct access *a = arg;

	a->value = *(volatile uint64_t *)a->at;
}

/** An MSR that need not exist: 0 and false then. In our world. */
bool trap_rdmsr(uint32_t msr, uint64_t *value)
{
	struct access a = { msr, 0 };
	bool ok = trap_try(do_rdmsr, &a) == 0;

	*value = ok ? a.value : 0;
	return ok;
}

/** A device's register, where the firmware may have mapped nothing. In our world. */
bool trap_read32(uint64_t at, uint32_t *value)
{
	struct access a = { at, 0 };
	bool ok = trap_try(do_read32, &a) == 0;

	*value = (uint32_t)a.value;
	return ok;
}

/** Likewise one of 64 bits. */
bool trap_read64(uint64_t at, uint64_t *value)
{
	struct access a = { at, 0 };
	bool ok = trap_try(do_read64, &a) == 0;

	*value = a.value;
	return ok;
}
