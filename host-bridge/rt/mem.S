/* SPDX-License-Identifier: MIT */
/*
 * memcpy, memmove and memset for this program, instead of newlib's, which
 * use non-temporal stores and byte loops. Up to 32 bytes everything is
 * loaded before anything is stored (so overlap does not matter); beyond, REP
 * MOVSQ/STOSQ, which real processors do in cache lines and emulators count
 * as one instruction each 8 bytes; what is long goes through AVX registers where
 * cpu.c found some (mem_wide), 13 and 23 bytes an instruction.
 */
#define WIDE_MIN	512
#define WIDE_BLOCK	256		/* the count below is in a byte */

	.section .text.mem, "ax"

	/* void *memmove(void *dst, const void *src, size_t n). One unsigned
	 * compare finds the only case that a forward copy would spoil: dst
	 * inside the source, behind its start. All others, dst before src with
	 * overlap too, go upwards. DF is 0 at every call, by the psABI. */
	.globl	memmove
	.type	memmove, @function
memmove:
	mov	%rdi, %rax
	sub	%rsi, %rax
	cmp	%rdx, %rax		/* dst inside (src, src + n)? */
	jae	memcpy
	cmp	$32, %rdx
	jbe	memcpy
	/* Downwards in words; the first 8 bytes, loaded now, go last: they take
	 * care of the 1 to 8 bytes that the loop leaves, and by then their
	 * source may have been overwritten. Each word is loaded before a store
	 * at higher addresses, so no store reaches bytes that are still to be
	 * read. */
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

	/* void *memcpy(void *dst, const void *src, size_t n). Also memmove's
	 * forward way, so overlap with dst below src must work: the last 16
	 * bytes are loaded before anything is stored, everything else is loaded
	 * before or with the stores that could reach it. RAX keeps dst for the
	 * return. */
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
/* More than 32 bytes: R8 is where the last 16, in XMM1, will go. Whatever the
 * loops below leave at the end, up to 16 bytes, this store covers. */
1:	lea	-16(%rdi, %rdx), %r8
	cmp	$WIDE_MIN, %rdx
	jb	7f
	cmpb	$0, mem_wide(%rip)
	je	7f
	mov	%rdx, %rcx
	shr	$8, %rcx
/* Eight loads, then eight stores, unaligned both: alignment costs nothing on
 * emulators and little on processors that have AVX. */
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
	/* Upper halves back to 0: SSE code after this pays no penalty for
	 * mixing, and XSAVE has less to keep. */
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
/* Less than 16: two words that overlap in the middle, of 8 bytes, of 4, or
 * single bytes. All loads come first here as well. */
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

	/* void *memset(void *dst, int c, size_t n): the byte in all eight
	 * places of RAX, words up to the last one, which is stored by itself
	 * and first; before them as many blocks as there are, as in memcpy. */
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
	cmp	$WIDE_MIN, %rdx
	jb	1f
	cmpb	$0, mem_wide(%rip)
	je	1f
	movq	%rax, %xmm2
	punpcklqdq %xmm2, %xmm2
	vinsertf128 $1, %xmm2, %ymm2, %ymm2
	mov	%rdx, %rcx
	shr	$8, %rcx
3:	vmovdqu	%ymm2, (%rdi)
	vmovdqu	%ymm2, 0x20(%rdi)
	vmovdqu	%ymm2, 0x40(%rdi)
	vmovdqu	%ymm2, 0x60(%rdi)
	vmovdqu	%ymm2, 0x80(%rdi)
	vmovdqu	%ymm2, 0xa0(%rdi)
	vmovdqu	%ymm2, 0xc0(%rdi)
	vmovdqu	%ymm2, 0xe0(%rdi)
	add	$WIDE_BLOCK, %rdi
	dec	%rcx
	jne	3b
	vzeroupper
	movzbl	%dl, %edx		/* what is left */
	test	%edx, %edx
	je	4f
1:	lea	-1(%rdx), %rcx
	shr	$3, %rcx
	rep stosq
4:	mov	%r9, %rax
	ret
/* Fewer than 8: not worth a case each; REP STOSB of so few is quick enough. */
2:	mov	%edx, %ecx
	rep stosb
	mov	%r9, %rax
	ret
	.size	memset, . - memset

	.section .note.GNU-stack, "", @progbits
