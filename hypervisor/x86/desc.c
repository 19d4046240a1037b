/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables and the hypervisor's own exceptions and interrupts.
 * Interrupts are open while the boot CPU starts up, while a CPU is idle, and
 * for one instruction after some exits; NMI, #DF and #MC have stacks of their
 * own, as they may come at any time, and #DF when the stack is at fault. An
 * exception in the hypervisor is its own bug: nothing is fixed up. [SDM3
 * "Interrupt and Exception Handling"]
 */
#include <hv.h>
#include <mc.h>
#include <percpu.h>
#include <x86.h>

/* Also in vmx/vcpu.c, as the host state of a VM exit. */
enum { SEL_CODE = 0x08, SEL_DATA = 0x10, SEL_TSS = 0x18 };

/* Below are exceptions [SDM3 "Exception and Interrupt Vectors"]. */
#define FIRST_INTERRUPT	32u

/* As the processor and trap_common in entry.S push it, from its end on. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

_Static_assert(sizeof(struct idt_gate) == 16, "IDT gate");

struct __attribute__((packed)) table_register {
	uint16_t limit;
	uint64_t base;
};

extern const char idt_stubs[];
void trap_handle(struct trap_frame *f);

struct idt_gate idt[256];

static void idt_init(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint64_t at = (uintptr_t)idt_stubs + i * 16u;
		uint8_t ist = i == X86_EXC_NMI ? 1 : i == X86_EXC_DF ? 2 :
			      i == X86_EXC_MC ? 3 : 0;

		idt[i] = (struct idt_gate){
			.offset0 = (uint16_t)at,
			.selector = SEL_CODE,
			.ist = ist,
			.type = 0x8e,	/* present, interrupt gate */
			.offset1 = (uint16_t)(at >> 16),
			.offset2 = (uint32_t)(at >> 32),
		};
	}
}

/**
 * Loads GDT, TSS, IDT and GS base of this CPU; this_cpu() is pc from here on.
 * On the CPU itself, its descriptors not used by another CPU, interrupts off.
 */
void desc_load(struct percpu *pc)
{
	uint64_t tss = (uintptr_t)&pc->tss;
	struct table_register gdtr = { sizeof(pc->gdt) - 1,
				       (uintptr_t)pc->gdt };
	struct table_register idtr = { sizeof(idt) - 1, (uintptr_t)idt };

	if (!idt[0].type) {
		idt_init();
	}
	for (uint32_t i = 0; i < 3; i++) {
		pc->tss.ist[i] = (uintptr_t)pc->ist[i] + PERCPU_IST_SIZE;
	}
	/* beyond the TSS: no map; nothing runs outside ring 0 here */
	pc->tss.iomap_base = sizeof(pc->tss);
	pc->gdt[1] = 0x00af9b000000ffffull;	/* 64-bit code */
	pc->gdt[2] = 0x00cf93000000ffffull;	/* data */
	/* an available 64-bit TSS: LTR refuses a busy one, and makes it busy */
	pc->gdt[3] = (sizeof(pc->tss) - 1) | (tss & 0xffffff) << 16 |
		     0x89ull << 40 | (tss >> 24 & 0xff) << 56;
	pc->gdt[4] = tss >> 32;
	__asm__ volatile("lgdt %0; lidt %1" : : "m"(gdtr), "m"(idtr));
	__asm__ volatile("pushq %0; leaq 1f(%%rip), %%rax; pushq %%rax;"
			 "lretq; 1:" : : "i"(SEL_CODE) : "rax", "memory");
	__asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss;"
			 "mov %1, %%fs; mov %1, %%gs"
			 : : "r"(SEL_DATA), "r"(0));
	__asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
	/* after the selectors: loading %gs may clear its base */
	wrmsr(MSR_IA32_GS_BASE, (uintptr_t)pc);
	pc->self = pc;
	pc->stack_top = (uintptr_t)pc->stack + PERCPU_STACK_SIZE;
}

/**
 * Every exception and interrupt taken in the hypervisor itself, from
 * trap_common. An NMI is forgotten unless some CPU panics, a #DB always; a
 * machine check is mc.c's, interrupts are irq_handle()'s; all else is a
 * panic. Interrupts off.
 */
void trap_handle(struct trap_frame *f)
{
	if (f->vector == X86_EXC_NMI) {
		log_nmi(f->rip);
		return;
	}
	/* Nothing here sets TF or a breakpoint, and a guest's are off: but
	 * Bochs 2.7 takes a guest's single step after its #VMEXIT. This is so
	 * early that GS and TR are still the guest's: nothing is touched. */
	if (f->vector == X86_EXC_DB) {
		return;
	}
	if (f->vector == X86_EXC_MC) {
		mc_in_hypervisor();
		return;
	}
	/* also those that are nobody's: a device may still send what firmware
	 * has told it */
	if (f->vector >= FIRST_INTERRUPT) {
		irq_handle((uint32_t)f->vector);
		if (f->vector == VECTOR_TIMER) {
			start_overdue(f->rip);
		}
		return;
	}
	panic("exception %lu error %#lx at %#lx, CR2 %#lx, RSP %#lx, RAX %#lx "
	      "RCX %#lx RDX %#lx RDI %#lx RSI %#lx", f->vector, f->error,
	      f->rip, read_cr2(), f->rsp, f->rax, f->rcx, f->rdx, f->rdi,
	      f->rsi);
}
