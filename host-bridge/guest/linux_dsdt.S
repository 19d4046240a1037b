/* SPDX-License-Identifier: MIT */
	/* The compiled linux_dsdt.dsl, as data; linux.c copies it behind the
	 * other tables. iasl made its checksum. */
	.section .rodata
	.globl	linux_dsdt
	.globl	linux_dsdt_end
linux_dsdt:
	.incbin	"linux_dsdt.aml"
linux_dsdt_end:

	.section .note.GNU-stack, "", @progbits
