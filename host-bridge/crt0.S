/* SPDX-License-Identifier: MIT */
/*
 * Entry of the host partition's program, and the one place a hypercall is
 * made. Starts in 64-bit mode on boot/'s page tables (all of them writable),
 * RSI = struct host_info, IF=0, and IF stays 0 for ever: events come from
 * HC_WAIT, never as interrupts.
 */
#define CR0_MP		0x00000002
#define CR0_EM		0x00000004
#define CR0_TS		0x00000008
#define CR0_WP		0x00010000
#define CR4_OSFXSR	0x00000200
#define CR4_OSXMMEXCPT	0x00000400

	.section .entry, "ax"
	.globl	_start
	.type	_start, @function
_start:
	cld
	lea	stack_top(%rip), %rsp
	mov	%rsi, %r12
	mov	%cr0, %rax
	and	$~(CR0_EM | CR0_TS), %rax
	or	$(CR0_MP | CR0_WP), %rax
	mov	%rax, %cr0
	mov	%cr4, %rax
	or	$(CR4_OSFXSR | CR4_OSXMMEXCPT), %rax
	mov	%rax, %cr4
	/* AMD-V processors know VMMCALL (0f 01 d9) instead of VMCALL
	 * (0f 01 c1), each raises #UD for the other's: patch before the text
	 * becomes read-only. [APM3 "VMMCALL"], [SDM3 "VMCALL"] */
	xor	%eax, %eax
	cpuid
	cmp	$0x444d4163, %ecx		/* "cAMD" */
	je	1f
	cmp	$0x656e6975, %ecx		/* "uine", Hygon */
	jne	2f
1:	movb	$0xd9, hc_entry + 2(%rip)
2:	xor	%ebp, %ebp
	mov	%r12, %rdi
	call	main_entry
	ud2
	.size	_start, . - _start

/* Arguments and results in registers as abi/hypercall.h says. */
	.section .text.hc_entry, "ax"
	.weak	hc_entry			/* a test stands in for it */
	.type	hc_entry, @function
hc_entry:
	vmcall
	ret
	.size	hc_entry, . - hc_entry

	.section .note.GNU-stack, "", @progbits
