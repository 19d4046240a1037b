/* SPDX-License-Identifier: MIT */
/*
 * A journal as it lies on a disk: jbd2's format, big-endian throughout.
 *
 * The journal is an array of blocks. Block 0 is its superblock; from s_first on
 * the rest is a ring, the log. A transaction lies there as any number of
 *
 *   revoke blocks      blocks that no older transaction may bring back
 *   descriptor blocks  each with tags, and the tagged blocks after it
 *
 * and one commit block, all with the transaction's number. What ends the log is a
 * block with another number, or no header at all.
 * [Linux "Documentation/filesystems/ext4/journal.rst"]
 */
#ifndef ISTHMUS_JBD2_FORMAT_H
#define ISTHMUS_JBD2_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define JBD2_MAGIC		0xc03b3998u

#define JBD2_DESCRIPTOR		1u
#define JBD2_COMMIT		2u
#define JBD2_SUPER_V1		3u
#define JBD2_SUPER_V2		4u
#define JBD2_REVOKE		5u

/* Features without which the journal cannot be read. */
#define JBD2_HAS_REVOKE		1u
#define JBD2_HAS_64BIT		2u
#define JBD2_HAS_ASYNC_COMMIT	4u
#define JBD2_HAS_CSUM_V2	8u
#define JBD2_HAS_CSUM_V3	16u
#define JBD2_HAS_FAST_COMMIT	32u

#define JBD2_TAG_ESCAPED	1u	/* its first word was the magic */
#define JBD2_TAG_SAME_UUID	2u	/* else 16 bytes follow the tag */
#define JBD2_TAG_LAST		8u

#define JBD2_CRC32C		4u	/* s_checksum_type */

#define JBD2_UUID		16u
#define JBD2_TAIL		4u	/* a checksum ends the block */

typedef struct { uint8_t byte[4]; } be32_t;

static inline uint32_t be32(be32_t v)
{
	return (uint32_t)v.byte[0] << 24 | (uint32_t)v.byte[1] << 16 |
	       (uint32_t)v.byte[2] << 8 | v.byte[3];
}

static inline be32_t to_be32(uint32_t v)
{
	return (be32_t){ { (uint8_t)(v >> 24), (uint8_t)(v >> 16),
			   (uint8_t)(v >> 8), (uint8_t)v } };
}

struct jbd2_header {
	be32_t magic, type, sequence;
};

struct jbd2_super {
	struct jbd2_header header;
	be32_t block_size, blocks, first;
	be32_t sequence;		/* of the transaction at start */
	be32_t start;			/* 0: the log is empty */
	be32_t error;
	be32_t compat, incompat, ro_compat;
	uint8_t uuid[JBD2_UUID];
	be32_t users;
	be32_t dynamic_super, max_transaction, max_data;
	uint8_t checksum_type, reserved[3];
	be32_t fast_commit_blocks, head;
	be32_t padding[40];
	be32_t checksum;
	uint8_t user_uuids[768];
};

struct jbd2_tag {			/* without CSUM_V3 */
	be32_t block;
	uint8_t checksum[2];
	uint8_t flags[2];
	be32_t block_high;		/* with 64BIT only */
};

struct jbd2_tag3 {
	be32_t block, flags, block_high, checksum;
};

struct jbd2_commit {
	struct jbd2_header header;
	uint8_t checksum_type, checksum_size, padding[2];
	be32_t checksum[8];
	be32_t seconds_high, seconds, nanoseconds;
};

struct jbd2_revoke {
	struct jbd2_header header;
	be32_t bytes;			/* used, this header included */
};

static_assert(sizeof(struct jbd2_super) == 1024, "as on the disk");
static_assert(offsetof(struct jbd2_super, checksum) == 0xfc, "as on the disk");
static_assert(sizeof(struct jbd2_tag3) == 16, "as on the disk");
static_assert(sizeof(struct jbd2_tag) == 12, "as on the disk");
static_assert(sizeof(struct jbd2_commit) == 60, "as on the disk");

#endif
