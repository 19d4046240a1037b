/* SPDX-License-Identifier: MIT */
/*
 * What the last run has left in the black box, for people: docs/black-box.md.
 * Read by the loader, before anything of this run is written there.
 */
#ifndef ISTHMUS_BLACK_BOX_TEXT_H
#define ISTHMUS_BLACK_BOX_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hypervisor/include/abi/black_box.h"

#define BLACK_BOX_LINE	600u
#define BLACK_BOX_VIEW	(BOX_TEXT + 1)

/* Takes pieces of text, each a line at most. */
struct black_box_out {
	void (*text)(struct black_box_out *out, const char *text, size_t size);
};

struct black_box_read {
	const struct black_box *box;
	const struct box_host *host;
	bool watchdog;		/* the chipset's has made the reset */
	/* What can be read of the two logs: made by black_box_look(). */
	char log[BLACK_BOX_VIEW], host_log[BLACK_BOX_VIEW];
	char stage[BLACK_BOX_LINE], cause[BLACK_BOX_LINE];
};

/* Of the head, what box has before sum. */
uint32_t black_box_sum(const struct black_box *box);
bool black_box_is(const struct black_box *box, uint64_t room);
void black_box_look(struct black_box_read *r);
void black_box_tell(const struct black_box_read *r, struct black_box_out *out);

/** Whether len bytes of a block have its sum; block: of all ever written. */
static inline bool box_block_is(const struct box_log *l, uint64_t block, uint32_t len)
{
	const uint32_t laps = BOX_TEXT / BOX_BLOCK, at = (uint32_t)(block % laps);
	uint32_t sum = (uint32_t)(block / laps);

	for (uint32_t i = 0; i < len; i++) {
		sum = sum * 31 + (uint8_t)l->text[at * BOX_BLOCK + i] + 1;
	}
	return len > 0 && sum == l->sum[at];
}

/**
 * Another writer goes on: the one before may have been cut off when a character was
 * in the sum, and not counted yet. What is damaged stays so.
 */
static inline void box_go_on(struct box_log *l)
{
	uint64_t block = l->head / BOX_BLOCK;
	uint32_t len = (uint32_t)(l->head % BOX_BLOCK);

	if (!box_block_is(l, block, len) && box_block_is(l, block, len + 1)) {
		l->head++;
	}
}

#endif
