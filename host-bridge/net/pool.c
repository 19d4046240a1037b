/* SPDX-License-Identifier: MIT */
/*
 * See pool.h. What is free, and each piece of memory, names the next in its first
 * word.
 */
#include <stdlib.h>
#include <string.h>

#include "host-bridge/net/pool.h"

#define CHUNK	128u			/* things that memory is taken for at once */

/** Makes room for more; false: there are as many as may be, or no memory. */
bool pool_grow(struct pool *p)
{
	unsigned more = p->left < CHUNK ? p->left : CHUNK;
	char *chunk = more > 0 ? calloc(more + 1, p->size) : NULL;

	if (!chunk) {
		return false;
	}
	memcpy(chunk, &p->chunks, sizeof(p->chunks));
	p->chunks = chunk;
	p->left -= more;
	while (more > 0) {
		pool_give(p, chunk + more-- * p->size);
	}
	return true;
}

/** One, with whatever is in it; NULL: there are no more. */
void *pool_take(struct pool *p)
{
	void *thing;

	if (!p->free && !pool_grow(p)) {
		return NULL;
	}
	thing = p->free;
	memcpy(&p->free, thing, sizeof(p->free));
	return thing;
}

/** What pool_take() has given is free again. */
void pool_give(struct pool *p, void *thing)
{
	memcpy(thing, &p->free, sizeof(p->free));
	p->free = thing;
}

/** All of them go, whoever has them; nothing can be taken any more. */
void pool_end(struct pool *p)
{
	while (p->chunks) {
		void *chunk = p->chunks;

		memcpy(&p->chunks, chunk, sizeof(p->chunks));
		free(chunk);
	}
	*p = (struct pool){ 0 };
}
