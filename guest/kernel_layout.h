/* SPDX-License-Identifier: MIT */
/*
 * Included before our kernel's linker script. That gives the code of system calls
 * and interrupts 2 MiB of its own, for kernels that hide all the rest from
 * programs (PAGE_TABLE_ISOLATION); ours does not, and 4 MiB of padding would be
 * read from the boot disk, copied at each start, and Linux's for ever.
 */
#include <asm/page_types.h>
#include <asm/pgtable_types.h>

#undef PMD_SIZE
#define PMD_SIZE	PAGE_SIZE
