/* SPDX-License-Identifier: MIT */
/* The C library's ground: see syscalls.c. */
#ifndef ISTHMUS_SYSCALLS_H
#define ISTHMUS_SYSCALLS_H

#include <stddef.h>
#include <stdint.h>

/* Before the first malloc(): RAM ends at ram_end. */
void syscalls_init(uint64_t ram_end);
/* Bytes between the start of the heap and its present end. */
size_t syscalls_heap_used(void);

#endif
