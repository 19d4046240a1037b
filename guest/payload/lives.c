/* SPDX-License-Identifier: MIT */
/*
 * Attempts that end the partition, or that it does not come back from: accesses of
 * every kind to what is no memory, page tables that lie there, exceptions without an
 * end, memory given back that is in use. One a life, by name.
 */
#include "cpu.h"
#include "link.h"
#include "payload.h"
#include "abi/channel.h"

#define NO_DETAIL	(~0ull)
#define SPARE_RAM	0x10000000ull
#define EXEC_RAM	0x12000000ull
#define PAGE_ALL	0x67ull
#define CR4_OSXSAVE	(1ull << 18)
#define CR4_OSFXSR	(1ull << 9)

static void do_movnti(void *arg)
{
	__asm__ volatile("movnti %0, (%1)" : : "r"(1), "r"(arg) : "memory");
}

static void do_lock(void *arg)
{
	__asm__ volatile("lock incl (%0)" : : "r"(arg) : "memory");
}

static void do_cmpxchg16b(void *arg)
{
	__asm__ volatile("lock cmpxchg16b (%0)" : : "r"(arg), "a"(0), "b"(0),
			 "c"(0), "d"(0) : "memory");
}

static void do_push(void *arg)
{
	__asm__ volatile("movq %%rsp, %%rbx; movq %0, %%rsp; pushq $1; "
			 "movq %%rbx, %%rsp"
			 : : "r"((uint8_t *)arg + 64) : "rbx", "memory");
}

static void do_call_stack(void *arg)
{
	__asm__ volatile("movq %%rsp, %%rbx; movq %0, %%rsp; call 1f; "
			 "1: movq %%rbx, %%rsp"
			 : : "r"((uint8_t *)arg + 64) : "rbx", "memory");
}

static void do_xsave_to(void *arg)
{
	cr4_set(cr4_get() | CR4_OSXSAVE | CR4_OSFXSR);
	__asm__ volatile("xsave64 (%0)" : : "r"(arg), "a"(7), "d"(0)
			 : "memory");
}

static void do_vector_load(void *arg)
{
	cr4_set(cr4_get() | CR4_OSXSAVE | CR4_OSFXSR);
	__asm__ volatile("movups (%0), %%xmm0" : : "r"(arg));
}

static void do_movs_into(void *arg)
{
	uint64_t count = 4096, from = SPARE_RAM;

	__asm__ volatile("rep movsb" : "+D"(arg), "+S"(from), "+c"(count) : :
			 "memory");
}

static void do_descriptors(void *arg)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} gdtr = { 0x7f, (uintptr_t)arg };

	__asm__ volatile("lgdt %0; movl $0x18, %%eax; movl %%eax, %%ds"
			 : : "m"(gdtr) : "eax", "memory");
}

static void do_stack_of_trap(void *arg)
{
	__asm__ volatile("movq %0, %%rsp; ud2" : : "r"((uint8_t *)arg + 64));
}

/* Tables in that place: the processor's own walk touches it. */
static void do_walk(void *arg)
{
	uint64_t *pml4 = (uint64_t *)(uintptr_t)(cr3_get() & ~0xfffull);

	pml4[1] = (uintptr_t)arg | PAGE_ALL;
	cr3_set(cr3_get());
	(void)*(volatile uint8_t *)(1ull << 39);
}

static void do_root(void *arg)
{
	cr3_set((uintptr_t)arg);
}

/** How: a number in the order here, times 2^40, and where; never above 4 GiB but by
 * machine_map(). */
void run_touch(uint64_t what)
{
	static void (*const kinds[])(void *) = {
		do_movnti, do_lock, do_cmpxchg16b, do_push, do_call_stack,
		do_xsave_to, do_vector_load, do_movs_into, do_descriptors,
		do_stack_of_trap, do_walk, do_root,
	};
	size_t kind = (size_t)(what >> 40);
	uint64_t gpa = what & ((1ull << 40) - 1);

	report("touch-", gpa, guarded(kinds[kind %
		(sizeof(kinds) / sizeof(kinds[0]))],
		(void *)(uintptr_t)machine_map(gpa)));
}

/** A breakpoint on the stack that #DB's own handler is given (by the TSS): one upon the
 * other. */
void run_endless_debug(uint64_t unused)
{
	static uint8_t stack[256] __attribute__((aligned(16)));
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t *base;
	} gdt, idt;
	uint64_t tss;

	(void)unused;
	__asm__ volatile("sgdt %0; sidt %1" : "=m"(gdt), "=m"(idt));
	tss = (gdt.base[6] >> 16 & 0xffffff) | (gdt.base[6] >> 56) << 24;
	memcpy((void *)(uintptr_t)(tss + 36), &(uint64_t){ (uintptr_t)stack +
	       sizeof(stack) }, 8);		/* IST1 */
	idt.base[2] |= 1ull << 32;
	dr0_set((uintptr_t)stack + sizeof(stack) - 8);
	dr7_set(0x000b0401);	/* reads and writes, 8 bytes */
	*(volatile uint64_t *)(stack + sizeof(stack) - 8) = 0;
	for (;;) {
	}
}

struct frame;

static __attribute__((interrupt)) void on_debug(struct frame *f)
{
	(void)f;	/* whose flags have TF still */
}

/** A single step after the other, and nothing else, for ever. */
void run_endless_steps(uint64_t unused)
{
	(void)unused;
	machine_set_handler(1, (const void *)on_debug);
	__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; 1: jmp 1b"
			 : : : "memory");
}

/** Executed from one size of page, and then from the other, and again. */
void run_execute_sizes(uint64_t unused)
{
	static uint64_t small[512] __attribute__((aligned(4096)));
	volatile uint8_t *code = (volatile uint8_t *)EXEC_RAM;
	uint64_t *pml4 = (uint64_t *)(uintptr_t)(cr3_get() & ~0xfffull);
	uint64_t *pdpt = (uint64_t *)(uintptr_t)(pml4[0] & ~0xfffull);
	uint64_t *pd = (uint64_t *)(uintptr_t)(pdpt[0] & ~0xfffull);
	uint64_t big = pd[EXEC_RAM >> 21];

	(void)unused;
	for (uint32_t i = 0; i < 512; i++) {
		small[i] = (EXEC_RAM + i * 4096ull) | PAGE_ALL;
		code[i * 4096] = 0xc3;
	}
	for (uint32_t round = 0; round < 64; round++) {
		((void (*)(void))(uintptr_t)(code + round * 4096))();
		pd[EXEC_RAM >> 21] = round & 1 ? big :
				     (uintptr_t)small | PAGE_ALL;
		/* without a flush: both may be known */
		((void (*)(void))(uintptr_t)(code + round * 4096))();
		cr3_set(cr3_get());
	}
	report_value("executed", NO_DETAIL, 0, 64);
}

/** Resets itself, by each way that there is, amid whatever has been done before. */
void run_reset_itself(uint64_t way)
{
	static const struct {
		uint16_t port;
		uint8_t value;
	} resets[] = {
		{ 0xcf9, 0x06 }, { 0xcf9, 0x0e }, { 0x604, 0x34 },
	};

	port_out32(CHANNEL_GUEST_IO_PORT + CHANNEL_IO_STATE, 2);
	port_out8(resets[way % 3].port, resets[way % 3].value);
	for (;;) {
		__asm__ volatile("hlt");
	}
}
