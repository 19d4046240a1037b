/* SPDX-License-Identifier: MIT */
/* Inside the journal. */
#ifndef ISTHMUS_JBD2_INT_H
#define ISTHMUS_JBD2_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host-bridge/fs/jbd2/jbd2.h"
#include "host-bridge/fs/jbd2/jbd2_format.h"

/* Blocks that a journal has at least: room for a transaction or two. */
#define JOURNAL_MIN	16u

/* Transactions' numbers go round; of two that are alive the older one. */
static inline bool jbd2_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* jbd2_super.c */
uint32_t jbd2_crc(uint32_t crc, const void *data, size_t len);
uint32_t jbd2_block_crc(uint32_t seed, const uint8_t *block, size_t size,
			size_t place);
uint32_t jbd2_data_crc(uint32_t seed, uint32_t sequence, const uint8_t *block,
		       size_t size);
bool jbd2_super_check(const uint8_t *block, const struct journal_place *place,
		      struct jbd2_super *sb, char why[JOURNAL_WHY]);
void jbd2_super_set(struct jbd2_super *sb, uint32_t sequence, uint32_t start);

#endif
