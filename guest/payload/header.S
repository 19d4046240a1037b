/* SPDX-License-Identifier: MIT */
/*
 * Setup header, 64-bit entry and exception stubs of the test payload.
 * [Linux "The Linux/x86 Boot Protocol", "64-bit Boot Protocol"]
 */
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

	.section .entry, "ax"
	.org	0x200
	.globl	entry64
entry64:
	cld
	movq	%rsi, %rbx
	leaq	image_end(%rip), %rdi
	leaq	bss_end(%rip), %rcx
	subq	%rdi, %rcx
	xorl	%eax, %eax
	rep stosb
	leaq	stack_top(%rip), %rsp
	movq	%rbx, %rdi
	call	payload_main
1:	cli
	hlt
	jmp	1b

/* unsigned guarded(void (*fn)(void *), void *arg): calls fn; 0, or 0x100 +
 * vector of the exception that ended it. */
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

/* unsigned guarded_user(void (*fn)(void *), void *arg): the same at CPL 3;
 * a return is made by vector 0x80, so 0x180 means that nothing happened. */
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
