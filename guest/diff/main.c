/* SPDX-License-Identifier: MIT */
/*
 * The program of the differential test: its sections in order. Same
 * instructions, same order, on every processor: nothing here may branch on
 * time, vendor or an answer, but for the hypercall's instruction.
 * docs/debugging.md, "Differential test", says how it is judged.
 */
#include "diff.h"

#define GATE_KERNEL	0x8eull
/* A 32-bit code segment, for trips out of 64-bit mode (entry.S). */
#define CODE32		0x00cf9b000000ffffull

void payload_main(const uint8_t *boot_params);

static struct __attribute__((packed)) {
	uint16_t limit;
	uint64_t *base;
} gdtr, idtr;

/**
 * Puts a handler into the table that machine_init() loaded, for CPL 0, on the
 * stack of the moment. A handler returns with IRET (HANDLER), or is a stub of
 * payload/header.S that ends guarded().
 */
void set_handler(unsigned int vector, const void *handler)
{
	uint64_t at = (uintptr_t)handler;

	idtr.base[2 * vector] = (at & 0xffff) | 0x10ull << 16 |
				GATE_KERNEL << 40 | (at >> 16 & 0xffff) << 48;
	idtr.base[2 * vector + 1] = at >> 32;
}

/* VMMCALL where the processor says it is an AMD, or a Hygon, as host-bridge's
 * crt0.S has it. The page is writable and executable: this program defends
 * nothing. */
static void patch_hypercall(void)
{
	uint32_t eax = 0, ebx, ecx = 0, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	if (ecx == 0x444d4163 || ecx == 0x656e6975) {	/* "cAMD", "uine" */
		hypercall_insn[2] = 0xd9;
	}
}

/* Numbered in this order in the trace (mark()). test_xapic() is last: it leaves
 * x2APIC mode, and the MSRs with it. */
static void (*const sections[])(void) = {
	test_cpuid, test_msrs, test_ports, test_exceptions, test_paging,
	test_xsave, test_populate, test_channel, test_hypercalls, test_timer,
	test_ipi, test_xapic,
};

/* From header.S. The boot parameters are host-bridge's and not compared. */
void payload_main(const uint8_t *boot_params)
{
	(void)boot_params;
	machine_init();
	__asm__ volatile("sgdt %0; sidt %1" : "=m"(gdtr), "=m"(idtr));
	gdtr.base[1] = CODE32;		/* the unused entry */
	patch_hypercall();
	for (uint32_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		mark(i);
		sections[i]();
	}
	mark(MARK_END);
}
