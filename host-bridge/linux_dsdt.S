/* SPDX-License-Identifier: MIT */
/* The compiled linux_dsdt.dsl, as data. */
	.section .rodata
	.globl	linux_dsdt
	.globl	linux_dsdt_end
linux_dsdt:
	.incbin	"linux_dsdt.aml"
linux_dsdt_end:

	.section .note.GNU-stack, "", @progbits
