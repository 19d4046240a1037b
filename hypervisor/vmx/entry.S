/* SPDX-License-Identifier: MIT */
/*
 * uint64_t vmx_enter(struct guest_regs *regs, uint64_t launched,
 *		      uint64_t *host_rsp)
 *
 * Loads the guest's general registers, enters it (VMLAUNCH the first time,
 * VMRESUME later), and at the VM exit stores them. Returns 0 after an exit,
 * 1 when the instruction itself failed (regs are then unchanged). The VMCS
 * must be current, *host_rsp what its HOST_RSP is; interrupts are off.
 */
#define R(i)	((i) * 8)
#define VMCS_HOST_RSP	0x6c14

	.text
	.globl vmx_enter, vmx_exit_point
vmx_enter:
	pushq	%rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	/* regs, for the exit */
	pushq	%rdi
	/* calls come from different depths of the stack, but seldom */
	cmpq	(%rdx), %rsp
	je	4f
	movq	%rsp, (%rdx)
	movl	$VMCS_HOST_RSP, %eax
	vmwrite	%rsp, %rax
	/* launched? MOVs leave the flags alone */
4:	testq	%rsi, %rsi
	movq	R(0)(%rdi), %rax
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
	movq	R(7)(%rdi), %rdi
	/* all of the guest's registers are loaded but RSP, RIP, RFLAGS: the
	 * VMCS's */
	jnz	1f
	vmlaunch
	jmp	2f
1:	vmresume
/* Here only if the instruction failed: its registers are the guest's still,
 * and all that C wants kept is on the stack. */
2:	popq	%rdi
	movl	$1, %eax
	jmp	3f

	.balign 16
/* The VM exit comes here, with HOST_RSP, RFLAGS = 2 and the guest's registers.
 * One is needed to reach regs, so RDI goes to the stack first. */
vmx_exit_point:
	pushq	%rdi
	movq	8(%rsp), %rdi
	movq	%rax, R(0)(%rdi)
	movq	%rcx, R(1)(%rdi)
	movq	%rdx, R(2)(%rdi)
	movq	%rbx, R(3)(%rdi)
	movq	%rbp, R(5)(%rdi)
	movq	%rsi, R(6)(%rdi)
	movq	%r8, R(8)(%rdi)
	movq	%r9, R(9)(%rdi)
	movq	%r10, R(10)(%rdi)
	movq	%r11, R(11)(%rdi)
	movq	%r12, R(12)(%rdi)
	movq	%r13, R(13)(%rdi)
	movq	%r14, R(14)(%rdi)
	movq	%r15, R(15)(%rdi)
	popq	%rax
	movq	%rax, R(7)(%rdi)
	popq	%rdi
	xorl	%eax, %eax
3:	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	ret

	.section .note.GNU-stack, "", @progbits
