/* SPDX-License-Identifier: MIT */
/*
 * A mutant for one boot test, linked only into mutant-entry_fail.elf: the
 * first VM entry of each partition but the host's is refused, because its
 * task register is not busy. No guest can bring that about by itself, nor can
 * the host partition with HC_PARTITION_START. hypervisor.elf has no trace of
 * it: the linker puts the function here in front of the one it is named after
 * (--wrap).
 */
#include <hv.h>
#include <partition.h>
#include "hypervisor/vmx/vmx.h"

#define AR_TSS_NOT_BUSY	0x89u

void __real_vmx_vcpu_reset(struct vcpu *v, const struct vcpu_start *s);
void __wrap_vmx_vcpu_reset(struct vcpu *v, const struct vcpu_start *s);

void __wrap_vmx_vcpu_reset(struct vcpu *v, const struct vcpu_start *s)
{
	__real_vmx_vcpu_reset(v, s);
	if (!partition_is_host(v->partition)) {
		vmwrite(VMCS_GUEST_TR_AR, AR_TSS_NOT_BUSY);
	}
}
