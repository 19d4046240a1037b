/* SPDX-License-Identifier: MIT */
/*
 * Into a guest and back; and into a function that may raise an exception, and
 * back. The guest is ours: it changes RAX to RDX and no more, so only what a C
 * caller wants kept is kept. Addresses are told apart from the manuals' RIP of a
 * VMCS: 0x6c14 is HOST_RSP, 0x6c16 HOST_RIP.
 */
#define GUEST_NOTHING	0x1000

	.macro	keep
	pushq	%rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	.endm
	.macro	bring_back
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	.endm

	.text
/* uint64_t trial_vmx_enter(uint64_t again): 0 after an exit, 1 when VMLAUNCH (or,
 * again, VMRESUME) itself failed. */
	.globl	trial_vmx_enter
trial_vmx_enter:
	keep
	movq	$0x6c14, %rax
	vmwrite	%rsp, %rax
	leaq	1f(%rip), %rcx
	movq	$0x6c16, %rax
	vmwrite	%rcx, %rax
	testq	%rdi, %rdi
	movq	$GUEST_NOTHING, %rdi
	movq	%rdi, %rbx
	jnz	2f
	vmlaunch
	jmp	3f
2:	vmresume
3:	movl	$1, %eax
	jmp	4f
1:	xorl	%eax, %eax
4:	bring_back
	ret

/* void trial_svm_enter(uint64_t vmcb, uint64_t host): VMRUN; VMSAVE's part of the
 * host is at `host`. */
	.globl	trial_svm_enter
trial_svm_enter:
	keep
	pushq	%rsi
	movq	%rdi, %rax
	movq	$GUEST_NOTHING, %rdi
	movq	%rdi, %rbx
	clgi
	vmload	%rax
	vmrun	%rax
	vmsave	%rax
	popq	%rax
	vmload	%rax
	stgi
	bring_back
	ret

/* uint64_t trap_call(function, argument, uint64_t *stack): calls it; 0, or the
 * vector + 1 of an exception, after which it is left as it is. */
	.globl	trap_call, trap_stubs
trap_call:
	keep
	subq	$8, %rsp
	movq	%rsp, (%rdx)
	movq	%rdi, %rax
	movq	%rsi, %rdi
	call	*%rax
	xorl	%eax, %eax
back:	addq	$8, %rsp
	bring_back
	ret

/* The first 32 vectors, 16 bytes each. An NMI is the machine's and is forgotten. */
	.balign	16
trap_stubs:
	.set	vector, 0
	.rept	32
	.balign	16
	pushq	$vector
	jmp	common
	.set	vector, vector + 1
	.endr

common:
	cmpq	$2, (%rsp)
	jne	1f
	addq	$8, %rsp
	iretq
1:	movl	(%rsp), %eax
	incl	%eax
	movq	trap_stack(%rip), %rsp
	cld
	jmp	back

	.section .note.GNU-stack, "", @progbits
