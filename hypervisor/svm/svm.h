/* SPDX-License-Identifier: MIT */
/* Between the files of the AMD-V backend. */
#ifndef ISTHMUS_SVM_H
#define ISTHMUS_SVM_H

#include <hvm_ops.h>
#include <partition.h>
#include "vmcb.h"

struct svm_vcpu {
	struct vmcb *vmcb;	/* one page of the hypervisor's */
	uint64_t vmcb_pa;
	uint32_t asid;	/* of its CPU's, for good, not 0 */
	bool shared;	/* other vCPUs have this ASID too */
	bool nmi_blocked;	/* an NMI handler runs: IRET is awaited */
	uint64_t cr4_mce;	/* CR4.MCE as the guest wrote it */
	uint64_t iret_rip;	/* where that IRET stands; 0: not seen */
	uint64_t step_dr6;	/* DR6 before the next run, which is to step
				 * over it; or 0 */
};

/* What the instruction table tells of an instruction that exited. */
struct svm_insn {
	uint32_t length;
	uint8_t gpr;		/* MOV CR: register number */
	bool clts, lmsw;
};

/* Bits of EDX. [APM3 "Function 8000_000Ah-SVM Features"] */
enum svm_feature { SVM_NRIP = 8, SVM_FLUSH_ASID = 0x40, SVM_DECODE = 0x80 };
extern uint32_t svm_features, svm_asids;

void svm_exit_decode(const struct vmcb *b, struct vm_exit *e);
bool svm_delivers_again(const struct vmcb *b);
bool svm_insn_match(uint64_t exitcode, uint64_t info1, const uint8_t *bytes,
		    uint32_t n, bool long_mode, struct svm_insn *out);
const char *svm_check_vmcb(const struct vmcb *b, uint32_t phys_bits,
			   uint32_t asids, uint64_t *value);
/* Exits by instructions that are carried out, whose lengths are needed. */
#define SVM_INSTRUCTIONS \
	(BIT32(VM_EXIT_IO) | BIT32(VM_EXIT_CR_ACCESS) | BIT32(VM_EXIT_CPUID) | \
	 BIT32(VM_EXIT_HLT) | BIT32(VM_EXIT_MSR_READ) | \
	 BIT32(VM_EXIT_MSR_WRITE) | BIT32(VM_EXIT_HYPERCALL) | \
	 BIT32(VM_EXIT_XSETBV) | BIT32(VM_EXIT_SKIP))
void svm_complete(struct vcpu *v, const struct vmcb *b, struct vm_exit *e);

void svm_enter(struct guest_regs *regs, uint64_t vmcb_pa, uint64_t host_pa);
HVM_SHARED(svm)

#endif
