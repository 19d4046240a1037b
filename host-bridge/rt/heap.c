/* SPDX-License-Identifier: MIT */
/*
 * The heap: the partition's RAM behind the image, backed by the hypervisor as it
 * is touched. It cannot say no to a touch: one that it has no page for is the end
 * of this partition. So the heap ends where it will surely have one, whatever
 * Linux takes meanwhile, and malloc() says no before.
 *
 * Reckoned once, for the hypervisor's figure (HC_QUERY_SURE) stays as it is: what
 * we own at the start, then all RAM from 0 to the heap's end, in whole units, for
 * a touch may be given one, and a table for each. What lies in that RAM already
 * counts twice: the image, on the safe side.
 */
#include <errno.h>

#include "host-bridge/rt/heap.h"

#define UNIT		0x200000ull	/* populated, or not, as one */
#define UNIT_COST	(UNIT + 4096)	/* with its table */
/* Upper tables, the pages at the edge that the hypervisor does not give. */
#define SLACK		0x20000ull

static uintptr_t heap_start, heap_end, heap_limit;

/**
 * The heap begins at start and ends at ram_end, or before. With nothing sure it
 * is empty.
 */
void heap_init(uintptr_t start, uint64_t ram_end, uint64_t sure, uint64_t owned)
{
	uint64_t room = sure > owned + SLACK ? sure - owned - SLACK : 0;
	uint64_t end = room / UNIT_COST * UNIT;

	end = end < ram_end ? end : ram_end;
	heap_start = heap_end = start;
	heap_limit = end > start ? end : start;
}

/** malloc()'s free ones are among them, and pages not touched yet. */
size_t heap_used(void)
{
	return heap_end - heap_start;
}

/** Not among them: what malloc() has and is free. */
size_t heap_room(void)
{
	return heap_limit - heap_end;
}

/**
 * Moves the end of the heap; returns the old end, or (void *)-1 with ENOMEM
 * beyond the limit or below the start. Shrinking keeps the pages: they stay ours.
 */
void *sbrk(ptrdiff_t increment)
{
	uintptr_t old = heap_end;

	/* Compared as distances: an address plus an absurd increment could
	 * wrap. */
	if (increment > (ptrdiff_t)heap_room() ||
	    increment < -(ptrdiff_t)heap_used()) {
		errno = ENOMEM;
		return (void *)-1;
	}
	heap_end += (uintptr_t)increment;
	return (void *)old;
}
