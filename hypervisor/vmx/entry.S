/* SPDX-License-Identifier: MIT */
/*
 * uint64_t vmx_enter(struct guest_regs *regs, uint64_t launched)
 *
 * Loads the guest's general registers, enters it (VMLAUNCH the first time,
 * VMRESUME later), and at the VM exit stores them. Returns 0 after an exit,
 * 1 when the instruction itself failed (regs are then unchanged). The VMCS
 * must be current; interrupts are off.
 */
#include <guest_regs.h>

#define ENTRY_RSP	16	/* percpu.entry_rsp */

	.text
	.globl vmx_enter, vmx_exit_point
vmx_enter:
	host_push
	/* regs, for the exit */
	pushq	%rdi
	movq	%rsp, %gs:ENTRY_RSP
	/* launched? MOVs leave the flags alone */
	testq	%rsi, %rsi
	movq	R(0)(%rdi), %rax
	guest_load
	/* all of the guest's registers are loaded but RSP, RIP, RFLAGS: the
	 * VMCS's */
	jnz	1f
	vmlaunch
	jmp	2f
1:	vmresume
/* Here only if the instruction failed: its registers are the guest's still,
 * and all that C wants kept is on the stack. */
2:	popq	%rdi
	movl	$1, %eax
	jmp	3f

	.balign 16
/* The VM exit comes here, with this CPU's GS base, RFLAGS = 2 and the guest's
 * registers. Until RSP is back, only what has a stack of its own can come: NMI
 * and #MC. A register is needed to reach regs, so RDI goes to the stack
 * first. */
vmx_exit_point:
	movq	%gs:ENTRY_RSP, %rsp
	pushq	%rdi
	movq	8(%rsp), %rdi
	movq	%rax, R(0)(%rdi)
	guest_store %rdi
	popq	R(7)(%rdi)
	popq	%rdi
	xorl	%eax, %eax
3:	host_pop
	ret

	.section .note.GNU-stack, "", @progbits
