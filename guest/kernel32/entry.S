/* SPDX-License-Identifier: MIT */
/*
 * The start of a small kernel in 32-bit protected mode, once with a multiboot
 * header and once with Xen's note for PVH (-DPVH). It tells what it finds.
 * [Multiboot 0.6.96 "Machine state"], [Xen "x86/HVM direct boot ABI"]
 */
	.code32
#ifdef PVH
	.section .note, "a", @note
	.long	4, 4, 18		/* "Xen", XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	start
#else
	.section .head, "a"
	.long	0x1badb002, 3, -(0x1badb002 + 3)
#endif

	.text
	.globl start
start:
	/* Nothing of these is changed before it is kept; there is no stack. */
	movl	%eax, begun
	movl	%ebx, begun + 4
	movl	%cr0, %eax
	movl	%eax, begun + 8
	movl	%cr4, %eax
	movl	%eax, begun + 12
	movl	%cs, %eax
	movl	%eax, begun + 16
	movl	%ds, %eax
	movl	%eax, begun + 20
	movl	$0xc0000080, %ecx	/* IA32_EFER */
	rdmsr
	movl	%eax, begun + 24
	movl	$stack_top, %esp
	pushfl
	popl	begun + 28
	call	kernel_main
1:	cli
	hlt
	jmp	1b

	.data
	.globl begun
begun:	.skip	32

	.bss
	.balign 16
	.skip	4096
stack_top:

	.section .note.GNU-stack, "", @progbits
