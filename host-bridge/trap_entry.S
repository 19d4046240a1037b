/* SPDX-License-Identifier: MIT */
/*
 * Exception entries. Nothing returns from here: this program takes no
 * interrupts and no exception is expected, so each one is a dump (trap.c).
 * All gates run on their own stack (IST 1), so that a stack overflow can
 * still be reported.
 */
	.macro	trap_entry nr
	.align	16
	.if !(\nr == 8 || (\nr >= 10 && \nr <= 14) || \nr == 17 || \nr == 21)
	push	$0			/* no error code from the processor */
	.endif
	push	$\nr
	jmp	trap_common
	.endm

	.section .text.trap, "ax"
	.globl	trap_entries
	.align	16
trap_entries:
	.set	nr, 0
	.rept	32
	trap_entry nr
	.set	nr, nr + 1
	.endr

/* Builds struct trap_frame (trap.c): general registers below the vector. */
trap_common:
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%r11
	push	%r10
	push	%r9
	push	%r8
	push	%rbp
	push	%rdi
	push	%rsi
	push	%rdx
	push	%rcx
	push	%rbx
	push	%rax
	mov	%rsp, %rdi
	cld
	and	$-16, %rsp
	call	trap_dump
	ud2

	.section .note.GNU-stack, "", @progbits
