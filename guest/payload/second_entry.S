/* SPDX-License-Identifier: MIT */
/*
 * The second vCPU's way from real mode into second_main(), on the first one's page
 * tables and descriptors. Copied to SECOND, which is its start-up vector's page.
 */
#define CODE64		0x10
#define DATA		0x18
#define SECOND		0x7000
#define EFER		0xc0000080
#define CR0_START	0x80000031	/* PG, NE, ET, PE */

	.section .rodata
	.globl	second_begin, second_end
	.code16
second_begin:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	lgdtl	SECOND + (gdtr - second_begin)
	movl	$0x20, %eax		/* CR4.PAE */
	movl	%eax, %cr4
	movl	SECOND + (cr3 - second_begin), %eax
	movl	%eax, %cr3
	movl	$EFER, %ecx
	xorl	%edx, %edx
	movl	$0x100, %eax		/* LME */
	wrmsr
	movl	$CR0_START, %eax
	movl	%eax, %cr0
	ljmpl	$CODE64, $second_long
	.balign	8
/* Filled in by second_start(): CR3, and what SGDT says. */
cr3:
	.long	0
gdtr:
	.skip	10
second_end:

	.text
	.code64
second_long:
	movl	$DATA, %eax
	movl	%eax, %ss
	movl	%eax, %ds
	movl	%eax, %es
	lidt	second_idtr(%rip)
	leaq	second_stack_top(%rip), %rsp
	call	second_main
1:	cli
	hlt
	jmp	1b

	.bss
	.globl	second_idtr
second_idtr:
	.skip	16
	.balign	16
	.skip	4096
second_stack_top:

	.section .note.GNU-stack, "", @progbits
