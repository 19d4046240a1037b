/* SPDX-License-Identifier: MIT */
/*
 * The VMCB, with the names of the APM. [APM2 "VMCB Layout, Control Area",
 * "VMCB Layout, State Save Area", "SVM Intercept Exit Codes"]
 */
#ifndef ISTHMUS_VMCB_H
#define ISTHMUS_VMCB_H

#include <types.h>

struct vmcb_seg {
	uint16_t selector, attrib;	/* bits 40-47, 52-55 of a descriptor */
	uint32_t limit;
	uint64_t base;
};
#define ATTR_L		BIT32(9)	/* in CS: 64-bit code */

struct vmcb {
	uint32_t intercept_cr;		/* reads 0-15, writes 16-31 */
	uint32_t intercept_dr;
	uint32_t intercept_exc;
	uint32_t intercept_misc1;
	uint32_t intercept_misc2;
	uint32_t intercept_misc3;
	uint8_t reserved0[0x40 - 0x18];
	uint64_t iopm_base_pa;
	uint64_t msrpm_base_pa;
	uint64_t tsc_offset;	/* guest's TSC - host's */
	uint32_t guest_asid;
	uint8_t tlb_control, reserved1[3];	/* TLB_*, done by VMRUN */
	uint32_t int_ctl;
	uint32_t int_vector;
	uint64_t int_state;	/* INT_STATE_* */
	uint64_t exitcode;
	uint64_t exitinfo1;
	uint64_t exitinfo2;
	uint32_t exitintinfo, exitintinfo_error;	/* as eventinj */
	uint64_t np_enable;
	uint8_t reserved2[0xa8 - 0x98];
	uint32_t eventinj, eventinj_error;
	uint64_t n_cr3;		/* root of the nested tables */
	uint64_t lbr_control;
	uint32_t clean, reserved3;	/* 0: VMRUN reads everything */
	uint64_t nrip;		/* next RIP, with SVM_NRIP */
	uint8_t insn_bytes_len, insn_bytes[15];
	uint8_t reserved4[0x400 - 0xe0];
	struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t reserved5[0x4cb - 0x4a0];
	uint8_t cpl;
	uint32_t reserved6;
	uint64_t efer;
	uint8_t reserved7[0x548 - 0x4d8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t reserved8[0x5d8 - 0x580];
	uint64_t rsp;
	uint8_t reserved9[0x5f8 - 0x5e0];
	uint64_t rax;
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t cr2;
	uint8_t reserved10[0x668 - 0x648];
	uint64_t g_pat, dbgctl;
	uint8_t reserved11[0x1000 - 0x678];
};
#define VMCB_AT(field, at)	(offsetof(struct vmcb, field) == (at))
_Static_assert(VMCB_AT(iopm_base_pa, 0x40) && VMCB_AT(exitcode, 0x70) &&
	       VMCB_AT(eventinj, 0xa8) && VMCB_AT(nrip, 0xc8), "VMCB, controls");
_Static_assert(VMCB_AT(es, 0x400) && VMCB_AT(cpl, 0x4cb) &&
	       VMCB_AT(efer, 0x4d0) && VMCB_AT(cr4, 0x548) &&
	       VMCB_AT(rsp, 0x5d8) && VMCB_AT(rax, 0x5f8) &&
	       VMCB_AT(cr2, 0x640) && VMCB_AT(g_pat, 0x668) &&
	       sizeof(struct vmcb) == 0x1000, "VMCB, state");

/* Bits of intercept_cr. */
#define CR_READ(n)		BIT32(n)
#define CR_WRITE(n)		BIT32(16 + (n))

/* Bits of intercept_misc1 and intercept_misc2, by the names of the exits that they
 * ask for, whose codes go on from 0x60 and from 0x80 in the same order. */
#define MISC1(exit)		BIT32(SVM_EXIT_##exit - 0x60)
#define MISC2(exit)		BIT32(SVM_EXIT_##exit - 0x80)

/* [APM2 "VMCB Layout, Control Area"], offset 0x060 */
#define INT_CTL_V_IRQ		BIT32(8)
#define INT_CTL_V_IGN_TPR	BIT32(20)
#define INT_CTL_V_INTR_MASKING	BIT32(24)
#define INT_STATE_SHADOW	BIT64(0)

#define TLB_FLUSH_ALL		1u
#define TLB_FLUSH_ASID		3u

/* [APM2 "EVENTINJ Field"]; enum vm_event_type has the same numbers. */
#define EVENTINJ_VALID		BIT32(31)
#define EVENTINJ_ERROR		BIT32(11)
#define EVENTINJ_TYPE(e)	((e) >> 8 & 7)
#define EVENT_TYPE_SOFT		4u

enum svm_exit_code {
	SVM_EXIT_CR0_READ = 0x00, SVM_EXIT_CR0_WRITE = 0x10,
	SVM_EXIT_CR15_WRITE = 0x1f, SVM_EXIT_DR0_READ = 0x20,
	SVM_EXIT_DR15_WRITE = 0x3f, SVM_EXIT_EXCP0 = 0x40,
	SVM_EXIT_EXCP31 = 0x5f, SVM_EXIT_INTR = 0x60, SVM_EXIT_NMI = 0x61,
	SVM_EXIT_INIT = 0x63, SVM_EXIT_VINTR = 0x64, SVM_EXIT_RDPMC = 0x6f,
	SVM_EXIT_CPUID = 0x72, SVM_EXIT_RSM = 0x73, SVM_EXIT_IRET = 0x74,
	SVM_EXIT_INVD = 0x76, SVM_EXIT_HLT = 0x78, SVM_EXIT_INVLPGA = 0x7a,
	SVM_EXIT_IOIO = 0x7b, SVM_EXIT_MSR = 0x7c, SVM_EXIT_TASK_SWITCH = 0x7d,
	SVM_EXIT_FERR_FREEZE = 0x7e, SVM_EXIT_SHUTDOWN = 0x7f,
	SVM_EXIT_VMRUN = 0x80, SVM_EXIT_VMMCALL = 0x81, SVM_EXIT_VMLOAD = 0x82,
	SVM_EXIT_VMSAVE = 0x83, SVM_EXIT_STGI = 0x84, SVM_EXIT_CLGI = 0x85,
	SVM_EXIT_SKINIT = 0x86, SVM_EXIT_WBINVD = 0x89, SVM_EXIT_MONITOR = 0x8a,
	SVM_EXIT_MWAIT = 0x8b, SVM_EXIT_MWAIT_ARMED = 0x8c,
	SVM_EXIT_XSETBV = 0x8d, SVM_EXIT_RDPRU = 0x8e, SVM_EXIT_NPF = 0x400,
};

/* VMEXIT_INVALID is -1; some processors store only its low half. */
#define SVM_EXIT_INVALID	0xffffffffu

/* EXITINFO1 of a nested page fault. */
#define NPF_PRESENT		BIT64(0)
#define NPF_WRITE		BIT64(1)
#define NPF_FETCH		BIT64(4)

#endif
