/* SPDX-License-Identifier: MIT */
/* The heap beneath malloc(), and where it ends: see heap.c. */
#ifndef ISTHMUS_HEAP_H
#define ISTHMUS_HEAP_H

#include <stddef.h>
#include <stdint.h>

/* Before the first malloc(). sure, owned: as HC_QUERY_SURE has them. */
void heap_init(uintptr_t start, uint64_t ram_end, uint64_t sure,
	       uint64_t owned);
/* Bytes that malloc() has had so far, and may have yet. */
size_t heap_used(void);
size_t heap_room(void);

/* What newlib's malloc() calls. */
void *sbrk(ptrdiff_t increment);

#endif
