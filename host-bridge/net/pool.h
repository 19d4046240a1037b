/* SPDX-License-Identifier: MIT */
/*
 * Things of one size, up to so many, in memory that grows by some dozens of them as
 * they are taken, and stays until all of them go.
 */
#ifndef ISTHMUS_POOL_H
#define ISTHMUS_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct pool {
	size_t size;			/* of each, a multiple of a pointer's */
	unsigned left;			/* that there is no memory for yet */
	void *free, *chunks;
};

bool pool_grow(struct pool *p);
void *pool_take(struct pool *p);
void pool_give(struct pool *p, void *thing);
void pool_end(struct pool *p);

#endif
