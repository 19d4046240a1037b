/* SPDX-License-Identifier: MIT */
/* What parts a disk has: its GUID partition table, or its MBR. */
#ifndef ISTHMUS_GPT_H
#define ISTHMUS_GPT_H

#include <stdint.h>

#include "host-bridge/blk/block.h"

#define GPT_PARTS	32u	/* of a disk; more are left out */

struct gpt_part {
	unsigned number;	/* as Linux counts them: from 1 */
	uint64_t first, sectors;
	uint8_t type[16], id[16];	/* as on the disk; MBR: a byte, and 0 */
	char name[37];		/* printable ASCII; others are '?' */
};

struct gpt {
	struct gpt_part parts[GPT_PARTS];
	unsigned count;
	unsigned left_out;	/* there was no room for them */
	const char *kind;	/* "GPT", "MBR" */
	const char *note;	/* what is wrong with it, or NULL */
};

int gpt_read(struct block_dev *disk, struct gpt *gpt);

#endif
