/* SPDX-License-Identifier: MIT */
/*
 * A VM exit without vendor words: what a backend's decoder makes of its raw
 * exit fields, and all that core/ ever sees of them.
 */
#ifndef ISTHMUS_VM_EXIT_H
#define ISTHMUS_VM_EXIT_H

#include <types.h>

enum vm_exit_code {
	VM_EXIT_EXT_INTR,	/* vector: acknowledged, or VM_NO_VECTOR */
	VM_EXIT_NMI,
	VM_EXIT_INTR_WINDOW,	/* or one for NMIs: vcpu_inject */
	VM_EXIT_TIMER,		/* the time limit of vcpu_run ended */
	VM_EXIT_EXCEPTION,	/* #DB, #AC */
	VM_EXIT_MACHINE_CHECK,
	VM_EXIT_CPUID, VM_EXIT_HLT, VM_EXIT_IO, VM_EXIT_MSR_READ,
	VM_EXIT_MSR_WRITE, VM_EXIT_GPM_FAULT, VM_EXIT_HYPERCALL,
	VM_EXIT_CR_ACCESS, VM_EXIT_XSETBV,
	VM_EXIT_DR_ACCESS,	/* nothing is done yet: see VCPU_DR_EXITS */
	VM_EXIT_UNDEFINED,	/* an instruction we answer with #UD */
	VM_EXIT_SKIP,		/* an instruction we answer by skipping it */
	VM_EXIT_AGAIN,		/* nothing is done: the guest runs on at RIP */
	VM_EXIT_SHUTDOWN, VM_EXIT_ENTRY_FAIL, VM_EXIT_UNKNOWN, VM_EXIT_COUNT
};

#define VM_NO_VECTOR	0xffffu

#define GPM_READ	0x1u
#define GPM_WRITE	0x2u
#define GPM_EXEC	0x4u
#define GPM_UNCACHED	0x8u
#define GPM_SHARED	0x10u		/* of a child's template */
#define GPM_ALL		(GPM_READ | GPM_WRITE | GPM_EXEC)
#define GPM_SHARED_ALL	(GPM_READ | GPM_EXEC | GPM_SHARED)

struct vm_exit {
	enum vm_exit_code code;
	uint32_t insn_len;	/* 0: not known */
	uint64_t raw_code;	/* ENTRY_FAIL, UNKNOWN: the backend's own code */
	uint64_t rip;		/* where the guest stands */
	union {
		uint32_t vector;	/* EXT_INTR */
		struct {
			uint16_t port;
			uint8_t size;	/* 1, 2, 4 */
			bool in, string;
		} io;
		struct {
			gpa_t gpa;
			uint32_t access;	/* GPM_READ.. of the access */
		} fault;
		struct {
			uint8_t cr;	/* 0, 4 or 8 */
			uint8_t gpr;	/* number, as in the ModRM encoding */
			bool write;
			bool lmsw, clts;
			uint16_t lmsw_value;
		} cr;
		struct {
			uint8_t vector;
			bool has_error;
			uint32_t error;
			uint64_t info;	/* #DB: DR6 bits */
		} exc;
	};
};

enum vm_event_type {
	VM_EVENT_INTR = 0,	/* external interrupt */
	VM_EVENT_NMI = 2,
	VM_EVENT_EXCEPTION = 3,
};

struct vm_event {
	enum vm_event_type type;
	uint8_t vector;
	bool has_error;
	uint32_t error;
};

#endif
