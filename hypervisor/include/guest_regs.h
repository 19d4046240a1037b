/* SPDX-License-Identifier: MIT */
/*
 * For the assembler: what both vendors' entries do with general registers.
 * struct guest_regs (partition.h) has them by their numbers in instructions. RAX
 * and RSP are not here: where they are differs.
 */
#ifndef ISTHMUS_GUEST_REGS_H
#define ISTHMUS_GUEST_REGS_H

#define R(i)	((i) * 8)

/* What C wants kept over a call. */
	.macro host_push
	.irp	reg, rbp, rbx, r12, r13, r14, r15
	pushq	%\reg
	.endr
	.endm

	.macro host_pop
	.irp	reg, r15, r14, r13, r12, rbx, rbp
	popq	%\reg
	.endr
	.endm

/* From the structure at RDI, itself the last. Leaves the flags alone. */
	.macro guest_load
	movq	R(1)(%rdi), %rcx
	movq	R(2)(%rdi), %rdx
	movq	R(3)(%rdi), %rbx
	movq	R(5)(%rdi), %rbp
	movq	R(6)(%rdi), %rsi
	.irp	n, 8, 9, 10, 11, 12, 13, 14, 15
	movq	R(\n)(%rdi), %r\n
	.endr
	movq	R(7)(%rdi), %rdi
	.endm

/* To the structure at base; RDI is the caller's, too. */
	.macro guest_store base
	movq	%rcx, R(1)(\base)
	movq	%rdx, R(2)(\base)
	movq	%rbx, R(3)(\base)
	movq	%rbp, R(5)(\base)
	movq	%rsi, R(6)(\base)
	.irp	n, 8, 9, 10, 11, 12, 13, 14, 15
	movq	%r\n, R(\n)(\base)
	.endr
	.endm

#endif
