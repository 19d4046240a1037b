/* SPDX-License-Identifier: MIT */
/*
 * What the payload stands on: own page tables (the first 4 GiB one to one,
 * reachable from CPL 3 too), GDT with user segments and a TSS, an IDT whose
 * every vector ends the attempt, and the serial port.
 *
 * Nothing here protects itself: the program is the attacker, and what must hold
 * is the hypervisor's. One vCPU (guest/diff starts another by itself).
 */
#include "payload.h"

#define COM1		0x3f8u
#define LSR		5u
#define LSR_THRE	0x20u
#define PTE_USER	0x67ull	/* present, writable, user, accessed, dirty */
#define PTE_LARGE	0x80ull
#define SIZE_2M		(2ull << 20)
#define SIZE_1G		(1ull << 30)
#define GATE_KERNEL	0x8eu
#define GATE_USER	0xeeu
#define VECTOR_RETURN	0x80u

/* [SDM3 "Task Management in 64-bit Mode"]; only RSP0 is used. */
struct tss {
	uint32_t reserved;
	uint64_t rsp0;
	uint8_t rest[92];
} __attribute__((packed));

struct table_ptr {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* All entries allow everything, so that a fault is the second level's doing.
 * One table is spare, for machine_map(). */
static uint64_t pml4[512] __attribute__((aligned(4096)));
static uint64_t pdpt[512] __attribute__((aligned(4096)));
static uint64_t pd[4][512] __attribute__((aligned(4096)));
static uint64_t pd_high[512] __attribute__((aligned(4096)));
static uint64_t idt[256][2];
static struct tss tss;
/* null, 32-bit code 8, code 0x10, data 0x18, user data 0x20, user code 0x28,
 * TSS 0x30 (two entries) */
static uint64_t gdt[8] = {
	0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff,
	0x00cff3000000ffff, 0x00affb000000ffff,
};

/* An interrupt gate of the 64-bit kernel segment; type with DPL. [SDM3 "64-Bit
 * Mode IDT"] */
static void set_gate(unsigned int vector, const uint8_t *handler,
		     unsigned int type)
{
	uint64_t at = (uintptr_t)handler;

	idt[vector][0] = (at & 0xffff) | 0x10ull << 16 |
			 (uint64_t)type << 40 | (at >> 16 & 0xffff) << 48;
	idt[vector][1] = at >> 32;
}

static void load_tables(void)
{
	struct table_ptr gdtr = { sizeof(gdt) - 1, (uintptr_t)gdt };
	struct table_ptr idtr = { sizeof(idt) - 1, (uintptr_t)idt };
	uint64_t base = (uintptr_t)&tss;

	tss.rsp0 = (uintptr_t)trap_stack_top;
	gdt[6] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 |
		 0x89ull << 40 | (base >> 24 & 0xff) << 56;
	gdt[7] = base >> 32;
	__asm__ volatile("lgdt %0; lidt %1; ltr %w2"
			 : : "m"(gdtr), "m"(idtr), "r"(0x30));
}

/**
 * Sets all of it up: from the loader's tables to ours. First of all; print()
 * works before. Vectors from 32 on but 0x80 have no gate: INT is #GP.
 */
void machine_init(void)
{
	for (unsigned int i = 0; i < 4 * 512; i++) {
		pd[i / 512][i % 512] = i * SIZE_2M | PTE_USER | PTE_LARGE;
	}
	for (unsigned int i = 0; i < 4; i++) {
		pdpt[i] = (uintptr_t)pd[i] | PTE_USER;
	}
	pml4[0] = (uintptr_t)pdpt | PTE_USER;
	__asm__ volatile("mov %0, %%cr3" : : "r"(pml4) : "memory");
	for (unsigned int i = 0; i < 32; i++) {
		set_gate(i, trap_stubs + 16 * i, GATE_KERNEL);
	}
	/* DPL 3: the way back from CPL 3 by INT. */
	set_gate(VECTOR_RETURN, trap_stubs + 16 * 32, GATE_USER);
	load_tables();
}

/** Has a handler, which returns by IRET, for a vector. */
void machine_set_handler(unsigned int vector, const void *handler)
{
	set_gate(vector, handler, GATE_KERNEL);
}

/**
 * Makes one guest-physical address accessible, with all of its GiB, and returns
 * where; 512 GiB are in reach, what is beyond is cut off. Above 4 GiB there is
 * one table for all: only the last one mapped is right. Nothing is touched.
 */
volatile uint8_t *machine_map(uint64_t gpa)
{
	unsigned int gib = (unsigned int)(gpa / SIZE_1G) % 512;

	if (gib >= 4) {
		pdpt[gib] = (uintptr_t)pd_high | PTE_USER;
		for (unsigned int i = 0; i < 512; i++) {
			pd_high[i] = (gib * SIZE_1G + i * SIZE_2M) |
				     PTE_USER | PTE_LARGE;
		}
		__asm__ volatile("mov %0, %%cr3" : : "r"(pml4) : "memory");
	}
	return (volatile uint8_t *)(uintptr_t)(gpa % (512 * SIZE_1G));
}

/** Text to COM1, which host-bridge answers: each character is two exits. */
void print(const char *text)
{
	for (; *text; text++) {
		while (!(port_in8(COM1 + LSR) & LSR_THRE)) {
		}
		port_out8(COM1, (uint8_t)*text);
	}
}

/** A number as 0x and digits, without leading zeroes. */
void print_hex(uint64_t value)
{
	char text[19] = "0x0";
	unsigned int digits = 1;

	while (digits < 16 && value >> (4 * digits)) {
		digits++;
	}
	for (unsigned int i = 0; i < digits; i++) {
		text[2 + i] = "0123456789abcdef"[
			value >> (4 * (digits - 1 - i)) & 15];
	}
	text[2 + digits] = '\0';
	print(text);
}

/* What guarded() returned, in the words of the tests: "ok", the exception's
 * mnemonic, or its number. */
static void print_trap(unsigned int trap)
{
	static const char names[32][4] = {
		[0] = "#DE", [1] = "#DB", [6] = "#UD", [7] = "#NM",
		[8] = "#DF", [10] = "#TS", [11] = "#NP", [12] = "#SS",
		[13] = "#GP", [14] = "#PF", [16] = "#MF", [17] = "#AC",
	};
	unsigned int vector = trap & 0xff;

	if (trap == 0 || vector == VECTOR_RETURN) {
		print("ok");
	} else if (vector < 32 && names[vector][0]) {
		print(names[vector]);
	} else {
		print("vector ");
		print_hex(vector);
	}
}

/**
 * One line: the attempt (detail appended in hex unless ~0), its result.
 * qemu-test/boot/cases_isolation.py reads these and knows what each must be.
 */
void report(const char *name, uint64_t detail, unsigned int trap)
{
	print("PAYLOAD ");
	print(name);
	if (detail != ~0ull) {
		print_hex(detail);
	}
	print(" ");
	print_trap(trap);
	print("\n");
}

/** The same, with the value read if there was no exception. */
void report_value(const char *name, uint64_t detail, unsigned int trap,
		  uint64_t value)
{
	if (trap) {
		report(name, detail, trap);
		return;
	}
	print("PAYLOAD ");
	print(name);
	if (detail != ~0ull) {
		print_hex(detail);
	}
	print(" ok ");
	print_hex(value);
	print("\n");
}
