/* SPDX-License-Identifier: MIT */
/*
 * void svm_enter(struct guest_regs *regs, uint64_t vmcb_pa, uint64_t host_pa)
 *
 * Loads the guest's general registers (RAX is in the VMCB), runs it, and at
 * the #VMEXIT stores them. VMLOAD and VMSAVE carry FS, GS, TR, LDTR and the
 * system-call MSRs; host_pa is where this CPU's own are kept. Interrupts are
 * held by GIF from CLGI to VMRUN, and are off on return; with V_INTR_MASKING
 * the IF=1 set here lets them end the guest's run whatever its own IF says.
 * [APM2 "VMRUN Instruction", "Global Interrupt Flag, STGI and CLGI"]
 */
#include <guest_regs.h>

	.text
	.globl svm_enter
svm_enter:
	host_push
	/* for the way back: regs at RSP, host_pa above it */
	pushq	%rdx
	pushq	%rdi
	/* held until VMRUN sets GIF: an interrupt now would be taken here,
	 * with IF=1 */
	clgi
	sti
	movq	%rsi, %rax
	guest_load
	/* FS, GS, TR, LDTR, KernelGSbase, STAR.. SYSENTER: from the VMCB, and
	 * back */
	vmload	%rax
	vmrun	%rax
	vmsave	%rax
	/* RAX and RSP are the hypervisor's again, the others the guest's
	 * still */
	movq	(%rsp), %rax
	movq	%rdi, R(7)(%rax)
	guest_store %rax
	/* this CPU's own GS base is needed by the next C function */
	movq	8(%rsp), %rax
	vmload	%rax
	/* IF=0 before GIF=1: what is pending stays so */
	cli
	stgi
	addq	$16, %rsp
	host_pop
	ret

	.section .note.GNU-stack, "", @progbits
