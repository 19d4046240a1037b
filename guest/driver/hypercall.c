// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: hypercalls. The instruction is the one that suits the processor, which
 * Linux puts in as it loads this, as it does for KVM's; the registers are ours.
 * [docs/hypercalls.md "How to call"]
 */
#include <linux/kvm_para.h>

#include "isthmus.h"

/* No function is called between the registers' getting their values and the
 * instruction, or they would not keep them. */
static s64 call(u64 number, const u64 args[5])
{
	s64 status = number;
	u64 rdi = args[0], rsi = args[1], rdx = args[2];
	register u64 r10 asm("r10") = args[3];
	register u64 r8 asm("r8") = args[4];

	asm volatile(KVM_HYPERCALL
		     : "+a"(status), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r10),
		       "+r"(r8)
		     : : "memory");
	return status;
}

/**
 * Makes that call, of five arguments, and returns its status; results are
 * dropped. HC_ENOSYS if nobody is there to ask. Any context.
 */
s64 isthmus_hypercall(u64 number, const u64 args[5])
{
	return kvm_para_available() ? call(number, args) : HC_ENOSYS;
}
