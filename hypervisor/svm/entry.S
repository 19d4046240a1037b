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
#define R(i)	((i) * 8)

	.text
	.globl svm_enter
svm_enter:
	pushq	%rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	/* for the way back: regs at RSP, host_pa above it */
	pushq	%rdx
	pushq	%rdi
	/* held until VMRUN sets GIF: an interrupt now would be taken here,
	 * with IF=1 */
	clgi
	sti
	movq	%rsi, %rax
	movq	R(1)(%rdi), %rcx
	movq	R(2)(%rdi), %rdx
	movq	R(3)(%rdi), %rbx
	movq	R(5)(%rdi), %rbp
	movq	R(6)(%rdi), %rsi
	movq	R(8)(%rdi), %r8
	movq	R(9)(%rdi), %r9
	movq	R(10)(%rdi), %r10
	movq	R(11)(%rdi), %r11
	movq	R(12)(%rdi), %r12
	movq	R(13)(%rdi), %r13
	movq	R(14)(%rdi), %r14
	movq	R(15)(%rdi), %r15
	/* the last: it held regs */
	movq	R(7)(%rdi), %rdi
	/* FS, GS, TR, LDTR, KernelGSbase, STAR.. SYSENTER: from the VMCB, and
	 * back */
	vmload	%rax
	vmrun	%rax
	vmsave	%rax
	/* RAX and RSP are the hypervisor's again, the others the guest's
	 * still */
	movq	(%rsp), %rax
	movq	%rcx, R(1)(%rax)
	movq	%rdx, R(2)(%rax)
	movq	%rbx, R(3)(%rax)
	movq	%rbp, R(5)(%rax)
	movq	%rsi, R(6)(%rax)
	movq	%rdi, R(7)(%rax)
	movq	%r8, R(8)(%rax)
	movq	%r9, R(9)(%rax)
	movq	%r10, R(10)(%rax)
	movq	%r11, R(11)(%rax)
	movq	%r12, R(12)(%rax)
	movq	%r13, R(13)(%rax)
	movq	%r14, R(14)(%rax)
	movq	%r15, R(15)(%rax)
	/* this CPU's own GS base is needed by the next C function */
	movq	8(%rsp), %rax
	vmload	%rax
	/* IF=0 before GIF=1: what is pending stays so */
	cli
	stgi
	addq	$16, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	ret

	.section .note.GNU-stack, "", @progbits
