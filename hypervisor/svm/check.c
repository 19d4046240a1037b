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

/* Each check below: the rule in words, the field's value in *v; NULL: all
 * hold. */
static const char *check_control_registers(const struct vmcb *b, uint64_t *v)
{
	*v = b->cr0;
	if (!(b->cr0 & CR0_CD) && (b->cr0 & CR0_NW)) {
		return "CR0.CD is 0 and CR0.NW is 1";
	}
	if (b->cr0 >> 32) {
		return "CR0[63:32] are not 0";
	}
	*v = b->cr4;
	if (b->cr4 & CR4_MBZ) {
		return "a reserved bit of CR4 is 1";
	}
	if (long_mode(b) && !(b->cr4 & CR4_PAE)) {
		return "EFER.LME and CR0.PG are 1 and CR4.PAE is 0";
	}
	*v = b->cr0;
	if (long_mode(b) && !(b->cr0 & CR0_PE)) {
		return "EFER.LME and CR0.PG are 1 and CR0.PE is 0";
	}
	*v = b->efer;
	if (!(b->efer & EFER_SVME)) {
		return "EFER.SVME is 0";
	}
	return b->efer & EFER_MBZ ? "a reserved bit of EFER is 1" : NULL;
}

static const char *check_state(const struct vmcb *b, uint32_t phys_bits,
			       uint64_t *v)
{
	*v = b->cr3;
	if (long_mode(b) && b->cr3 >> phys_bits) {
		return "a reserved bit of CR3 is 1";
	}
	*v = b->dr6;
	if (b->dr6 >> 32) {
		return "DR6[63:32] are not 0";
	}
	*v = b->dr7;
	if (b->dr7 >> 32) {
		return "DR7[63:32] are not 0";
	}
	*v = b->cs.attrib;
	if (long_mode(b) && (b->cr4 & CR4_PAE) &&
	    (b->cs.attrib & (ATTR_L | ATTR_D)) == (ATTR_L | ATTR_D)) {
		return "CS.L and CS.D are both 1 in long mode";
	}
	return NULL;
}

/* [APM2 "EVENTINJ Field"] */
static const char *check_event(const struct vmcb *b)
{
	uint32_t type = EVENTINJ_TYPE(b->eventinj), vector = b->eventinj & 0xff;

	if (!(b->eventinj & EVENTINJ_VALID)) {
		return NULL;
	}
	if (type == 1 || type > EVENT_TYPE_SOFT) {
		return "EVENTINJ.TYPE is reserved";
	}
	if (type == EVENT_TYPE_EXCEPTION && (vector == 2 || vector > 31)) {
		return "EVENTINJ names a vector that is no exception";
	}
	return NULL;
}

/* What belongs to the hypervisor alone: a violation here is our own bug. */
static const char *check_controls(const struct vmcb *b, uint32_t phys_bits,
				  uint32_t asids, uint64_t *v)
{
	*v = b->intercept_misc2;
	if (!(b->intercept_misc2 & MISC2_VMRUN)) {
		return "the VMRUN intercept is clear";
	}
	*v = b->guest_asid;
	/* 0 is the hypervisor's own */
	if (!b->guest_asid || b->guest_asid >= asids) {
		return "the ASID is 0 or beyond what the processor has";
	}
	*v = b->iopm_base_pa;
	if ((b->iopm_base_pa + BITMAP_PAGES) >> phys_bits) {
		return "the I/O permission map is beyond physical memory";
	}
	*v = b->msrpm_base_pa;
	if ((b->msrpm_base_pa + BITMAP_PAGES) >> phys_bits) {
		return "the MSR permission map is beyond physical memory";
	}
	*v = b->n_cr3;
	if (b->np_enable && ((b->n_cr3 & 0xfff) || b->n_cr3 >> phys_bits)) {
		return "a reserved bit of nCR3 is 1";
	}
	*v = b->eventinj;
	return check_event(b);
}

/**
 * The first rule of VMRUN that b violates, in words, and the value of the
 * field that does it in *value; NULL: none of those known here, *value says
 * nothing. phys_bits: physical address bits; asids: number of ASIDs. Pure.
 */
const char *svm_check_vmcb(const struct vmcb *b, uint32_t phys_bits,
			   uint32_t asids, uint64_t *value)
{
	const char *why = check_control_registers(b, value);

	if (!why) {
		why = check_state(b, phys_bits, value);
	}
	return why ? why : check_controls(b, phys_bits, asids, value);
}
