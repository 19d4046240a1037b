/* SPDX-License-Identifier: MIT */
/*
 * Why a VM entry failed: the rules that a VMCS must obey, applied to a copy
 * of it. vmx_check_rules() is pure.
 */
#ifndef ISTHMUS_VMX_CHECK_H
#define ISTHMUS_VMX_CHECK_H

#include <types.h>

/* The fields that rules look at, by their names in enum vmcs_field. The
 * controls come first: each has a capability MSR. Segments: see CHECK_SEG. */
#define VMX_CHECK_FIELDS(F)						\
	F(PIN_BASED_CTLS) F(PROC_BASED_CTLS) F(PROC_BASED_CTLS2)	\
	F(EXIT_CTLS) F(ENTRY_CTLS)					\
	F(VPID) F(EPT_POINTER) F(IO_BITMAP_A) F(IO_BITMAP_B)		\
	F(MSR_BITMAP) F(CR3_TARGET_COUNT) F(ENTRY_INTR_INFO)		\
	F(ENTRY_EXCEPTION_ERROR) F(ENTRY_INSN_LEN)			\
	F(GUEST_CR0) F(GUEST_CR3) F(GUEST_CR4) F(GUEST_DR7)		\
	F(GUEST_IA32_DEBUGCTL) F(GUEST_IA32_PAT) F(GUEST_IA32_EFER)	\
	F(GUEST_SYSENTER_ESP) F(GUEST_SYSENTER_EIP)			\
	F(GUEST_GDTR_BASE) F(GUEST_GDTR_LIMIT) F(GUEST_IDTR_BASE)	\
	F(GUEST_IDTR_LIMIT) F(GUEST_RIP) F(GUEST_RFLAGS)		\
	F(GUEST_ACTIVITY) F(GUEST_INTERRUPTIBILITY)			\
	F(GUEST_PENDING_DEBUG) F(LINK_POINTER)				\
	VMX_CHECK_SEG(F, SELECTOR) VMX_CHECK_SEG(F, LIMIT)		\
	VMX_CHECK_SEG(F, AR) VMX_CHECK_SEG(F, BASE)
#define VMX_CHECK_SEG(F, what)						\
	F(GUEST_ES_##what) F(GUEST_CS_##what) F(GUEST_SS_##what)	\
	F(GUEST_DS_##what) F(GUEST_FS_##what) F(GUEST_GS_##what)	\
	F(GUEST_LDTR_##what) F(GUEST_TR_##what)

#define VMX_CHECK_ENUM(name)	CHECK_##name,
enum { VMX_CHECK_FIELDS(VMX_CHECK_ENUM) CHECK_FIELDS };
#define CHECK_CTLS	(CHECK_ENTRY_CTLS + 1)

/* Segments in the order of their encodings. */
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR,
       SEG_COUNT };
#define CHECK_SEG(seg, what)	(CHECK_GUEST_ES_##what + (seg))

struct vmx_check_state {
	uint64_t f[CHECK_FIELDS];
	uint64_t ctl_cap[CHECK_CTLS];	/* low: must be 1; high: may be 1 */
	uint64_t cr_fixed0[2], cr_fixed1[2];	/* CR0, CR4 */
	uint32_t physical_bits, linear_bits;
};

#define VMX_CHECK_MAX	16u

/* Rules found violated, as many as fit. */
struct vmx_check_report {
	uint32_t count;
	struct {
		uint32_t field;		/* CHECK_* */
		const char *rule;	/* what it must be */
		uint64_t arg;		/* bits, limit; 0: none */
	} v[VMX_CHECK_MAX];
};

void vmx_check_rules(const struct vmx_check_state *s,
		     struct vmx_check_report *r);
void vmx_check_log(void);

#endif
