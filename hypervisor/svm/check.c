/* SPDX-License-Identifier: MIT */
/*
 * VMRUN refused the VMCB (VMEXIT_INVALID) and does not say why: each rule of
 * [APM2 "Canonicalization and Consistency Checks"], with the field and the
 * value that violates it. Pure; the caller logs.
 */
#include <x86.h>
#include "svm.h"

/* No guest of ours sets any of these; newer processors define some. */
#define EFER_MBZ	(~0ull << 16 | 0x2feull)	/* bits 1-7, 9, 16.. */
#define CR4_MBZ		(~0ull << 32)
#define ATTR_D		BIT32(10)
#define BITMAP_PAGES	0x3000ull	/* IOPM; the MSRPM is smaller */

/* As the rules put it: LME and PG, whatever LMA says. */
static bool long_mode(const struct vmcb *b)
{
	return (b->efer & EFER_LME) && (b->cr0 & CR0_PG);
}

/* [APM2 "EVENTINJ Field"]: a type that is reserved, or no exception's vector. */
static bool bad_event(const struct vmcb *b)
{
	uint32_t type = EVENTINJ_TYPE(b->eventinj), vector = b->eventinj & 0xff;

	return (b->eventinj & EVENTINJ_VALID) &&
	       (type == 1 || type > EVENT_TYPE_SOFT ||
		(type == VM_EVENT_EXCEPTION && (vector == 2 || vector > 31)));
}

/**
 * The first rule of VMRUN that b violates, in words, and the value of the
 * field that does it in *value; NULL: none of those known here, *value says
 * nothing. phys_bits: physical address bits; asids: number of ASIDs. Pure.
 */
const char *svm_check_vmcb(const struct vmcb *b, uint32_t phys_bits,
			   uint32_t asids, uint64_t *value)
{
	bool lm = long_mode(b);
	const struct {
		bool bad;
		uint64_t value;
		const char *why;
	} rules[] = {
		{ !(b->cr0 & CR0_CD) && (b->cr0 & CR0_NW), b->cr0,
		  "CR0.CD is 0 and CR0.NW is 1" },
		{ b->cr0 >> 32, b->cr0, "CR0[63:32] are not 0" },
		{ b->cr4 & CR4_MBZ, b->cr4, "a reserved bit of CR4 is 1" },
		{ lm && !(b->cr4 & CR4_PAE), b->cr4,
		  "EFER.LME and CR0.PG are 1 and CR4.PAE is 0" },
		{ lm && !(b->cr0 & CR0_PE), b->cr0,
		  "EFER.LME and CR0.PG are 1 and CR0.PE is 0" },
		{ !(b->efer & EFER_SVME), b->efer, "EFER.SVME is 0" },
		{ b->efer & EFER_MBZ, b->efer, "a reserved bit of EFER is 1" },
		{ lm && b->cr3 >> phys_bits, b->cr3,
		  "a reserved bit of CR3 is 1" },
		{ b->dr6 >> 32, b->dr6, "DR6[63:32] are not 0" },
		{ b->dr7 >> 32, b->dr7, "DR7[63:32] are not 0" },
		{ lm && (b->cr4 & CR4_PAE) &&
		  !(~b->cs.attrib & (ATTR_L | ATTR_D)), b->cs.attrib,
		  "CS.L and CS.D are both 1 in long mode" },
		/* the hypervisor's alone, from here on: our own bug */
		{ !(b->intercept_misc2 & MISC2(VMRUN)), b->intercept_misc2,
		  "the VMRUN intercept is clear" },
		/* 0 is the hypervisor's own */
		{ !b->guest_asid || b->guest_asid >= asids, b->guest_asid,
		  "the ASID is 0 or beyond what the processor has" },
		{ (b->iopm_base_pa + BITMAP_PAGES) >> phys_bits, b->iopm_base_pa,
		  "the I/O permission map is beyond physical memory" },
		{ (b->msrpm_base_pa + BITMAP_PAGES) >> phys_bits,
		  b->msrpm_base_pa,
		  "the MSR permission map is beyond physical memory" },
		{ b->np_enable && ((b->n_cr3 & 0xfff) || b->n_cr3 >> phys_bits),
		  b->n_cr3, "a reserved bit of nCR3 is 1" },
		{ bad_event(b), b->eventinj, "EVENTINJ.TYPE is reserved, "
		  "or its vector is no exception" },
	};
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(rules) && !rules[i].bad; i++) {
	}
	*value = i < ARRAY_SIZE(rules) ? rules[i].value : 0;
	return i < ARRAY_SIZE(rules) ? rules[i].why : NULL;
}
