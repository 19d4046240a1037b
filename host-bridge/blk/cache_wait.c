/* SPDX-License-Identifier: MIT */
/*
 * Those who wait: for a block, which stays in memory until they have run to their
 * end, or for room. They are told from the loop.
 */
#include <stddef.h>

#include "host-bridge/blk/cache_int.h"

/* Takes one out of those who wait for room. */
static void room_leave(struct volume_wait *wait)
{
	if (wait->at != NULL) {
		*wait->at = wait->next;
		if (wait->next != NULL) {
			wait->next->at = wait->at;
		}
		wait->at = NULL;
	}
}

/** ready() is called when there is room, or a transaction has ended. */
void cache_wait_room(struct cache *cache, struct volume_wait *wait)
{
	if (wait->at == NULL) {
		wait->next = cache->room;
		wait->at = &cache->room;
		if (wait->next != NULL) {
			wait->next->at = &wait->next;
		}
		cache->room = wait;
	}
}

/** The request has run to its end, or is given up: nothing is kept for it. */
void cache_wait_end(struct cache *cache, struct volume_wait *wait)
{
	room_leave(wait);
	while (wait->pins != NULL) {
		struct cache_pin *p = wait->pins;
		struct cache_pin **at = &p->buf->pins;

		while (*at != p) {
			at = &(*at)->of_buf;
		}
		*at = p->of_buf;
		wait->pins = p->of_wait;
		p->of_wait = cache->pins;
		cache->pins = p;
		if (p->buf->pins == NULL && p->buf->failed) {
			p->buf->failed = false;
			cache_place(cache, p->buf);
		}
	}
	wait->missing = 0;
	if (cache->wait == wait) {
		cache->wait = NULL;
	}
}

/** Tells all who wait for room, or for a transaction, in the next run. */
void cache_wake(struct cache *cache)
{
	cache->wake = true;
}

/* A read has ended, well or not: those who wait for nothing else go on. */
void cache_arrived(struct cache *cache, struct cache_buf *buf)
{
	struct volume_wait *go = NULL;

	cache_place(cache, buf);
	for (struct cache_pin *p = buf->pins; p != NULL; p = p->of_buf) {
		if (p->missing) {
			p->missing = false;
			if (--p->wait->missing == 0) {
				room_leave(p->wait);
				p->wait->next = go;
				go = p->wait;
			}
		}
	}
	while (go != NULL) {
		struct volume_wait *wait = go;

		go = wait->next;
		wait->ready(wait);
	}
}

/** Puts whose turn it is among those who are told when there is room. */
void cache_wait_turn(struct cache *cache)
{
	cache->dev.absent = true;
	if (cache->wait != NULL) {
		cache_wait_room(cache, cache->wait);
	}
}

/** Has the block, which is being read, kept for whose turn it is, who is told when
 * it is there. */
void cache_keep(struct cache *cache, struct cache_buf *buf)
{
	struct volume_wait *wait = cache->wait;
	struct cache_pin *p;

	if (wait == NULL) {
		return;
	}
	for (p = buf->pins; p != NULL; p = p->of_buf) {
		if (p->wait == wait) {
			return;
		}
	}
	p = cache->pins;
	if (p == NULL) {
		cache_wait_turn(cache);	/* told of, but not kept for him */
		return;
	}
	cache->pins = p->of_wait;
	*p = (struct cache_pin){
		.buf = buf, .wait = wait, .of_buf = buf->pins,
		.of_wait = wait->pins, .missing = true,
	};
	buf->pins = p;
	wait->pins = p;
	wait->missing++;
}
