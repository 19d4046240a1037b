/* SPDX-License-Identifier: MIT */
/*
 * From the VMCB's exit fields to struct vm_exit, and the table of the few
 * instructions whose length must be known on processors that do not save the
 * next RIP. Pure functions. The exit fields are the processor's and believed;
 * the instruction bytes are the guest's, and another vCPU may have changed
 * them since the exit: what does not match the exit is not believed.
 */
#include <vm_exit.h>
#include <x86.h>
#include "svm.h"

/* [APM2 "IOIO Intercept Information"] */
static void decode_io(const struct vmcb *b, struct vm_exit *e)
{
	uint64_t i = b->exitinfo1;

	e->code = VM_EXIT_IO;
	e->io.port = (uint16_t)(i >> 16);
	e->io.size = (uint8_t)(i >> 4 & 7);	/* one of bits 4, 5, 6 */
	e->io.in = (i & 1) != 0;
	e->io.string = (i & 4) != 0;
}

/* [APM2 "Nested versus Guest Page Faults, Fault Ordering"] */
static void decode_npf(const struct vmcb *b, struct vm_exit *e)
{
	uint64_t i = b->exitinfo1;

	e->code = VM_EXIT_GPM_FAULT;
	e->fault.gpa = GPA(b->exitinfo2);
	/* a walk of the guest's own tables counts as a write */
	e->fault.access = i & NPF_FETCH ? GPM_EXEC :
			  i & NPF_WRITE ? GPM_WRITE : GPM_READ;
}

/* Of the exceptions intercepted only #AC has an error code. */
static void decode_exception(const struct vmcb *b, struct vm_exit *e)
{
	e->code = VM_EXIT_EXCEPTION;
	e->exc.vector = (uint8_t)(b->exitcode - SVM_EXIT_EXCP0);
	e->exc.has_error = e->exc.vector == X86_EXC_AC;
	e->exc.error = e->exc.has_error ? (uint32_t)b->exitinfo1 : 0;
}

/* The register number is there with decode assists; else svm_complete() finds
 * it, and tells CLTS and LMSW, which share CR0's exit code. */
static void decode_cr(const struct vmcb *b, struct vm_exit *e)
{
	e->code = VM_EXIT_CR_ACCESS;
	e->cr.write = b->exitcode >= SVM_EXIT_CR0_WRITE;
	e->cr.cr = (uint8_t)(b->exitcode & 15);
	e->cr.gpr = (uint8_t)(b->exitinfo1 & 15);
	e->cr.clts = e->cr.lmsw = false;
	e->cr.lmsw_value = 0;
}

/* Exits whose whole meaning is their code. 0: not one of them, as
 * VM_EXIT_EXT_INTR is not. */
#define MEANS(exit, code)	[SVM_EXIT_##exit] = VM_EXIT_##code
static const uint8_t simple_codes[] = {
	MEANS(NMI, NMI), MEANS(VINTR, INTR_WINDOW), MEANS(CPUID, CPUID),
	MEANS(HLT, HLT), MEANS(SHUTDOWN, SHUTDOWN), MEANS(VMMCALL, HYPERCALL),
	MEANS(XSETBV, XSETBV),
	MEANS(INVD, SKIP), MEANS(WBINVD, SKIP),	/* never run natively */
	/* not in the CPUID that guests see, or nested SVM */
	MEANS(RDPMC, UNDEFINED), MEANS(RSM, UNDEFINED),
	MEANS(INVLPGA, UNDEFINED), MEANS(VMRUN, UNDEFINED),
	MEANS(VMLOAD ... SVM_EXIT_SKINIT, UNDEFINED),
	MEANS(MONITOR ... SVM_EXIT_MWAIT_ARMED, UNDEFINED),
	MEANS(RDPRU, UNDEFINED),
};

/* What a run of Linux seldom ends with. */
static NOINLINE void decode_seldom(const struct vmcb *b, struct vm_exit *e)
{
	e->raw_code = b->exitcode;
	if ((uint32_t)b->exitcode == SVM_EXIT_INVALID) {
		e->code = VM_EXIT_ENTRY_FAIL;
	} else if (b->exitcode <= SVM_EXIT_CR15_WRITE) {
		decode_cr(b, e);
	} else if (b->exitcode == SVM_EXIT_EXCP0 + X86_EXC_MC) {
		e->code = VM_EXIT_MACHINE_CHECK;
	} else if (b->exitcode <= SVM_EXIT_DR15_WRITE) {
		e->code = VM_EXIT_DR_ACCESS;
	} else if (b->exitcode >= SVM_EXIT_EXCP0 &&
		   b->exitcode <= SVM_EXIT_EXCP31) {
		decode_exception(b, e);
	} else {
		e->code = VM_EXIT_UNKNOWN;
	}
}

/**
 * Raw exit fields to the neutral form: fills what e->code makes valid of e,
 * but for what svm_complete() adds. Unknown stays VM_EXIT_UNKNOWN. Pure.
 */
void svm_exit_decode(const struct vmcb *b, struct vm_exit *e)
{
	uint64_t code = b->exitcode;

	e->insn_len = 0;
	if (code < ARRAY_SIZE(simple_codes) && simple_codes[code]) {
		e->code = simple_codes[code];
	} else if (code == SVM_EXIT_MSR) {
		e->code = b->exitinfo1 & 1 ? VM_EXIT_MSR_WRITE :
			  VM_EXIT_MSR_READ;
	} else if (code == SVM_EXIT_NPF) {
		decode_npf(b, e);
	} else if (code == SVM_EXIT_INTR) {
		e->code = VM_EXIT_EXT_INTR;
		e->vector = VM_NO_VECTOR;
	} else if (code == SVM_EXIT_IOIO) {
		decode_io(b, e);
	} else {
		decode_seldom(b, e);
	}
}

/**
 * Must the event that was being delivered at the exit (EXITINTINFO) be
 * injected again? Not a software interrupt, nor INT3's and INTO's exceptions:
 * the instruction runs again, and injected they would push its own address as
 * the next one's. Nor if the exit is a #DB or #AC: these are benign, so they
 * are delivered, and the event that met them is raised anew by its cause or
 * lost, as without a hypervisor: an external interrupt too, with its bit in the
 * ISR. Pure. [APM2 "EXITINTINFO Pseudo-Code", "#DF--Double-Fault Exception
 * (Vector 8)"]
 */
bool svm_delivers_again(const struct vmcb *b)
{
	uint32_t info = b->exitintinfo;
	uint32_t type = EVENTINJ_TYPE(info), vector = info & 0xff;
	bool insn = type == EVENT_TYPE_SOFT || (type == VM_EVENT_EXCEPTION &&
		     (vector == X86_EXC_BP || vector == X86_EXC_OF));

	return (info & EVENTINJ_VALID) && !insn &&
	       b->exitcode != SVM_EXIT_EXCP0 + X86_EXC_DB &&
	       b->exitcode != SVM_EXIT_EXCP0 + X86_EXC_AC;
}

struct insn_form {
	uint64_t exitcode;
	uint8_t info1;		/* for SVM_EXIT_MSR: 0 read, 1 write */
	uint8_t opcode[3];
	uint8_t opcode_len;
	uint8_t modrm;		/* 1: a register ModRM follows */
};

/* A ModRM byte here always names registers, so nothing follows it. */
static const struct insn_form forms[] = {
	{ SVM_EXIT_CPUID, 0, { 0x0f, 0xa2 }, 2, 0 },
	{ SVM_EXIT_HLT, 0, { 0xf4 }, 1, 0 },
	{ SVM_EXIT_MSR, 0, { 0x0f, 0x32 }, 2, 0 },
	{ SVM_EXIT_MSR, 1, { 0x0f, 0x30 }, 2, 0 },
	{ SVM_EXIT_INVD, 0, { 0x0f, 0x08 }, 2, 0 },
	{ SVM_EXIT_WBINVD, 0, { 0x0f, 0x09 }, 2, 0 },
	/* some processors report INVD with WBINVD's code */
	{ SVM_EXIT_WBINVD, 0, { 0x0f, 0x08 }, 2, 0 },
	{ SVM_EXIT_VMMCALL, 0, { 0x0f, 0x01, 0xd9 }, 3, 0 },
	{ SVM_EXIT_XSETBV, 0, { 0x0f, 0x01, 0xd1 }, 3, 0 },
	{ SVM_EXIT_CR0_WRITE, 0, { 0x0f, 0x06 }, 2, 0 },	/* CLTS */
	{ SVM_EXIT_CR0_WRITE, 0, { 0x0f, 0x01 }, 2, 1 },	/* LMSW */
	{ SVM_EXIT_CR0_WRITE, 0, { 0x0f, 0x22 }, 2, 1 },
	{ SVM_EXIT_CR0_WRITE + 4, 0, { 0x0f, 0x22 }, 2, 1 },
	{ SVM_EXIT_CR0_WRITE + 8, 0, { 0x0f, 0x22 }, 2, 1 },
	{ SVM_EXIT_CR0_READ + 4, 0, { 0x0f, 0x20 }, 2, 1 },
	{ SVM_EXIT_CR0_READ + 8, 0, { 0x0f, 0x20 }, 2, 1 },
};

/* Legacy prefixes count for the length alone. */
static bool is_prefix(uint8_t b)
{
	return b == 0x66 || b == 0x67 || b == 0xf2 || b == 0xf3 ||
	       b == 0x2e || b == 0x36 || b == 0x3e || b == 0x26 ||
	       b == 0x64 || b == 0x65 || b == 0xf0;
}

/* n: bytes that are left; the ModRM byte must be among them. */
static bool opcode_is(const struct insn_form *f, const uint8_t *b, uint32_t n)
{
	uint32_t i;

	if ((uint32_t)f->opcode_len + f->modrm > n) {
		return false;
	}
	for (i = 0; i < f->opcode_len; i++) {
		if (b[i] != f->opcode[i]) {
			return false;
		}
	}
	return true;
}

/* The length of a frequent instruction without prefixes; 0: it is not there.
 * Three bytes are. */
static uint32_t plain_length(uint64_t exitcode, uint64_t info1,
			     const uint8_t *b)
{
	uint32_t two = b[0] | (uint32_t)b[1] << 8;

	switch (exitcode) {
	case SVM_EXIT_CPUID:
		return two == 0xa20f ? 2 : 0;
	case SVM_EXIT_MSR:
		return two == (info1 & 1 ? 0x300f : 0x320f) ? 2 : 0;
	case SVM_EXIT_VMMCALL:
		return two == 0x010f && b[2] == 0xd9 ? 3 : 0;
	case SVM_EXIT_HLT:
		return b[0] == 0xf4 ? 1 : 0;
	default:
		return 0;
	}
}

/**
 * Finds the instruction that exited with exitcode (info1: EXITINFO1) among the
 * n bytes at RIP; long_mode: 64-bit code, where REX exists. false: the bytes
 * are another instruction, too few, or a form that is not in the table (LMSW
 * from memory). Pure. [APM3 "Instruction Encoding"]
 */
bool svm_insn_match(uint64_t exitcode, uint64_t info1, const uint8_t *bytes,
		    uint32_t n, bool long_mode, struct svm_insn *out)
{
	uint32_t at = 0, rex = 0, i;

	out->length = n < 3 ? 0 : plain_length(exitcode, info1, bytes);
	if (out->length) {
		out->gpr = 0;
		out->lmsw = out->clts = false;
		return true;
	}
	/* nearly always 0F comes at once; of prefixes in any order and number
	 * only a REX right before the opcode counts */
	for (; at < n && bytes[at] != 0x0f; at++) {
		if (long_mode && (bytes[at] & 0xf0) == 0x40) {
			rex = bytes[at];
		} else if (is_prefix(bytes[at])) {
			rex = 0;
		} else {
			break;
		}
	}
	for (i = 0; i < ARRAY_SIZE(forms); i++) {
		const struct insn_form *f = &forms[i];
		uint8_t modrm;

		if (f->exitcode != exitcode ||
		    (exitcode == SVM_EXIT_MSR && f->info1 != (info1 & 1)) ||
		    !opcode_is(f, &bytes[at], n - at)) {
			continue;
		}
		modrm = f->modrm ? bytes[at + f->opcode_len] : 0;
		out->lmsw = f->modrm && f->opcode[1] == 0x01;
		if (out->lmsw && (modrm & 0xf8) != 0xf0) {
			continue;	/* /6 with a register */
		}
		out->clts = f->opcode[1] == 0x06 && f->opcode[0] == 0x0f;
		out->gpr = (uint8_t)((modrm & 7) | (rex & 1) << 3);
		out->length = at + f->opcode_len + f->modrm;
		return true;
	}
	return false;
}
