/* SPDX-License-Identifier: MIT */
/*
 * Starts host-bridge on a bare emulator without the hypervisor: the PVH
 * entry makes page tables and enters 64-bit mode as boot/ and the hypervisor
 * would, and hc_entry answers hypercalls in C (mock.c).
 * [Xen "x86/HVM direct boot ABI (PVH)"]
 */
#define TABLES		0x10000
#define MSR_EFER	0xc0000080
#define EFER_LME	0x100

	.section .note.pvh, "a", @note
	.long	4, 4, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	mock_start

	.text
	.code32
	.globl	mock_start
mock_start:
	mov	$stack_top, %esp
	mov	%ebx, %esi
	/* PML4, PDPT and four directories of 2 MiB pages. */
	mov	$TABLES, %edi
	xor	%eax, %eax
	mov	$(6 * 1024), %ecx
	rep stosl
	movl	$(TABLES + 0x1003), TABLES
	mov	$TABLES + 0x2003, %eax
	xor	%ecx, %ecx
1:	mov	%eax, TABLES + 0x1000(, %ecx, 8)
	add	$0x1000, %eax
	inc	%ecx
	cmp	$4, %ecx
	jne	1b
	mov	$0x83, %eax
	xor	%ecx, %ecx
2:	mov	%eax, TABLES + 0x2000(, %ecx, 8)
	add	$0x200000, %eax
	inc	%ecx
	cmp	$2048, %ecx
	jne	2b
	mov	$0x620, %eax		/* PAE, OSFXSR, OSXMMEXCPT */
	mov	%eax, %cr4
	mov	$TABLES, %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80000001, %eax
	mov	%eax, %cr0
	lgdt	gdt_register
	ljmp	$0x10, $3f
	.code64
3:	mov	$0x18, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%esi, %edi		/* hvm_start_info */
	call	mock_boot
	mov	%rax, %rsi
	jmp	_start

	.globl	hc_entry
	.type	hc_entry, @function
hc_entry:
	jmp	4f			/* two bytes; the third is crt0.S's ... */
	.byte	0			/* ... to patch */
4:	push	%rbp
	mov	%rsp, %rbp
	push	%r11
	push	%r9
	push	%rcx
	push	%r8
	push	%r10
	push	%rdx
	push	%rsi
	push	%rdi
	mov	%rsp, %rsi
	mov	%rax, %rdi
	and	$-16, %rsp
	call	mock_hypercall
	lea	-64(%rbp), %rsp
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%r10
	pop	%r8
	pop	%rcx
	pop	%r9
	pop	%r11
	pop	%rbp
	ret

	.data
gdt:	.quad	0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_register:
	.word	31
	.long	gdt
	.globl	mock_manifest
	.globl	mock_manifest_end
	.balign	8
mock_manifest:
	.incbin	"mock.dtb"
mock_manifest_end:

	.section .note.GNU-stack, "", @progbits
