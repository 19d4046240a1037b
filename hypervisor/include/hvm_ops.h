/* SPDX-License-Identifier: MIT */
/*
 * The contract between core/ and a CPU-virtualization backend. One const
 * table per vendor, chosen once at boot. Backend state of a vCPU is touched
 * only by the CPU that the vCPU is pinned to.
 */
#ifndef ISTHMUS_HVM_OPS_H
#define ISTHMUS_HVM_OPS_H

#include <types.h>
#include <vm_exit.h>

struct vcpu;
struct partition;

/* Registers that live in backend state; general registers are plain memory
 * in struct vcpu. */
enum vcpu_reg {
	VCPU_RIP, VCPU_RSP, VCPU_RFLAGS, VCPU_CR0, VCPU_CR3, VCPU_CR4,
	VCPU_EFER, VCPU_DR7, VCPU_PAT, VCPU_CPL, VCPU_CS_ATTR,
	VCPU_CS_BASE, VCPU_TSC_OFFSET,
	/* SYSCALL's MSRs, in the order of their numbers */
	VCPU_STAR, VCPU_LSTAR, VCPU_CSTAR, VCPU_FMASK,
	VCPU_DR_EXITS,		/* do moves to and from debug registers exit? */
	VCPU_KERNEL64,		/* is it in 64-bit mode, CPL 0? only read */
};

enum vcpu_reset_kind {
	VCPU_RESET_LONG,	/* 64-bit mode: struct vcpu_start */
	VCPU_RESET_SIPI,	/* real mode at vector << 12 */
};

struct vcpu_start {
	enum vcpu_reset_kind kind;
	uint8_t sipi_vector;
	uint64_t rip, cr3, rsi, gdt;
	bool interrupts;	/* RFLAGS.IF at start */
};

/* How second-level page-table entries are written: data, not code. */
struct pt_format {
	uint64_t table;		/* bits of an entry that points to a table */
	uint64_t present;	/* any of these set: the entry is present */
	uint64_t leaf;		/* bits of every leaf (cacheable, readable) */
	uint64_t large;		/* page-size bit of a 2 MiB leaf */
	uint64_t write;
	uint64_t exec;		/* set when executable */
	uint64_t no_exec;	/* set when not executable */
	uint64_t uncached;	/* set for device memory */
	uint64_t cached;	/* set for RAM */
	bool split_exec;	/* large leaves must not be executable */
};

#define HVM_RECORD_BYTES	1024u

struct hvm_ops {
	const char *name;
	const struct pt_format *gpm_format;
	/* The map of MSRs that exit: its bytes, bits of one MSR, or 1, and from that
	 * to read to that to write. */
	uint32_t msr_bytes, msr_step, msr_write;

	/* Can this machine do it? NULL: yes; else what is missing. */
	const char *(*probe)(void);
	/* This CPU enters virtualization operation. page: one page of the
	 * CPU's own. */
	hv_status_t (*cpu_enable)(hpa_t page);
	/* Allocates backend state. */
	void (*vcpu_init)(struct vcpu *v);
	void (*vcpu_reset)(struct vcpu *v, const struct vcpu_start *s);
	/* After a reset: v's guest state, but for what struct vcpu has, becomes
	 * from's, which runs no more and has been laid open for it: that is from
	 * NULL, on the CPU of the vCPU laid open. */
	void (*vcpu_copy)(struct vcpu *v, const struct vcpu *from);
	/* What of a vCPU that has been laid open is not in struct vcpu, to or (load)
	 * from a record of HVM_RECORD_BYTES, on any CPU; false: it can be no
	 * guest's. */
	bool (*vcpu_record)(struct vcpu *v, void *record, bool load);
	/* Runs the vCPU until an exit or until TSC limit; fills *exit. */
	void (*vcpu_run)(struct vcpu *v, uint64_t limit, struct vm_exit *exit);
	uint64_t (*vcpu_get)(struct vcpu *v, enum vcpu_reg reg);
	void (*vcpu_set)(struct vcpu *v, enum vcpu_reg reg, uint64_t value);
	/* Delivers an event at the next entry; false: not possible now. For an
	 * NMI there is an exit then, mostly, as soon as it is. */
	bool (*vcpu_inject)(struct vcpu *v, struct vm_event event);
	/* Asks for VM_EXIT_INTR_WINDOW as soon as interrupts can be taken. */
	void (*vcpu_intr_window)(struct vcpu *v);
	/* The instruction of len bytes at rip, where v stands, is done: RIP, the
	 * end of a MOV SS or STI shadow, and the trap of one that began with TF
	 * set. len 0: only the shadow ends. */
	void (*vcpu_advance_rip)(struct vcpu *v, uint64_t rip, uint32_t len);
	/* Logs the backend's whole state, with what is wrong if it knows. */
	void (*dump)(struct vcpu *v);
};

/* All of a backend's, by their names. */
#define HVM_OPS(x) \
	.probe = x##_probe, .cpu_enable = x##_cpu_enable, \
	.vcpu_init = x##_vcpu_init, .vcpu_reset = x##_vcpu_reset, \
	.vcpu_copy = x##_vcpu_copy, \
	.vcpu_record = x##_vcpu_record, .vcpu_run = x##_vcpu_run, \
	.vcpu_get = x##_vcpu_get, .vcpu_set = x##_vcpu_set, \
	.vcpu_inject = x##_vcpu_inject, \
	.vcpu_intr_window = x##_vcpu_intr_window, \
	.vcpu_advance_rip = x##_vcpu_advance_rip, .dump = x##_dump,

extern const struct hvm_ops *hvm;	/* set once by hvm_select() */
extern const struct hvm_ops hvm_vmx;
extern const struct hvm_ops hvm_svm;

/* Those of a backend's that its files use of each other. */
#define HVM_OP(x, op)	__typeof__(*hvm_##x.op) x##_##op
#define HVM_SHARED(x) \
	HVM_OP(x, vcpu_reset); HVM_OP(x, vcpu_copy); HVM_OP(x, vcpu_record); \
	HVM_OP(x, vcpu_get); HVM_OP(x, vcpu_set); HVM_OP(x, vcpu_inject); \
	HVM_OP(x, vcpu_intr_window); HVM_OP(x, vcpu_advance_rip); \
	HVM_OP(x, dump);

#endif
