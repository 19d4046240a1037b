/* SPDX-License-Identifier: MIT */
/*
 * Out of 64-bit mode and back, with what is tried there: compatibility mode; protected
 * mode without paging and without EFER.LME, with its own IDT and TSS; real mode, with
 * the table of vectors at 0. All memory is one to one in each.
 */
#define CODE32		0x08
#define CODE64		0x10
#define DATA		0x18
#define USER_DATA	0x20
#define USER_CODE	0x28
#define TSS		0x30
#define OTHER_TSS	0x38
#define CODE16		0x40
#define DATA16		0x48
#define TASK_GATE	0x50
#define EFER		0xc0000080
#define REAL		0x8000		/* where real-mode code is copied */
#define REAL_CODE	0x9000		/* what is tried there, and a jump back */
#define FLAG_AC		0x40000
#define FLAG_VM		0x20000

/* void compat_call(void *code): for guarded(). The bytes there end with RET. */
	.text
	.globl	compat_call
compat_call:
	pushq	%rbx
	pushq	%rbp
	movl	%esp, %ebp
	movl	$DATA, %eax
	movl	%eax, %ss
	xorl	%eax, %eax
	ljmpl	*to_compat(%rip)
	.code32
compat:
	call	*%edi
	ljmpl	$CODE64, $1f
	.code64
1:	movl	%ebp, %esp
	popq	%rbp
	popq	%rbx
	ret

/* unsigned legacy_run(uint32_t real, uint32_t code): in protected mode, or what is at
 * REAL_CODE in real mode; 0, or 0x100 + vector of the exception that ended it. */
	.globl	legacy_run
legacy_run:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, saved_rsp(%rip)
	movq	%cr0, %rax
	movl	%eax, saved_cr0(%rip)
	sidt	saved_idt(%rip)
	sgdt	saved_gdt(%rip)
	/* descriptors that a switch has made busy are free again */
	movb	$0x89, gdt + TSS + 5(%rip)
	movb	$0x89, gdt + OTHER_TSS + 5(%rip)
	lgdt	gdtr(%rip)
	ljmpl	*to_legacy(%rip)
	.code32
legacy:
	movl	$DATA, %eax
	movl	%eax, %ss
	movl	%eax, %ds
	movl	%eax, %es
	movl	$stack32, %esp
	movl	%cr0, %eax
	andl	$0x7fffffff, %eax
	movl	%eax, %cr0
	movl	$EFER, %ecx
	rdmsr
	andl	$~0x100, %eax
	wrmsr
	lidt	idtr32
	movl	$TSS, %eax
	ltr	%ax
	xorl	%eax, %eax
	testl	%edi, %edi
	jnz	to_real
	call	*%esi
	.globl	legacy_done
legacy_done:
	xorl	%ebx, %ebx
leave_legacy:				/* the result is in EBX */
	movl	$DATA, %eax
	movl	%eax, %ss
	movl	%eax, %ds
	movl	%eax, %es
	movl	$stack32, %esp
	movl	$EFER, %ecx
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	saved_cr0, %eax
	movl	%eax, %cr0
	ljmpl	$CODE64, $1f
	.code64
1:	movq	saved_rsp(%rip), %rsp
	pushq	$2			/* a switch may have left NT */
	popfq
	lidt	saved_idt(%rip)
	lgdt	saved_gdt(%rip)
	/* its own TSS anew: the descriptor says busy */
	movq	saved_gdt + 2(%rip), %rcx
	movb	$0x89, TSS + 5(%rcx)
	movl	$TSS, %eax
	ltr	%ax
	movl	%ebx, %eax
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	cld
	ret
	.code32

to_real:
	lidt	idtr16
	ljmpl	$CODE16, $REAL

	.set	vector, 0
	.balign	16
stubs32:
	.rept	32
	.balign	16
	movl	$0x100 + vector, %ebx
	jmp	leave_legacy
	.set	vector, vector + 1
	.endr

/* What is tried in protected mode, by legacy_run(0, address). */
	.globl	try_task_jump, try_task_call, try_task_gate, try_nt_iret
try_task_jump:
	ljmpl	$OTHER_TSS, $0
try_task_call:
	lcall	$OTHER_TSS, $0
	ret
try_task_gate:
	lcall	$TASK_GATE, $0
	ret
try_nt_iret:				/* back to a task that never was */
	movw	$OTHER_TSS, tss32
	pushfl
	orl	$0x4000, (%esp)
	popfl
	iret

	.globl	try_vm86, try_code16, try_alignment, try_null_ss
try_vm86:
	pushl	$0
	pushl	$0
	pushl	$0
	pushl	$0
	pushl	$0x7000			/* SS:SP */
	pushl	$0x7000
	pushl	$FLAG_VM | 0x3002
	pushl	$0
	pushl	$REAL_CODE
	iret
try_code16:
	ljmpl	$CODE16, $REAL_CODE
/* At CPL 3 on a stack that is odd, with a handler of CPL 3: its delivery does what it
 * handles. */
try_alignment:
	movl	%cr0, %eax
	orl	$FLAG_AC, %eax		/* AM has the same place */
	movl	%eax, %cr0
	movl	$user_ac, %eax
	movw	%ax, idt32 + 17 * 8
	movw	$USER_CODE | 3, idt32 + 17 * 8 + 2
	movw	$0xee00, idt32 + 17 * 8 + 4
	pushl	$USER_DATA | 3
	pushl	$user_stack32 - 1
	pushl	$FLAG_AC | 2
	pushl	$USER_CODE | 3
	pushl	$user_ac
	iret
user_ac:
	pushl	%eax
	jmp	user_ac
try_null_ss:				/* #GP, and the next exit as it was */
	xorl	%eax, %eax
	cpuid
	xorl	%eax, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	cpuid
	xorl	%eax, %eax
	movl	%eax, %ss
	ret

/* Copied to REAL: from 16-bit protected mode on. Its addresses are of that place. */
	.section .rodata
	.globl	real_begin, real_end
	.code16
real_begin:
	movw	$DATA16, %ax
	movw	%ax, %ss
	movw	%ax, %ds
	movw	%ax, %es
	movl	%cr0, %eax
	andb	$0xfe, %al
	movl	%eax, %cr0
	ljmp	$0, $REAL + (1f - real_begin)
1:	xorw	%ax, %ax
	movw	%ax, %ss
	movw	%ax, %ds
	movw	%ax, %es
	movw	$0x7ff0, %sp
	/* the table of vectors: the stubs below */
	xorw	%di, %di
	movw	$REAL + (stubs16 - real_begin), %bx
2:	movw	%bx, (%di)
	movw	$0, 2(%di)
	addw	$8, %bx
	addw	$4, %di
	cmpw	$128, %di
	jb	2b
	movw	$REAL_CODE, %ax
	call	*%ax
	xorl	%ebx, %ebx
real_out:
	cli
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$CODE32, $leave_legacy
	.set	vector, 0
	.balign	8
stubs16:
	.rept	32
	.balign	8
	movl	$0x100 + vector, %ebx
	jmp	real_out
	.set	vector, vector + 1
	.endr
real_end:
	.code64

	.balign	8
to_compat:
	.long	compat
	.word	CODE32
to_legacy:
	.long	legacy
	.word	CODE32
	.balign	8
gdtr:
	.word	gdt_end - gdt - 1
	.quad	gdt
idtr32:
	.word	32 * 8 - 1
	.quad	idt32
idtr16:
	.word	0x3ff
	.quad	0

	.data
	.balign	8
gdt:
	.quad	0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff
	.quad	0x00cff3000000ffff, 0x00cffb000000ffff
	/* TSSs, whose bases legacy_init() fills in */
	.quad	0x0000890000000067, 0x0000890000000067
	.quad	0x00009b000000ffff, 0x000093000000ffff
	.quad	0x0000850000380000	/* task gate */
gdt_end:
	.balign	8
	.globl	legacy_gdt, legacy_idt, legacy_stubs, legacy_tss, legacy_other
	.set	legacy_gdt, gdt
	.set	legacy_idt, idt32
	.set	legacy_stubs, stubs32
	.set	legacy_tss, tss32
	.set	legacy_other, tss_other
tss_other:				/* the task that is switched to */
	.long	0, stack32, DATA, 0, 0, 0, 0
	.long	0			/* CR3 */
	.long	legacy_done, 2, 0, 0, 0, 0, stack32, 0, 0, 0
	.long	DATA, CODE32, DATA, DATA, DATA, DATA, 0, 0x680000
	.bss
	.balign	8
tss32:
	.skip	104
idt32:
	.skip	32 * 8
	.skip	2048
stack32:
	.skip	512
user_stack32:
	.skip	8
saved_rsp:
	.skip	8
saved_cr0:
	.skip	4
	.balign	8
saved_idt:
	.skip	10
	.balign	8
saved_gdt:
	.skip	10

	.section .note.GNU-stack, "", @progbits
