/* SPDX-License-Identifier: MIT */
/*
 * Page tables (identity, W^X), GDT, TSS, IDT. The map of guest-physical memory
 * is proto/host_info.h's; what is not in it stays unmapped, page 0 above all.
 *
 * These tables are no wall towards Linux or the hypervisor, whose second-level
 * tables are: they turn our own mistakes (null pointers, overflow, writes to
 * code) into exceptions with a dump. One CPU, set up once, never changed after,
 * so there is nothing to flush or lock.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/host_info.h"
#include "host-bridge/rt/cpu.h"

#define PAGE		4096ull
#define PAGE_2M		(2ull << 20)

/* [SDM3 "4-Level Paging and 5-Level Paging"]. Accessed and dirty are set
 * beforehand: nobody looks at them. */
#define PTE_P		(1ull << 0)
#define PTE_W		(1ull << 1)
#define PTE_AD		(3ull << 5)
#define PTE_PS		(1ull << 7)
#define PTE_NX		(1ull << 63)
#define PTE_TABLE	(PTE_P | PTE_W | PTE_AD)
#define PTE_DATA	(PTE_P | PTE_W | PTE_AD | PTE_NX)
#define PTE_CONST	(PTE_P | PTE_AD | PTE_NX)
#define PTE_TEXT	(PTE_P | PTE_AD)

#define MSR_IA32_EFER	0xc0000080u
#define EFER_NXE	(1ull << 11)

/* [SDM1 "Managing State Using the XSAVE Feature Set"] */
#define CPUID_1_ECX_XSAVE	(1u << 26)
#define CPUID_D_EAX_WANTED	7u	/* x87, SSE, AVX */
#define XCR0_AVX		4u
#define CR4_OSXSAVE		(1ull << 18)

#define GIBS		((HOST_CHANNEL_GPA + \
			  HOST_CHANNELS * HOST_CHANNEL_STRIDE) >> 30)
#define SMALL_TABLES	4	/* the first 8 MiB in 4 KiB pages */

/* Symbols of host-bridge.lds, each at a page; only their addresses matter. */
extern uint8_t image_start[], text_end[], rodata_end[], stack_guard[];
extern uint8_t trap_entries[];
extern uint8_t mem_wide;

struct table {
	uint64_t entry[512];
} __attribute__((aligned(4096)));

/* In .bss: identity mapped, so their addresses are what the entries hold. One
 * PDPT entry a GiB; nothing is mapped above those. */
static struct table pml4, pdpt, directory[GIBS], small[SMALL_TABLES];

/* Null, unused, 64-bit code (0x10), data (0x18), TSS (0x20, two slots):
 * the selectors boot/ started us with stay valid. */
static uint64_t gdt[6] = {
	0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0, 0
};

/* [SDM3 "Task Management in 64-bit Mode"] */
struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t io_map_base;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "TSS layout");

static struct tss tss;
uint8_t mem_wide;		/* read by mem.S */
static uint8_t trap_stack[16384] __attribute__((aligned(16)));

/* [SDM3 "64-Bit Mode IDT"] */
struct idt_gate {
	uint16_t offset_low;
	uint16_t selector;
	uint16_t ist_type;	/* IST in bits 2:0, type in the high byte */
	uint16_t offset_mid;
	uint32_t offset_high;
	uint32_t reserved;
};

#define GATE_IST1	0x0001u
#define GATE_INTERRUPT	0x8e00u	/* present, DPL 0, type 14 */
#define TRAP_STRIDE	16	/* bytes between entries in trap_entry.S */

/* Exceptions only: no vector from 32 on can occur, since the hypervisor injects
 * nothing and no INT instruction is executed. */
static struct idt_gate idt[32];

/* What LGDT and LIDT read. */
struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* Entry for one 4 KiB page of the first 8 MiB, in which image and stack lie.
 * Absent: page 0, for null pointers, and the guard below the stack. What is
 * neither text nor constant is data, boot/'s tables below 1 MiB included: they
 * are not used again, but nothing forbids to look at them. */
static uint64_t small_entry(uint64_t addr)
{
	if (addr == 0 || addr == (uintptr_t)stack_guard) {
		return 0;
	}
	if (addr >= (uintptr_t)image_start && addr < (uintptr_t)text_end) {
		return addr | PTE_TEXT;
	}
	if (addr == HOST_INFO_GPA || (addr >= (uintptr_t)text_end &&
				      addr < (uintptr_t)rodata_end)) {
		return addr | PTE_CONST;
	}
	return addr | PTE_DATA;
}

/* Modules are only read, but for the volume, whose blocks lie in its own
 * image, the black box and what outlives this program. Each starts on 2 MiB. */
static uint64_t module_entry(uint64_t addr, const struct host_info *info)
{
	for (uint32_t i = 0; i < info->module_count; i++) {
		const struct host_module *m = &info->modules[i];

		/* Sizes are exact; an entry that reaches beyond the end is
		 * still needed. */
		if (addr + PAGE_2M > m->gpa && addr < m->gpa + m->size) {
			return strcmp(m->name, "volume") == 0 ||
			       strcmp(m->name, HOST_BOX_MODULE) == 0 ||
			       strcmp(m->name, HOST_LEGACY_MODULE) == 0 ?
			       addr | PTE_DATA | PTE_PS :
			       addr | PTE_CONST | PTE_PS;
		}
	}
	return 0;
}

/* Entry for 2 MiB at addr: RAM, DMA pool, modules, UART, framebuffer, devices, channels.
 * The ranges are mapped whether or not each channel exists, as a map costs nothing;
 * the framebuffer's range exists only on machines that have one. Page attributes
 * are the second level's matter: write-back here throughout. */
static uint64_t large_entry(uint64_t addr, const struct host_info *info)
{
	uint64_t end = info->framebuffer.gpa ? 0xc0000000ull :
					       HOST_FRAMEBUFFER_GPA;

	if (addr < info->ram_end || addr >= HOST_BAR_GPA ||
	    (addr >= HOST_DMA_GPA && addr < HOST_MODULE_GPA)) {
		return addr | PTE_DATA | PTE_PS;
	}
	if (addr >= HOST_MODULE_GPA && addr < HOST_MODULE_END) {
		return module_entry(addr, info);
	}
	return (addr >= HOST_FRAMEBUFFER_GPA && addr < end) ||
	       (addr == HOST_UART_GPA && info->uart.kind) ?
	       addr | PTE_DATA | PTE_PS : 0;
}

/* 7 GiB: two levels of fixed size, the first 8 MiB one level deeper. The large
 * entries for those are replaced after they were made. */
static void page_tables(const struct host_info *info)
{
	pml4.entry[0] = (uintptr_t)&pdpt | PTE_TABLE;
	for (unsigned i = 0; i < GIBS; i++) {
		pdpt.entry[i] = (uintptr_t)&directory[i] | PTE_TABLE;
	}
	for (unsigned i = 0; i < GIBS * 512; i++) {
		directory[i / 512].entry[i % 512] =
			large_entry(i * PAGE_2M, info);
	}
	for (unsigned i = 0; i < SMALL_TABLES; i++) {
		directory[0].entry[i] = (uintptr_t)&small[i] | PTE_TABLE;
	}
	for (unsigned i = 0; i < SMALL_TABLES * 512; i++) {
		small[i / 512].entry[i % 512] = small_entry(i * PAGE);
	}
}

/* Before CR3 is loaded: PTE_NX is a reserved bit without it. */
static void enable_nx(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(MSR_IA32_EFER));
	if (!(lo & EFER_NXE)) {
		lo |= EFER_NXE;
		__asm__ volatile("wrmsr" : : "a"(lo), "d"(hi),
				 "c"(MSR_IA32_EFER));
	}
}

/* Enables the same state components as Linux uses: AVX makes long copies
 * short (mem.S), and equal masks spare the hypervisor switching them. */
static void enable_avx(void)
{
	uint32_t eax = 1, ebx, ecx = 0, edx;
	uint64_t cr4;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	/* The hypervisor does not run without it; a bare emulator may (mock
	 * tests). */
	if (!(ecx & CPUID_1_ECX_XSAVE)) {
		return;
	}
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_OSXSAVE));
	eax = 0xd;
	ecx = 0;
	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	/* What is not offered here would be #GP in XSETBV. x87 is always
	 * set. */
	eax &= CPUID_D_EAX_WANTED;
	__asm__ volatile("xsetbv" : : "a"(eax), "d"(0), "c"(0));
	mem_wide = (eax & XCR0_AVX) != 0;
}

/* The code segment keeps its selector, so nothing has to be reloaded. */
static void descriptor_tables(void)
{
	uint64_t base = (uintptr_t)&tss;
	struct table_register gdtr = { sizeof(gdt) - 1, (uintptr_t)gdt };
	struct table_register idtr = { sizeof(idt) - 1, (uintptr_t)idt };

	tss.ist[0] = (uintptr_t)trap_stack + sizeof(trap_stack);
	/* Beyond the limit: no bitmap. CPL 0 needs none. */
	tss.io_map_base = sizeof(tss);
	/* Type 9, present: an available 64-bit TSS, whose descriptor takes two
	 * slots. [SDM3 "TSS Descriptor in 64-bit mode"] */
	gdt[4] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 |
		 0x89ull << 40 | (base >> 24 & 0xff) << 56;
	gdt[5] = base >> 32;
	for (unsigned i = 0; i < 32; i++) {
		uint64_t entry = (uintptr_t)trap_entries + i * TRAP_STRIDE;

		idt[i] = (struct idt_gate){
			/* DPL 0 and IST 1 for all: nothing here runs at another
			 * CPL. */
			.offset_low = (uint16_t)entry,
			.selector = 0x10,
			.ist_type = GATE_IST1 | GATE_INTERRUPT,
			.offset_mid = (uint16_t)(entry >> 16),
			.offset_high = (uint32_t)(entry >> 32),
		};
	}
	__asm__ volatile("lgdt %0; lidt %1; ltr %2"
			 : : "m"(gdtr), "m"(idtr), "r"((uint16_t)0x20)
			 : "memory");
}

/**
 * Replaces boot/'s tables by our own; once, before anything may fault and be
 * reported. info must lie where the new tables map it (HOST_INFO_GPA), and no
 * pointer outside the map of proto/host_info.h may be in use. Descriptor tables
 * first, so that a fault on the rest of the way is reported too.
 */
void cpu_init(const struct host_info *info)
{
	descriptor_tables();
	page_tables(info);
	enable_nx();
	enable_avx();
	__asm__ volatile("mov %0, %%cr3"
			 : : "r"((uintptr_t)&pml4) : "memory");
}
