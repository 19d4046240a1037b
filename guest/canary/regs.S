/* SPDX-License-Identifier: MIT */
/*
 * All registers loaded, time in which this partition need not run, all of them read;
 * and the gates of all vectors. Nothing between loading and reading uses a register:
 * the timer's handler gives back what it takes.
 */
#include "qemu-test/hostile/ports.h"

#define TIMER_VECTOR	0x40
#define X2APIC_EOI	0x80b
#define FLAGS		120		/* in struct canary_regs */
#define AREA		128

	.text
	.globl	canary_wait
/* canary_wait(in, out, asleep, rounds) */
canary_wait:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsi, result(%rip)
	movl	%edx, sleeps(%rip)
	movl	%ecx, left(%rip)
	movl	$0, canary_ticks(%rip)
	movl	$-1, %eax		/* all that XCR0 has */
	movl	%eax, %edx
	xrstor64 AREA(%rdi)
	pushq	FLAGS(%rdi)
	popfq
	movq	(%rdi), %rax
	movq	8(%rdi), %rbx
	movq	16(%rdi), %rcx
	movq	24(%rdi), %rdx
	movq	32(%rdi), %rsi
	movq	48(%rdi), %rbp
	movq	56(%rdi), %r8
	movq	64(%rdi), %r9
	movq	72(%rdi), %r10
	movq	80(%rdi), %r11
	movq	88(%rdi), %r12
	movq	96(%rdi), %r13
	movq	104(%rdi), %r14
	movq	112(%rdi), %r15
	movq	40(%rdi), %rdi
	pushfq				/* the loops change them */
	testl	$1, sleeps(%rip)
	jz	2f
1:	cli
	testl	$-1, canary_ticks(%rip)
	jnz	3f
	sti
sleep:	hlt
	jmp	1b
2:	sti
	decl	left(%rip)
	jnz	2b
3:	cli
	popfq
	pushq	%rdi
	movq	result(%rip), %rdi
	movq	%rax, (%rdi)
	movq	%rbx, 8(%rdi)
	movq	%rcx, 16(%rdi)
	movq	%rdx, 24(%rdi)
	movq	%rsi, 32(%rdi)
	popq	40(%rdi)
	movq	%rbp, 48(%rdi)
	movq	%r8, 56(%rdi)
	movq	%r9, 64(%rdi)
	movq	%r10, 72(%rdi)
	movq	%r11, 80(%rdi)
	movq	%r12, 88(%rdi)
	movq	%r13, 96(%rdi)
	movq	%r14, 104(%rdi)
	movq	%r15, 112(%rdi)
	pushfq
	popq	FLAGS(%rdi)
	cld
	movl	$-1, %eax
	movl	%eax, %edx
	xsave64	AREA(%rdi)
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

/* The timer's: counted. What else comes is told to the oracle; an exception's error
 * code would stay on the stack, so after one of those it sleeps. */
taken:
	cmpl	$TIMER_VECTOR, 24(%rsp)
	je	1f
	movl	24(%rsp), %eax
	addl	$0x100, %eax		/* vector 0, too, is not 0 */
	movl	$CANARY_STRAY, %edx
	outl	%eax, %dx
	cmpl	$2, 24(%rsp)		/* NMI */
	je	2f
	cmpl	$32, 24(%rsp)
	jae	1f
3:	cli
	hlt
	jmp	3b
1:	incl	canary_ticks(%rip)
	/* QEMU 7.2 loses STI's shadow at an exit: the interrupt may come before
	 * the HLT that was to wait for it */
	leaq	sleep(%rip), %rcx
	cmpq	%rcx, 32(%rsp)
	jne	4f
	incq	32(%rsp)
4:
	movl	$X2APIC_EOI, %ecx
	xorl	%eax, %eax
	xorl	%edx, %edx
	wrmsr
2:	popq	%rdx
	popq	%rcx
	popq	%rax
	leaq	8(%rsp), %rsp
	iretq

	.balign	16
	.globl	canary_stubs
canary_stubs:
	.set	vector, 0
	.rept	256
	.balign	16
	pushq	$vector
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	jmp	taken
	.set	vector, vector + 1
	.endr

	.balign	32
	.globl	canary_syscall
canary_syscall:
	xorl	%eax, %eax
	jmp	*%rcx
	.balign	16
	movl	$1, %eax
	jmp	*%rcx

	.bss
	.balign	8
result:
	.skip	8
sleeps:
	.skip	4
left:
	.skip	4
	.globl	canary_ticks
canary_ticks:
	.skip	4

	.section .note.GNU-stack, "", @progbits
