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

#endif
