/* SPDX-License-Identifier: MIT */
/*
 * Setup header, 64-bit entry and exception stubs of the test payload, and of
 * the differential test's program (guest/diff), which shares them. The image is
 * not relocatable: host-bridge must load it at pref_address. [Linux "The
 * Linux/x86 Boot Protocol", "64-bit Boot Protocol"]
 */
	/* Only what host-bridge/guest/linux_image.c looks at has a meaning; the
	 * rest is what a real kernel of this protocol says. Not executable:
	 * nothing starts in real mode. */
	.section .header, "a"
	.org	0x1f1
	.byte	1			/* setup_sects */
	.word	0			/* root_flags */
	.long	image_paragraphs	/* syssize, in 16 bytes */
	.word	0, 0xffff, 0		/* ram_size, vid_mode, root_dev */
	.word	0xaa55			/* boot_flag, at 0x1fe */
	.byte	0xeb, header_end - header_magic	/* jump: ends the header */
header_magic:
	.ascii	"HdrS"
	.word	0x20f			/* version */
	.org	0x211
	.byte	1			/* loadflags: LOADED_HIGH */
	.org	0x214
	.long	image_start		/* code32_start */
	.org	0x22c
	.long	0x7fffffff		/* initrd_addr_max */
	.long	0x1000			/* kernel_alignment */
	.byte	0, 12			/* relocatable_kernel, min_alignment */
	.word	1			/* xloadflags: XLF_KERNEL_64 */
	.long	2047			/* cmdline_size */
	.org	0x258
	.quad	image_start		/* pref_address */
	.long	image_init_size
	.long	0			/* handover_offset */
	.long	0			/* kernel_info_offset */
header_end:
	.org	0x400

	/* 64-bit entry at 0x200: long mode, flat segments, identity map, RSI =
	 * boot parameters, interrupts off. No stack yet. */
	.section .entry, "ax"
	.org	0x200
	.globl	entry64
entry64:
	cld
	movq	%rsi, %rbx
	/* .bss is not in the file, and what is there the loader need not have
	 * zeroed. */
	leaq	image_end(%rip), %rdi
	leaq	bss_end(%rip), %rcx
	subq	%rdi, %rcx
	xorl	%eax, %eax
	rep stosb
	leaq	stack_top(%rip), %rsp
	movq	%rbx, %rdi
	call	payload_main
/* The end, for payload_main() returned: a vCPU that sleeps for ever. */
1:	cli
	hlt
	jmp	1b

	/* unsigned guarded(void (*fn)(void *), void *arg): calls fn; 0, or
	 * 0x100 + vector of the exception that ended it. Callee-saved registers
	 * come back either way, other state (flags, DF, CRs) as fn left it. Not
	 * reentrant: there is one resume_rsp. Exceptions are taken on this same
	 * stack. */
	.text
	.globl	guarded
guarded:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, resume_rsp(%rip)
	movq	%rdi, %rax
	movq	%rsi, %rdi
	/* Aligned at the call, by the psABI. */
	subq	$8, %rsp
	call	*%rax
	addq	$8, %rsp
	xorl	%eax, %eax
guarded_out:
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

	/* unsigned guarded_user(void (*fn)(void *), void *arg): the same at CPL
	 * 3; a return is made by vector 0x80, so 0x180 means that nothing
	 * happened. fn runs on a stack of its own; all memory is accessible to
	 * it. Afterwards SS is null, as an exception from CPL 3 leaves it.
	 * [SDM3 "Stack Switching in IA-32e Mode"] */
	.globl	guarded_user
guarded_user:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, resume_rsp(%rip)
	movq	%rdi, %rax
	movq	%rsi, %rdi
	pushq	$0x23			/* SS: user data */
	leaq	user_stack_top(%rip), %rcx
	pushq	%rcx
	pushq	$2			/* RFLAGS: IF clear */
	pushq	$0x2b			/* CS: user code */
	leaq	user_start(%rip), %rcx
	pushq	%rcx
	iretq
user_start:
	call	*%rax
	int	$0x80

/* Exceptions: the vector is in %al; whatever was going on is dropped. */
/* Frame and error code stay behind on a stack that is let go. */
trap_common:
	movzbl	%al, %eax
	orl	$0x100, %eax
	movq	resume_rsp(%rip), %rsp
	jmp	guarded_out

	.macro	stub vector
	.balign	16
	movb	$\vector, %al
	jmp	trap_common
	.endm

	.balign	16
	.globl	trap_stubs
trap_stubs:				/* 16 bytes each, 0 to 31, then 0x80 */
	.set	vector, 0
	.rept	32
	stub	vector
	.set	vector, vector + 1
	.endr
	stub	0x80

	.bss
	.balign	16
	/* Stacks: of the program, of CPL 3, of exceptions from CPL 3
	 * (TSS.RSP0). */
	.skip	8192
stack_top:
	.skip	4096
user_stack_top:
	.skip	4096
	.globl	trap_stack_top
trap_stack_top:
resume_rsp:
	.skip	8

	.section .note.GNU-stack, "", @progbits
