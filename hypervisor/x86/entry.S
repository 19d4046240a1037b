/* SPDX-License-Identifier: MIT */
/*
 * Where the hypervisor is entered: from boot/, from the AP trampoline, and
 * through the IDT.
 */
	.section .text
	.code64

/* From boot/: RDI = physical address of struct boot_info. */
	.globl hv_entry
hv_entry:
	/* boot/ has done so; nothing may come before there is an IDT */
	cli
	cld
	/* what firmware may have on and would not bear new tables and stacks:
	 * CR4.PCIDE, PKE, CET, PKS, and all above bit 31; cpu_init() sets the
	 * rest */
	movq	%cr4, %rax
	andl	$~0x1c20000, %eax
	movq	%rax, %cr4
	leaq	boot_stack_top(%rip), %rsp
	/* the end of a chain of frames */
	xorl	%ebp, %ebp
	call	hv_start
	ud2

/*
 * AP trampoline: copied to a page below 1 MiB; a CPU arrives in real mode at
 * its offset 0 with CS = page >> 4. The words at the end are filled in.
 * [SDM3 "MP Initialization Protocol Algorithm for MP Systems"]
 */
	.section .rodata
	.globl trampoline_start, trampoline_end
	.globl trampoline_cr3, trampoline_stack, trampoline_percpu
	.globl trampoline_base
	.balign 16
	.code16
trampoline_start:
	cli
	cld
	movw	%cs, %ax
	movw	%ax, %ds
	movl	trampoline_base - trampoline_start, %ebx
	leal	(gdt32 - trampoline_start)(%ebx), %eax
	movl	%eax, gdtr32 + 2 - trampoline_start
	/* DS is the page: addresses are offsets in it */
	lgdtl	gdtr32 - trampoline_start
	movl	$0x20, %eax		/* CR4.PAE */
	movl	%eax, %cr4
	/* real mode has 32 bits for it */
	movl	trampoline_cr3 - trampoline_start, %eax
	movl	%eax, %cr3
	/* NXE at once: the tables have NX bits, reserved without it */
	movl	$0xc0000080, %ecx	/* IA32_EFER: LME, NXE */
	xorl	%edx, %edx
	movl	$0x900, %eax
	wrmsr
	leal	(long64 - trampoline_start)(%ebx), %eax
	movl	%eax, farptr - trampoline_start
	/* from real mode to IA-32e mode in one step: PE and PG with LME set;
	 * the page is mapped one to one (paging_trampoline()) */
	movl	$0x80010001, %eax	/* CR0: PG, WP, PE */
	movl	%eax, %cr0
	ljmpl	*(farptr - trampoline_start)
	.code64
long64:
	movl	%ebx, %ebx
	/* DS has no base any more: the page's address is in RBX */
	movq	(trampoline_stack - trampoline_start)(%rbx), %rsp
	movq	(trampoline_percpu - trampoline_start)(%rbx), %rdi
	/* too far for a relative call from here */
	movabsq	$cpu_ap_entry, %rax
	xorl	%ebp, %ebp
	call	*%rax
	ud2
	.balign 8
/* accessed already: the processor need not write to it, the page is mapped
 * read-only */
gdt32:	.quad 0
	.quad 0x00af9b000000ffff	/* 0x08: 64-bit code */
gdtr32:	.word 15
	.long 0
	.balign 8
farptr:	.long 0
	.word 0x08
	.balign 8
trampoline_base:	.quad 0
trampoline_cr3:		.quad 0
trampoline_stack:	.quad 0
trampoline_percpu:	.quad 0
trampoline_end:

/*
 * IDT entries: 256 stubs of 16 bytes. Each leaves vector and error code on
 * the stack in the shape of struct trap_frame and calls trap_handle().
 */
	.section .text
	.globl idt_stubs
	.balign 16
idt_stubs:
	.set	vec, 0
	.rept	256
	.balign	16
	/* the processor pushes an error code for these [SDM3 "Exception and
	 * Interrupt Reference"] */
	.if	(vec == 8) || (vec >= 10 && vec <= 14) || (vec == 17) || \
		(vec == 21) || (vec == 29) || (vec == 30)
	.else
	pushq	$0
	.endif
	pushq	$vec
	jmp	trap_common
	.set	vec, vec + 1
	.endr

/* In the order of struct trap_frame from its end. With or without an error
 * code pushed by the processor, RSP is a multiple of 16 at the call. */
trap_common:
	.irp	reg, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	pushq	%\reg
	.endr
	cld
	movq	%rsp, %rdi
	call	trap_handle
	.irp	reg, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
	popq	%\reg
	.endr
	/* vector and error code */
	addq	$16, %rsp
	iretq

	.section .bss
	.balign 16
	.skip	8192
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
