/* SPDX-License-Identifier: MIT */
/*
 * In a kernel's place: says on the first serial line how many ticks the firmware has
 * taken. The header is what QEMU and its option ROM look for.
 * [Linux Documentation/x86/boot.rst]
 */
	.code16
	.org	0x1f1
	.byte	1			/* sectors of this part, besides one */
	.org	0x1fe
	.word	0xaa55
	jmp	begin
	.ascii	"HdrS"
	.word	0x0206
	.org	0x211
	.byte	1			/* the rest goes to 1 MiB */
	.org	0x270
begin:
	rdtsc
	movl	%eax, %esi
	movl	%edx, %ebx
	call	number
	movl	%esi, %ebx
	call	number
	movb	$'\n', %al
	call	letter
1:	hlt
	jmp	1b

number:					/* of EBX */
	movw	$8, %cx
1:	roll	$4, %ebx
	movb	%bl, %al
	andb	$15, %al
	addb	$'0', %al
	cmpb	$'9', %al
	jbe	2f
	addb	$'a' - '9' - 1, %al
2:	call	letter
	loop	1b
	ret

letter:
	movw	$0x3f8, %dx
	outb	%al, %dx
	ret
	.org	0x800
