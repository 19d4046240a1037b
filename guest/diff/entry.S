/* SPDX-License-Identifier: MIT */
/*
 * What C cannot say: the second vCPU's way from real mode, trips out of 64-bit
 * mode, the hypercall. Results go to RESULT_PORT: OUT to a port that nobody
 * has, an exit with the value in the trace.
 */
#define RESULT_PORT	0xd1f4
#define CODE32		0x08
#define CODE64		0x10
#define DATA		0x18

/* Copied to a page below 1 MiB; entered in real mode at its beginning. Its data
 * is addressed relative to that page, whose segment is CS; the last four bytes
 * are CR3, filled in by start_ap(). */
	.section .rodata
	.globl ap_trampoline, ap_trampoline_end
	.code16
ap_trampoline:
	cli
	movw	%cs, %ax
	movw	%ax, %ds
	movzwl	%ax, %eax
	movw	$RESULT_PORT, %dx
	outl	%eax, %dx		/* where it was told to start */
	xorl	%eax, %eax
	cpuid				/* an exit in real mode */
	/* CR0 as after INIT, but for CD and NW. */
	movl	%cr0, %eax
	andl	$0x9fffffff, %eax	/* KNOWN_CACHE_BITS */
	movw	$RESULT_PORT, %dx
	outl	%eax, %dx
	lgdtl	ap_gdtr - ap_trampoline
	movl	$0x20, %eax		/* CR4.PAE */
	movl	%eax, %cr4
	movl	ap_cr3_copy - ap_trampoline, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx	/* IA32_EFER.LME */
	xorl	%edx, %edx
	movl	$0x100, %eax
	wrmsr
	movl	$0x80000031, %eax	/* CR0: PG, NE, ET, PE */
	movl	%eax, %cr0
	/* Into the program itself: linked low, mapped one to one. */
	ljmpl	$CODE64, $ap_long_start
	.balign	8
ap_gdtr:
	.word	0x1f
	.long	ap_gdt
ap_cr3_copy:				/* filled in */
	.long	0
ap_trampoline_end:
	.balign 8
ap_gdt:
	.quad	0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff

	.text
	.code64
	.globl ap_long_start
/* 64-bit mode on the first vCPU's page tables, this file's GDT, no IDT yet. */
ap_long_start:
	movl	$DATA, %eax
	movl	%eax, %ss
	movl	%eax, %ds
	movl	%eax, %es
	movq	ap_stack(%rip), %rsp
	call	ap_main
1:	cli
	hlt
	jmp	1b

/* uint64_t hypercall(nr, rdi, rsi): VMCALL, patched to VMMCALL where the
 * processor is an AMD: three bytes both. Other arguments are 0; of the results
 * RDX is kept beside the status. [SDM3 "VMCALL"], [APM3 "VMMCALL"] */
	.globl hypercall, hypercall_insn
hypercall:
	movq	%rdi, %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	xorl	%edx, %edx
	xorl	%r10d, %r10d
	xorl	%r8d, %r8d
hypercall_insn:
	vmcall
	movq	%rdx, hypercall_rdx(%rip)
	ret

/* void compat_trip(void *): 64-bit, compatibility mode with two exits, 64-bit.
 * A hypervisor that fetches instructions must know the mode they are of. EBP
 * keeps the stack pointer across: all lies below 4 GiB. */
	.globl compat_trip
compat_trip:
	pushq	%rbx
	pushq	%rbp
	movl	%esp, %ebp
	movl	$DATA, %eax		/* an exception from CPL 3 left it null */
	movl	%eax, %ss
	ljmpl	*to_compat(%rip)
	.code32
compat:
	movl	$0x40000000, %eax
	xorl	%ecx, %ecx
	cpuid
	movw	$RESULT_PORT, %dx
	movl	$0xc0, %eax
	outl	%eax, %dx
	ljmpl	$CODE64, $back_to_64
	.code64
back_to_64:
	movl	%ebp, %esp
	popq	%rbp
	popq	%rbx
	ret

/* void legacy_trip(void *): the same, and paging off and on again on the way:
 * long mode is left. EFER.LMA follows by itself, and the exits in between are
 * of a 32-bit guest without paging. */
	.globl legacy_trip
legacy_trip:
	pushq	%rbx
	pushq	%rbp
	movl	%esp, %ebp
	movl	$DATA, %eax		/* an exception from CPL 3 left it null */
	movl	%eax, %ss
	ljmpl	*to_legacy(%rip)
	.code32
legacy:
	movl	%cr0, %ebx
	movl	%ebx, %eax
	andl	$0x7fffffff, %eax
	movl	%eax, %cr0
	movl	$0xc0000080, %ecx	/* LMA has gone */
	rdmsr
	movw	$RESULT_PORT, %dx
	outl	%eax, %dx
	movl	$0x80000000, %eax
	/* CPUID writes EBX, which holds CR0. */
	pushl	%ebx
	cpuid
	popl	%ebx
	movl	%ebx, %cr0
	movl	$0xc0000080, %ecx	/* and is back */
	rdmsr
	movw	$RESULT_PORT, %dx
	outl	%eax, %dx
	ljmpl	$CODE64, $back_to_64
	.code64

/* call_zero_page(at, scratch): at points to two zero bytes, ADD %AL,(%RAX),
 * and what follows them returns. */
	.globl call_zero_page
call_zero_page:
	movq	%rsi, %rax
	jmp	*%rdi

	.bss
	.balign 8
	.globl hypercall_rdx
hypercall_rdx:
	.skip	8

	.section .rodata
	.balign 8
to_compat:
	.long	compat
	.word	CODE32
to_legacy:
	.long	legacy
	.word	CODE32

	.section .note.GNU-stack, "", @progbits
