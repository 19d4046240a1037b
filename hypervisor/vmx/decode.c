/* SPDX-License-Identifier: MIT */
/*
 * From the VMCS's exit fields to struct vm_exit, and from wanted controls to
 * allowed ones. Pure functions: no hardware is touched, so the build machine
 * tests them with tables. The fields are the processor's, not the guest's:
 * they are believed, but what no case here knows becomes VM_EXIT_UNKNOWN,
 * which ends the partition.
 */
#include <vm_exit.h>
#include <x86.h>
#include "vmcs.h"

/* NMIs share their exit reason. [SDM3 "Information for VM Exits Due to
 * Vectored Events"] */
static void decode_exception(const struct vmx_exit_raw *raw, struct vm_exit *e)
{
	uint32_t info = raw->intr_info;

	if (INTR_INFO_TYPE(info) == VM_EVENT_NMI) {
		e->code = VM_EXIT_NMI;
		return;
	}
	if ((info & 0xff) == X86_EXC_MC) {
		e->code = VM_EXIT_MACHINE_CHECK;
		return;
	}
	e->code = VM_EXIT_EXCEPTION;
	/* INT1 traps: its #DB is delivered after it. Others have no length */
	e->insn_len = INTR_INFO_TYPE(info) >= INTR_TYPE_SOFT_FIRST ?
		      raw->insn_len : 0;
	e->exc.vector = (uint8_t)info;
	e->exc.has_error = (info & INTR_INFO_ERROR) != 0;
	e->exc.error = e->exc.has_error ? raw->intr_error : 0;
	/* only #DB's qualification is used: B0-B3, BD, BS; INT1 is no step,
	 * whatever Bochs says [SDM3 "Exit Qualification for Debug Exceptions"] */
	e->exc.info = raw->qualification & (e->insn_len ? 0xf : 0x600f);
}

/**
 * An I/O instruction's exit qualification. Pure. [SDM3 "Exit Qualification for
 * I/O Instructions"]
 */
void vmx_decode_io(uint64_t q, struct vm_exit *e)
{
	e->code = VM_EXIT_IO;
	/* 0, 1, 3 for 1, 2, 4 bytes */
	e->io.size = (uint8_t)((q & 7) + 1);
	e->io.in = (q >> 3 & 1) != 0;
	e->io.string = (q >> 4 & 1) != 0;
	e->io.port = (uint16_t)(q >> 16);
}

/* [SDM3 "Exit Qualification for Control-Register Accesses"] */
static void decode_cr(uint64_t q, struct vm_exit *e)
{
	/* 0 MOV to, 1 MOV from, 2 CLTS, 3 LMSW */
	uint32_t type = (uint32_t)(q >> 4) & 3;

	e->code = VM_EXIT_CR_ACCESS;
	e->cr.cr = (uint8_t)(q & 15);
	e->cr.gpr = (uint8_t)(q >> 8 & 15);
	e->cr.write = type != 1;
	e->cr.clts = type == 2;
	e->cr.lmsw = type == 3;
	e->cr.lmsw_value = (uint16_t)(q >> 16);
}

/* [SDM3 "Exit Qualification for EPT Violations"] */
static void decode_ept(const struct vmx_exit_raw *raw, struct vm_exit *e)
{
	e->code = VM_EXIT_GPM_FAULT;
	e->fault.gpa = GPA(raw->gpa);
	/* GPM_* are its bits; a read-modify-write may show both */
	e->fault.access = (uint32_t)raw->qualification & GPM_ALL;
}

/* Exits whose whole meaning is their reason. 0: not one of them, as
 * VM_EXIT_EXT_INTR is not. */
#define MEANS(reason, code)	[VMX_EXIT_REASON_##reason] = VM_EXIT_##code
static const uint8_t simple_codes[] = {
	MEANS(TRIPLE_FAULT, SHUTDOWN), MEANS(CPUID, CPUID), MEANS(HLT, HLT),
	MEANS(VMCALL, HYPERCALL), MEANS(RDMSR, MSR_READ),
	MEANS(WRMSR, MSR_WRITE), MEANS(DR_ACCESS, DR_ACCESS),
	MEANS(PREEMPTION_TIMER, TIMER), MEANS(XSETBV, XSETBV),
	MEANS(INVD, SKIP), MEANS(WBINVD, SKIP),	/* never run natively */
	/* not in the CPUID that guests see, or nested VMX */
	MEANS(GETSEC, UNDEFINED), MEANS(RDPMC, UNDEFINED),
	MEANS(RSM, UNDEFINED), MEANS(VMCLEAR ... VMX_EXIT_REASON_VMXON, UNDEFINED),
	MEANS(MWAIT, UNDEFINED), MEANS(MONITOR, UNDEFINED),
	MEANS(INVEPT, UNDEFINED), MEANS(INVVPID, UNDEFINED),
	/* any process can try the last two */
	MEANS(VMFUNC, UNDEFINED), MEANS(SEAMCALL, UNDEFINED),
	MEANS(TDCALL, UNDEFINED),
};

/**
 * The code of an exit whose whole meaning is its reason, as vmx_exit_decode()
 * tells it; 0: there is more to look at. Pure.
 */
enum vm_exit_code vmx_simple_code(uint64_t reason)
{
	return reason < ARRAY_SIZE(simple_codes) ? simple_codes[reason] : 0;
}

/**
 * Raw exit fields to the neutral form: fills what e->code makes valid of e.
 * Unknown stays VM_EXIT_UNKNOWN. Pure.
 */
void vmx_exit_decode(const struct vmx_exit_raw *raw, struct vm_exit *e)
{
	e->insn_len = raw->insn_len;
	e->raw_code = raw->reason;
	if (raw->reason & VMX_EXIT_ENTRY_FAILURE) {
		/* the machine's failure, not the state's
		 * [SDM3 "Machine-Check Events During VM Entry"] */
		e->code = (raw->reason & 0xffff) ==
			  VMX_EXIT_REASON_MACHINE_CHECK ?
			  VM_EXIT_MACHINE_CHECK : VM_EXIT_ENTRY_FAIL;
		return;
	}
	if (raw->reason == VMX_EXIT_REASON_EPT_VIOLATION) {
		decode_ept(raw, e);	/* the most frequent one of Linux */
		return;
	}
	e->code = vmx_simple_code(raw->reason & 0xffff);
	if (e->code) {
		return;
	}
	switch (raw->reason & 0xffff) {
	case VMX_EXIT_REASON_EXCEPTION_NMI:
		decode_exception(raw, e);
		break;
	case VMX_EXIT_REASON_EXT_INTR:
		e->code = VM_EXIT_EXT_INTR;
		e->vector = raw->intr_info & INTR_INFO_VALID ?
			    raw->intr_info & 0xff : VM_NO_VECTOR;
		break;
	case VMX_EXIT_REASON_IO:
		vmx_decode_io(raw->qualification, e);
		break;
	case VMX_EXIT_REASON_CR_ACCESS:
		decode_cr(raw->qualification, e);
		break;
	case VMX_EXIT_REASON_INTR_WINDOW:
	case VMX_EXIT_REASON_NMI_WINDOW:
		e->code = VM_EXIT_INTR_WINDOW;
		break;
	default:
		e->code = VM_EXIT_UNKNOWN;
		break;
	}
}

/**
 * Must the event that was being delivered at the exit (info: IDT-vectoring
 * information) be delivered again? Not if the exit is a #DB or #AC: these
 * are benign, so they are delivered, and the event that met them is raised
 * anew by its cause or lost, as without a hypervisor: an external interrupt
 * too, with its bit in the ISR. Pure. [SDM3 "Reflecting Exceptions to Guest
 * Software", "Interrupt 8--Double Fault Exception (#DF)"]
 */
bool vmx_delivers_again(const struct vmx_exit_raw *raw, uint32_t info)
{
	uint32_t vector = raw->intr_info & 0xff;

	return (info & INTR_INFO_VALID) &&
	       (raw->reason != VMX_EXIT_REASON_EXCEPTION_NMI ||
		(vector != X86_EXC_DB && vector != X86_EXC_AC));
}

/**
 * Has the exit undone an IRET that had ended the blocking of NMIs? It runs
 * again, so they must be blocked until then. info: IDT-vectoring information.
 * Pure. [SDM3 "Information About NMI Unblocking Due to IRET"]
 */
bool vmx_iret_undone(const struct vmx_exit_raw *raw, uint32_t info)
{
	if (info & INTR_INFO_VALID) {
		return false;
	}
	if (raw->reason == VMX_EXIT_REASON_EPT_VIOLATION) {
		return (raw->qualification & NMI_UNBLOCKED) != 0;
	}
	return raw->reason == VMX_EXIT_REASON_EXCEPTION_NMI &&
	       (raw->intr_info & NMI_UNBLOCKED) &&
	       (raw->intr_info & 0xff) != X86_EXC_DF;
}

/**
 * Controls for a VMCS: want (must have) and wish (if possible) within what the
 * capability MSR allows (low half: must be 1; high half: may be 1), into *out.
 * false: something wanted is not to be had, *out is of no use. Pure. [SDM3
 * "Reserved Controls and Default Settings"]
 */
bool vmx_adjust_ctls(uint64_t cap, uint32_t want, uint32_t wish, uint32_t *out)
{
	uint32_t must = (uint32_t)cap, may = (uint32_t)(cap >> 32);

	*out = must | want | (wish & may);
	return !(want & ~may);
}
