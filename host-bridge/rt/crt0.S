/* SPDX-License-Identifier: MIT */
/*
 * Entry of the host partition's program, and the one place a hypercall is made.
 * Starts in 64-bit mode on boot/'s page tables (all of them writable and
 * executable), RSI = struct host_info.
 *
 * The hypervisor enters this partition with RFLAGS.IF = 1 and never injects an
 * interrupt, so no handler ever runs and nothing here is interrupted: events
 * are the bits that HC_WAIT returns. IF is set for the machine's own
 * interrupts, which on Bochs 2.7 end the run only of a guest that was entered
 * with IF set (docs/platforms.md). So this program leaves IF alone, but for the
 * CLI before its last HLT (trap.c).
 */
/* [SDM3 "Control Registers"] */
#define CR0_MP		0x00000002
#define CR0_EM		0x00000004
#define CR0_TS		0x00000008
#define CR0_WP		0x00010000
#define CR4_OSFXSR	0x00000200
#define CR4_OSXMMEXCPT	0x00000400

	.section .entry, "ax"
	.globl	_start
	.type	_start, @function
/* Does not return; the stack is RAM behind the image, present on first
 * touch. */
_start:
	cld
	lea	stack_top(%rip), %rsp
	/* CPUID, below, uses RBX to RDX, and the C function wants RDI: kept in
	 * R12, which neither touches. */
	mov	%rsi, %r12
	/* SSE must work before the first C function: the compiler and mem.S use
	 * it, and nobody saves or traps it here. MP and no EM, TS: FPU
	 * instructions run and never raise #NM. WP: a page that cpu.c makes
	 * read-only is so for us too, though we run at CPL 0. */
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
/* No caller: a debugger's chain of frames ends here. */
2:	xor	%ebp, %ebp
	mov	%r12, %rdi
	call	main_entry
	/* main_entry() does not return; if it did, this is a crash with a
	 * dump. */
	ud2
	.size	_start, . - _start

/* Arguments and results in registers as abi/hypercall.h says. */
	.section .text.hc_entry, "ax"
	.weak	hc_entry			/* a test stands in for it */
	.type	hc_entry, @function
/* VMCALL, three bytes, the last of which _start may have changed. A function of
 * its own so that there is one instruction to patch; no red zone below RSP
 * (build.mk) that the CALL could overwrite. */
hc_entry:
	vmcall
	ret
	.size	hc_entry, . - hc_entry

	.section .note.GNU-stack, "", @progbits
