/* SPDX-License-Identifier: MIT */
/* A processor with AMD-V, next-RIP save and x2APIC for hv_cost_test.c. */
#include "hv_fakes.h"
#include "cost.h"
#include "hypervisor/svm/svm.h"

static struct svm_vcpu backend[2];
static struct vmcb vmcb[2];
enum cost_exit cost_next;

const struct hvm_ops *hvm = &hvm_svm;

/* Two entries and exits: VMLOAD, VMSAVE and VMLOAD each. */
const struct cost cost_of_call = { .vmload_vmsave = 6 };

void svm_enter(struct guest_regs *regs, uint64_t vmcb_pa, uint64_t host_pa)
{
	struct vmcb *b = &vmcb[vmcb_pa];

	(void)host_pa;
	cost.vmload_vmsave += 3;
	b->nrip = b->rip + 1;
	switch (cost_next) {
	case COST_DOORBELL:
		b->exitcode = SVM_EXIT_IOIO;
		b->exitinfo1 = COST_PORT << 16 | 4 << 4;
		b->exitinfo2 = b->nrip;
		break;
	case COST_WAIT:
		b->exitcode = SVM_EXIT_VMMCALL;
		b->rax = HC_WAIT;
		regs->rdi = ~0ull;
		break;
	case COST_DR:
		b->exitcode = SVM_EXIT_DR0_READ;
		break;
	}
}

void cost_vcpu(struct vcpu *v, uint32_t index)
{
	svm_features = SVM_NRIP;
	memset(&vmcb[index], 0, sizeof(vmcb[index]));
	vmcb[index].cs.attrib = 0x0a9b;
	backend[index] = (struct svm_vcpu){
		.vmcb = &vmcb[index], .vmcb_pa = index, .asid = index + 1,
	};
	v->backend = &backend[index];
}
