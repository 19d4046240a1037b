/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls of host-bridge's code in a test: hypercall() answers them. As
 * hc_call() has it, a hypercall changes its results only, and no vector register
 * either: hypercall() has none, or HOST_HC_SAVES is defined, and they are kept for
 * it. Once in each test; built with -mno-red-zone.
 */
#ifndef HOST_HC_H
#define HOST_HC_H

#include "host-bridge/rt/hc.h"

#ifdef HOST_HC_SAVES
#define HOST_HC_CALL \
	"	sub $512, %rsp; fxsave (%rsp); call hypercall; fxrstor (%rsp)\n"
#else
#define HOST_HC_CALL	"	call hypercall\n"
__attribute__((target("general-regs-only")))
#endif
int64_t hypercall(enum hypercall nr, struct hc_regs *regs);

__asm__(".globl hc_entry\n"
	"hc_entry:\n"
	"	push %rbp; mov %rsp, %rbp\n"
	"	push %r11; push %r9; push %rcx\n"
	"	push %r8; push %r10; push %rdx; push %rsi; push %rdi\n"
	"	mov %rsp, %rsi; mov %eax, %edi; and $-16, %rsp\n"
	HOST_HC_CALL
	"	lea -64(%rbp), %rsp\n"
	"	pop %rdi; pop %rsi; pop %rdx; pop %r10; pop %r8\n"
	"	pop %rcx; pop %r9; pop %r11; pop %rbp\n"
	"	ret\n");

#endif
