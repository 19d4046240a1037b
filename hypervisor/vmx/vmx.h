/* SPDX-License-Identifier: MIT */
/* Between the files of the VT-x backend. */
#ifndef ISTHMUS_VMX_H
#define ISTHMUS_VMX_H

#include <hvm_ops.h>
#include <partition.h>
#include <percpu.h>
#include "vmcs.h"

#define VMX_GUEST_FIELDS	59u

struct vmx_vcpu {
	hpa_t vmcs;
	uint64_t launched;	/* since VMCLEAR: VMRESUME it */
	uint16_t vpid;	/* its own for good, not 0 */
	bool entry_failed;	/* the last entry was refused */
	struct vmx_guest {	/* the guest's: what a child's begins with */
		bool event_pending;	/* VMCS_ENTRY_INTR_INFO is valid */
		bool window;	/* interrupt-window exiting is on */
		bool syscalls;	/* EFER.SCE: what follows must be in the CPU */
		uint64_t syscall_msr[4];	/* STAR, LSTAR, CSTAR, FMASK */
		uint64_t kernel_gs_base;	/* while its VMCS is not
						 * current */
	} g;
	struct vmx_open {	/* vmx_vcpu_copy() */
		uint64_t field[VMX_GUEST_FIELDS];
		struct vmx_guest g;
	} open;
};

/* Controls, in the order of CHECK_*; as this machine allows them, chosen once. */
enum vmx_ctl { CTL_PIN, CTL_PROC, CTL_PROC2, CTL_EXIT, CTL_ENTRY, VMX_CTLS };
extern uint32_t vmx_ctls[VMX_CTLS];

static inline uint64_t vmx_eptp(const struct partition *p)
{
	return p->gpm_root.v | 6 | 3 << 3;	/* write-back, 4 levels */
}

uint64_t vmx_enter(struct guest_regs *regs, uint64_t launched);
void vmx_exit_point(void);
void vmx_switch(struct vmx_vcpu *to);
void vmx_load_syscalls(const struct vmx_vcpu *x);
void vmx_flush_vpid(uint16_t vpid);
uint64_t vmx_ctl_cap(enum vmx_ctl c);
HVM_SHARED(vmx)
void vmx_close_windows(struct vmx_vcpu *x);

/**
 * Makes v's VMCS the current one, and v's MSRs the CPU's; returns v's backend
 * state. It is so already but for the first call after another vCPU. On v's
 * CPU.
 */
static inline struct vmx_vcpu *vmx_load(struct vcpu *v)
{
	struct vmx_vcpu *x = v->backend;

	if (this_cpu()->backend_current != x) {
		vmx_switch(x);
	}
	return x;
}

#endif
