/* SPDX-License-Identifier: MIT */
/* A processor with VT-x for hv_cost_test.c: VMCSs in memory. */
#include "hv_fakes.h"
#include "cost.h"
#include "hypervisor/vmx/vmx.h"

static struct vmx_vcpu backend[2];
static uint64_t vmcs[2][0x8000], *current;
enum cost_exit cost_next;

const struct hvm_ops *hvm = &hvm_vmx;

/* Two entries and exits: EXIT_REASON, INSN_LEN, RIP, RFLAGS and the blocking
 * of each, the port, the caller's CPL; RIP and the time limit back. */
const struct cost cost_of_call = {
	.rdmsr = 2, .wrmsr = 2, .vmread = 14, .vmwrite = 4, .vmptrld = 2,
};

uint64_t vmread(enum vmcs_field f)
{
	cost.vmread++;
	return current[f];
}

void vmwrite(enum vmcs_field f, uint64_t v)
{
	cost.vmwrite++;
	current[f] = v;
}

void vmptrld(hpa_t v)
{
	cost.vmptrld++;
	current = vmcs[v.v];
}

void vmclear(hpa_t v)
{
	(void)v;
}

void vmx_exit_point(void)
{
}

void vmx_check_log(void)
{
}

uint64_t vmx_enter(struct guest_regs *regs, uint64_t launched)
{
	(void)launched;
	current[VMCS_EXIT_INSN_LEN] = 1;
	switch (cost_next) {
	case COST_DOORBELL:
		/* as SWAPGS left it: a program's GS base */
		cost_msr[MSR_IA32_KERNEL_GS_BASE & 0xfff] = 0x7f0000000000;
		current[VMCS_EXIT_REASON] = VMX_EXIT_REASON_IO;
		current[VMCS_EXIT_QUALIFICATION] =
			(uint64_t)COST_PORT << 16 | 3;
		break;
	case COST_WAIT:
		current[VMCS_EXIT_REASON] = VMX_EXIT_REASON_VMCALL;
		regs->rax = HC_WAIT;
		regs->rdi = ~0ull;
		break;
	case COST_DR:
		current[VMCS_EXIT_REASON] = VMX_EXIT_REASON_DR_ACCESS;
		break;
	}
	return 0;
}

void cost_vcpu(struct vcpu *v, uint32_t index)
{
	memset(vmcs[index], 0, sizeof(vmcs[index]));
	memset(&backend[index], 0, sizeof(backend[index]));
	vmcs[index][VMCS_GUEST_CS_AR] = 0xa09b;
	backend[index].vmcs = HPA(index);
	backend[index].vpid = (uint16_t)(index + 1);
	v->backend = &backend[index];
	v->partition->native_msrs = (uint8_t *)vmcs[index];
}
