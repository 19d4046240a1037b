/* SPDX-License-Identifier: MIT */
/* Between hv_cost_test.c and the processor that it runs on: cost_vmx.c,
 * cost_svm.c. */
#ifndef COST_H
#define COST_H

#include <partition.h>

#define COST_PORT	0xc00cu

enum cost_exit { COST_DOORBELL, COST_WAIT, COST_DR };

struct cost {
	uint32_t rdmsr, wrmsr, xsetbv, dr;
	uint32_t vmread, vmwrite, vmptrld;	/* VT-x */
	uint32_t vmload_vmsave;			/* AMD-V */
};

static const char *const cost_names[] = {
	"RDMSR", "WRMSR", "XSETBV", "MOV DR", "VMREAD", "VMWRITE", "VMPTRLD",
	"VMLOAD and VMSAVE",
};

extern struct cost cost;
extern uint64_t cost_msr[0x1000];	/* by the low bits of their numbers */
extern enum cost_exit cost_next;	/* what ends the next run */
extern const struct cost cost_of_call;	/* what a remote call may cost */

void cost_vcpu(struct vcpu *v, uint32_t index);

#endif
