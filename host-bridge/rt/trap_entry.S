/* SPDX-License-Identifier: MIT */
/*
 * Exception entries. Nothing returns from here: this program takes no
 * interrupts and no exception is expected, so each one is a dump (trap.c). All
 * gates run on their own stack (IST 1), so that a stack overflow can still be
 * reported. An entry is 16 bytes or less, at a multiple of 16, so that cpu.c
 * can fill the IDT by arithmetic. [SDM3 "64-Bit Mode Stack Frame", "Interrupt
 * Stack Table"]
 */
	.macro	trap_entry nr
	.align	16
	/* Vectors whose exception pushes an error code, by [SDM3 "Exception and
	 * Interrupt Reference"]; the others get a 0 in its place, so that all
	 * frames look alike. (AMD's 29 and 30 push one too; neither can occur
	 * in a guest like this one.) */
	.if !(\nr == 8 || (\nr >= 10 && \nr <= 14) || \nr == 17 || \nr == 21)
	push	$0			/* no error code from the processor */
	.endif
	push	$\nr
	jmp	trap_common
	.endm

	.section .text.trap, "ax"
	.globl	trap_entries
	.align	16
/* The first of the 32 entries; see TRAP_STRIDE in cpu.c. */
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
	/* The frame is complete: its lowest field is where RSP points. The
	 * processor aligned the stack before its own pushes, and 22 words
	 * keep it so; the AND below is for the day when the frame has
	 * another size. */
	mov	%rsp, %rdi
	cld
	and	$-16, %rsp
	call	trap_dump
	ud2

	.section .note.GNU-stack, "", @progbits
