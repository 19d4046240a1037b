/* SPDX-License-Identifier: MIT */
/*
 * VMCS fields and control bits by the names and encodings of the SDM.
 * [SDM3 "Field Encoding in VMCS", "VMX Capability Reporting Facility"]
 */
#ifndef ISTHMUS_VMCS_H
#define ISTHMUS_VMCS_H

#include <types.h>

enum {
	MSR_IA32_VMX_BASIC = 0x480, MSR_IA32_VMX_PINBASED_CTLS = 0x481,
	MSR_IA32_VMX_PROCBASED_CTLS = 0x482, MSR_IA32_VMX_EXIT_CTLS = 0x483,
	MSR_IA32_VMX_ENTRY_CTLS = 0x484, MSR_IA32_VMX_MISC = 0x485,
	MSR_IA32_VMX_CR0_FIXED0 = 0x486, MSR_IA32_VMX_CR0_FIXED1 = 0x487,
	MSR_IA32_VMX_CR4_FIXED0 = 0x488, MSR_IA32_VMX_CR4_FIXED1 = 0x489,
	MSR_IA32_VMX_PROCBASED_CTLS2 = 0x48b, MSR_IA32_VMX_EPT_VPID_CAP = 0x48c,
};
/* The TRUE_ controls are at these distances from the plain ones. */
#define VMX_TRUE_CTLS_OFFSET		(0x48d - 0x481)

/* Of each segment, in their order. */
#define VMCS_GUEST_SEGS(what, first)					\
	VMCS_GUEST_ES_##what = (first), VMCS_GUEST_CS_##what = (first) + 2, \
	VMCS_GUEST_SS_##what = (first) + 4, VMCS_GUEST_DS_##what = (first) + 6, \
	VMCS_GUEST_FS_##what = (first) + 8, VMCS_GUEST_GS_##what = (first) + 10, \
	VMCS_GUEST_LDTR_##what = (first) + 12, VMCS_GUEST_TR_##what = (first) + 14

enum vmcs_field {
	VMCS_VPID = 0x0000, VMCS_GUEST_SEGS(SELECTOR, 0x0800),
	VMCS_HOST_ES_SELECTOR = 0x0c00, VMCS_HOST_CS_SELECTOR = 0x0c02,
	VMCS_HOST_SS_SELECTOR = 0x0c04, VMCS_HOST_DS_SELECTOR = 0x0c06,
	VMCS_HOST_FS_SELECTOR = 0x0c08, VMCS_HOST_GS_SELECTOR = 0x0c0a,
	VMCS_HOST_TR_SELECTOR = 0x0c0c,
	VMCS_IO_BITMAP_A = 0x2000, VMCS_IO_BITMAP_B = 0x2002,
	VMCS_MSR_BITMAP = 0x2004, VMCS_TSC_OFFSET = 0x2010,
	VMCS_EPT_POINTER = 0x201a, VMCS_GUEST_PHYSICAL_ADDRESS = 0x2400,
	VMCS_LINK_POINTER = 0x2800, VMCS_GUEST_IA32_DEBUGCTL = 0x2802,
	VMCS_GUEST_IA32_PAT = 0x2804, VMCS_GUEST_IA32_EFER = 0x2806,
	VMCS_HOST_IA32_PAT = 0x2c00, VMCS_HOST_IA32_EFER = 0x2c02,
	VMCS_PIN_BASED_CTLS = 0x4000, VMCS_PROC_BASED_CTLS = 0x4002,
	VMCS_EXCEPTION_BITMAP = 0x4004, VMCS_PF_ERROR_MASK = 0x4006,
	VMCS_PF_ERROR_MATCH = 0x4008, VMCS_CR3_TARGET_COUNT = 0x400a,
	VMCS_EXIT_CTLS = 0x400c, VMCS_EXIT_MSR_STORE_COUNT = 0x400e,
	VMCS_EXIT_MSR_LOAD_COUNT = 0x4010, VMCS_ENTRY_CTLS = 0x4012,
	VMCS_ENTRY_MSR_LOAD_COUNT = 0x4014, VMCS_ENTRY_INTR_INFO = 0x4016,
	VMCS_ENTRY_EXCEPTION_ERROR = 0x4018, VMCS_ENTRY_INSN_LEN = 0x401a,
	VMCS_PROC_BASED_CTLS2 = 0x401e,
	VMCS_INSN_ERROR = 0x4400, VMCS_EXIT_REASON = 0x4402,
	VMCS_EXIT_INTR_INFO = 0x4404, VMCS_EXIT_INTR_ERROR = 0x4406,
	VMCS_IDT_VECTORING_INFO = 0x4408, VMCS_IDT_VECTORING_ERROR = 0x440a,
	VMCS_EXIT_INSN_LEN = 0x440c, VMCS_GUEST_SEGS(LIMIT, 0x4800),
	VMCS_GUEST_GDTR_LIMIT = 0x4810, VMCS_GUEST_IDTR_LIMIT = 0x4812,
	VMCS_GUEST_SEGS(AR, 0x4814),
	VMCS_GUEST_INTERRUPTIBILITY = 0x4824, VMCS_GUEST_ACTIVITY = 0x4826,
	VMCS_GUEST_SYSENTER_CS = 0x482a, VMCS_PREEMPTION_TIMER = 0x482e,
	VMCS_HOST_SYSENTER_CS = 0x4c00,
	VMCS_CR0_MASK = 0x6000, VMCS_CR4_MASK = 0x6002,
	VMCS_CR0_SHADOW = 0x6004, VMCS_CR4_SHADOW = 0x6006,
	VMCS_EXIT_QUALIFICATION = 0x6400,
	VMCS_GUEST_CR0 = 0x6800, VMCS_GUEST_CR3 = 0x6802,
	VMCS_GUEST_CR4 = 0x6804, VMCS_GUEST_SEGS(BASE, 0x6806),
	VMCS_GUEST_GDTR_BASE = 0x6816, VMCS_GUEST_IDTR_BASE = 0x6818,
	VMCS_GUEST_DR7 = 0x681a, VMCS_GUEST_RSP = 0x681c,
	VMCS_GUEST_RIP = 0x681e, VMCS_GUEST_RFLAGS = 0x6820,
	VMCS_GUEST_PENDING_DEBUG = 0x6822, VMCS_GUEST_SYSENTER_ESP = 0x6824,
	VMCS_GUEST_SYSENTER_EIP = 0x6826,
	VMCS_HOST_CR0 = 0x6c00, VMCS_HOST_CR3 = 0x6c02,
	VMCS_HOST_CR4 = 0x6c04, VMCS_HOST_FS_BASE = 0x6c06,
	VMCS_HOST_GS_BASE = 0x6c08, VMCS_HOST_TR_BASE = 0x6c0a,
	VMCS_HOST_GDTR_BASE = 0x6c0c, VMCS_HOST_IDTR_BASE = 0x6c0e,
	VMCS_HOST_SYSENTER_ESP = 0x6c10, VMCS_HOST_SYSENTER_EIP = 0x6c12,
	VMCS_HOST_RSP = 0x6c14, VMCS_HOST_RIP = 0x6c16,
};

/* [SDM3 "Pin-Based VM-Execution Controls"] */
#define PIN_EXT_INTR_EXIT	BIT32(0)
#define PIN_NMI_EXIT		BIT32(3)
#define PIN_VIRTUAL_NMIS	BIT32(5)
#define PIN_PREEMPTION_TIMER	BIT32(6)

/* [SDM3 "Processor-Based VM-Execution Controls"], primary and secondary */
#define PROC_INTR_WINDOW	BIT32(2)
#define PROC_TSC_OFFSETTING	BIT32(3)
#define PROC_HLT_EXIT		BIT32(7)
#define PROC_MWAIT_EXIT		BIT32(10)
#define PROC_RDPMC_EXIT		BIT32(11)
#define PROC_CR8_LOAD_EXIT	BIT32(19)
#define PROC_CR8_STORE_EXIT	BIT32(20)
#define PROC_NMI_WINDOW		BIT32(22)
#define PROC_MOV_DR_EXIT	BIT32(23)
#define PROC_IO_BITMAPS		BIT32(25)
#define PROC_MSR_BITMAPS	BIT32(28)
#define PROC_MONITOR_EXIT	BIT32(29)
#define PROC_SECONDARY		BIT32(31)

#define PROC2_EPT		BIT32(1)
#define PROC2_RDTSCP		BIT32(3)
#define PROC2_VPID		BIT32(5)
#define PROC2_WBINVD_EXIT	BIT32(6)
#define PROC2_UNRESTRICTED	BIT32(7)
#define PROC2_INVPCID		BIT32(12)

/* [SDM3 "VM-Exit Controls"] */
#define EXIT_SAVE_DEBUG		BIT32(2)
#define EXIT_HOST_64		BIT32(9)
#define EXIT_ACK_INTR		BIT32(15)
#define EXIT_SAVE_PAT		BIT32(18)
#define EXIT_LOAD_PAT		BIT32(19)
#define EXIT_SAVE_EFER		BIT32(20)
#define EXIT_LOAD_EFER		BIT32(21)

/* [SDM3 "VM-Entry Controls"] */
#define ENTRY_LOAD_DEBUG	BIT32(2)
#define ENTRY_IA32E		BIT32(9)
#define ENTRY_LOAD_PAT		BIT32(14)
#define ENTRY_LOAD_EFER		BIT32(15)

/* Interruption information: of exits, of interrupted deliveries, and for
 * injection, where enum vm_event_type has the same numbers. */
#define INTR_INFO_VALID		BIT32(31)
#define INTR_INFO_ERROR		BIT32(11)
#define INTR_INFO_TYPE(i)	((i) >> 8 & 7)
#define NMI_UNBLOCKED		BIT32(12)	/* also in qualifications */
#define INTR_TYPE_SOFT_FIRST	4u

/* Interruptibility state. [SDM3 "Guest Non-Register State"] */
#define GUEST_BLOCK_STI		BIT64(0)
#define GUEST_BLOCK_MOVSS	BIT64(1)
#define GUEST_BLOCK_SHADOW	(GUEST_BLOCK_STI | GUEST_BLOCK_MOVSS)
#define GUEST_BLOCK_NMI		BIT64(3)

#define VMX_EXIT_ENTRY_FAILURE	BIT32(31)

/* Basic exit reasons. [SDM3 "VMX Basic Exit Reasons"] */
enum vmx_exit_reason {
	VMX_EXIT_REASON_EXCEPTION_NMI = 0, VMX_EXIT_REASON_EXT_INTR = 1,
	VMX_EXIT_REASON_TRIPLE_FAULT = 2, VMX_EXIT_REASON_INTR_WINDOW = 7,
	VMX_EXIT_REASON_NMI_WINDOW = 8, VMX_EXIT_REASON_CPUID = 10,
	VMX_EXIT_REASON_GETSEC = 11, VMX_EXIT_REASON_HLT = 12,
	VMX_EXIT_REASON_INVD = 13, VMX_EXIT_REASON_RDPMC = 15,
	VMX_EXIT_REASON_RSM = 17, VMX_EXIT_REASON_VMCALL = 18,
	VMX_EXIT_REASON_VMCLEAR = 19, VMX_EXIT_REASON_VMXON = 27,
	VMX_EXIT_REASON_CR_ACCESS = 28, VMX_EXIT_REASON_DR_ACCESS = 29,
	VMX_EXIT_REASON_IO = 30, VMX_EXIT_REASON_RDMSR = 31,
	VMX_EXIT_REASON_WRMSR = 32, VMX_EXIT_REASON_MWAIT = 36,
	VMX_EXIT_REASON_MONITOR = 39, VMX_EXIT_REASON_MACHINE_CHECK = 41,
	VMX_EXIT_REASON_EPT_VIOLATION = 48, VMX_EXIT_REASON_INVEPT = 50,
	VMX_EXIT_REASON_PREEMPTION_TIMER = 52, VMX_EXIT_REASON_INVVPID = 53,
	VMX_EXIT_REASON_WBINVD = 54, VMX_EXIT_REASON_XSETBV = 55,
	VMX_EXIT_REASON_VMFUNC = 59, VMX_EXIT_REASON_SEAMCALL = 76,
	VMX_EXIT_REASON_TDCALL = 77,
};

/* What vmx_exit_decode() needs; fields an exit does not define are 0. */
struct vmx_exit_raw {
	uint32_t reason;
	uint32_t insn_len;
	uint32_t intr_info;
	uint32_t intr_error;
	uint64_t qualification;
	uint64_t gpa;
};

struct vm_exit;
enum vm_exit_code vmx_simple_code(uint64_t reason);
void vmx_decode_io(uint64_t q, struct vm_exit *e);
void vmx_exit_decode(const struct vmx_exit_raw *raw, struct vm_exit *e);
bool vmx_delivers_again(const struct vmx_exit_raw *raw, uint32_t info);
bool vmx_iret_undone(const struct vmx_exit_raw *raw, uint32_t info);
bool vmx_adjust_ctls(uint64_t cap, uint32_t want, uint32_t wish, uint32_t *out);

/** Makes a VMCS the current one. */
static inline void vmptrld(hpa_t vmcs)
{
	__asm__ volatile("vmptrld %0" : : "m"(vmcs.v) : "cc", "memory");
}

/** Sets a VMCS's launch state to "clear"; it is no longer current. */
static inline void vmclear(hpa_t vmcs)
{
	__asm__ volatile("vmclear %0" : : "m"(vmcs.v) : "cc", "memory");
}

/**
 * A field of the current VMCS. One that the processor does not have reads as
 * anything: callers use only those that the chosen controls imply.
 */
static inline uint64_t vmread(enum vmcs_field f)
{
	uint64_t v;

	__asm__ volatile("vmread %1, %0" : "=r"(v) : "r"((uint64_t)f) : "cc");
	return v;
}

/**
 * Writes a field of the current VMCS. A refusal is not noticed here, but by
 * the next VM entry, if at all.
 */
static inline void vmwrite(enum vmcs_field f, uint64_t v)
{
	__asm__ volatile("vmwrite %1, %0" : : "r"((uint64_t)f), "r"(v) : "cc");
}

#endif
