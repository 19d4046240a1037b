/* SPDX-License-Identifier: MIT */
/*
 * memcpy, memmove and memset for this program, instead of newlib's, which
 * use non-temporal stores and byte loops. Up to 32 bytes everything is
 * loaded before anything is stored (so overlap does not matter); beyond, REP
 * MOVSQ/STOSQ, which real processors do in cache lines and emulators count
 * as one instruction each 8 bytes; long copies go through AVX registers where
 * cpu.c found some (mem_wide), 13 bytes an instruction.
 */
#define WIDE_MIN	512
#define WIDE_BLOCK	256		/* the count below is in a byte */

	.section .text.mem, "ax"

	.globl	memmove
	.type	memmove, @function
memmove:
	mov	%rdi, %rax
	sub	%rsi, %rax
	cmp	%rdx, %rax		/* dst inside (src, src + n)? */
	jae	memcpy
	cmp	$32, %rdx
	jbe	memcpy
	/* Downwards in words; the first 8 bytes, loaded now, go last. */
	mov	%rdi, %rax
	mov	(%rsi), %r8
1:	mov	-8(%rsi, %rdx), %rcx
	mov	%rcx, -8(%rdi, %rdx)
	sub	$8, %rdx
	cmp	$8, %rdx
	ja	1b
	mov	%r8, (%rdi)
	ret
	.size	memmove, . - memmove

	.globl	memcpy
	.type	memcpy, @function
memcpy:
	mov	%rdi, %rax
	cmp	$16, %rdx
	jb	2f
	movups	-16(%rsi, %rdx), %xmm1
	cmp	$32, %rdx
	ja	1f
	movups	(%rsi), %xmm0
	movups	%xmm0, (%rdi)
	movups	%xmm1, -16(%rdi, %rdx)
	ret
1:	lea	-16(%rdi, %rdx), %r8
	cmp	$WIDE_MIN, %rdx
	jb	7f
	cmpb	$0, mem_wide(%rip)
	je	7f
	mov	%rdx, %rcx
	shr	$8, %rcx
6:	vmovdqu	(%rsi), %ymm2
	vmovdqu	0x20(%rsi), %ymm3
	vmovdqu	0x40(%rsi), %ymm4
	vmovdqu	0x60(%rsi), %ymm5
	vmovdqu	0x80(%rsi), %ymm6
	vmovdqu	0xa0(%rsi), %ymm7
	vmovdqu	0xc0(%rsi), %ymm8
	vmovdqu	0xe0(%rsi), %ymm9
	vmovdqu	%ymm2, (%rdi)
	vmovdqu	%ymm3, 0x20(%rdi)
	vmovdqu	%ymm4, 0x40(%rdi)
	vmovdqu	%ymm5, 0x60(%rdi)
	vmovdqu	%ymm6, 0x80(%rdi)
	vmovdqu	%ymm7, 0xa0(%rdi)
	vmovdqu	%ymm8, 0xc0(%rdi)
	vmovdqu	%ymm9, 0xe0(%rdi)
	add	$WIDE_BLOCK, %rsi
	add	$WIDE_BLOCK, %rdi
	dec	%rcx
	jne	6b
	vzeroupper
	movzbl	%dl, %edx		/* what is left */
	cmp	$16, %edx
	jbe	8f
7:	/* Whole words as far as the last 16 bytes, loaded above, begin. */
	lea	-9(%rdx), %rcx
	shr	$3, %rcx
	rep movsq
8:	movups	%xmm1, (%r8)
	ret
2:	cmp	$8, %edx
	jb	3f
	mov	(%rsi), %rcx
	mov	-8(%rsi, %rdx), %r8
	mov	%rcx, (%rdi)
	mov	%r8, -8(%rdi, %rdx)
	ret
3:	cmp	$4, %edx
	jb	4f
	mov	(%rsi), %ecx
	mov	-4(%rsi, %rdx), %r8d
	mov	%ecx, (%rdi)
	mov	%r8d, -4(%rdi, %rdx)
	ret
4:	test	%edx, %edx
	je	5f
	movzbl	(%rsi), %ecx		/* bytes 0, n / 2 and n - 1 */
	movzbl	-1(%rsi, %rdx), %r8d
	mov	%edx, %r9d
	shr	$1, %r9d
	movzbl	(%rsi, %r9), %r10d
	mov	%cl, (%rdi)
	mov	%r10b, (%rdi, %r9)
	mov	%r8b, -1(%rdi, %rdx)
5:	ret
	.size	memcpy, . - memcpy

	.globl	memset
	.type	memset, @function
memset:
	mov	%rdi, %r9
	movzbl	%sil, %eax
	mov	$0x0101010101010101, %rcx
	imul	%rcx, %rax
	cmp	$8, %rdx
	jb	2f
	mov	%rax, -8(%rdi, %rdx)	/* the last word, perhaps again */
	lea	-1(%rdx), %rcx
	shr	$3, %rcx
	rep stosq
	mov	%r9, %rax
	ret
2:	mov	%edx, %ecx
	rep stosb
	mov	%r9, %rax
	ret
	.size	memset, . - memset

	.section .note.GNU-stack, "", @progbits
