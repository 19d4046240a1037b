/* SPDX-License-Identifier: MIT */
/*
 * The journal's superblock: what it says is checked before it is believed. Pure,
 * but for the checksum's instruction.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host-bridge/fs/jbd2/jbd2_int.h"
#include "host-bridge/rt/crc32c.h"

#define KNOWN_INCOMPAT	(JBD2_HAS_REVOKE | JBD2_HAS_64BIT | JBD2_HAS_CSUM_V3)

/* By bit, as in Linux. */
static const char *const incompat_names[] = {
	"revoke", "64bit", "async_commit", "checksum_v2", "checksum_v3",
	"fast_commit",
};

/** See crc32c.h. */
uint32_t jbd2_crc(uint32_t crc, const void *data, size_t len)
{
	return crc32c(crc, data, len);
}

/**
 * The checksum of a block with the checksum's own place, 4 bytes at `place`, taken
 * as zeros.
 */
uint32_t jbd2_block_crc(uint32_t seed, const uint8_t *block, size_t size,
			size_t place)
{
	static const uint8_t zeros[4];
	uint32_t crc = jbd2_crc(seed, block, place);

	crc = jbd2_crc(crc, zeros, sizeof(zeros));
	return jbd2_crc(crc, block + place + sizeof(zeros),
			size - place - sizeof(zeros));
}

/** Of one logged block, as its tag has it. */
uint32_t jbd2_data_crc(uint32_t seed, uint32_t sequence, const uint8_t *block,
		       size_t size)
{
	be32_t number = to_be32(sequence);

	return jbd2_crc(jbd2_crc(seed, &number, sizeof(number)), block, size);
}

static bool refuse(char why[JOURNAL_WHY], const char *what)
{
	snprintf(why, JOURNAL_WHY, "its journal %s", what);
	return false;
}

/* Whether its features are ours; the first that is not is named. */
static bool features_known(const struct jbd2_super *sb, char why[JOURNAL_WHY])
{
	uint32_t unknown = be32(sb->incompat) & ~KNOWN_INCOMPAT;
	unsigned bit;

	if (unknown == 0 && be32(sb->ro_compat) == 0) {
		return true;
	}
	if (unknown == 0) {
		return refuse(why, "has read-only features, which are not "
			      "known here");
	}
	bit = (unsigned)__builtin_ctz(unknown);
	if (bit < sizeof(incompat_names) / sizeof(*incompat_names)) {
		snprintf(why, JOURNAL_WHY, "its journal has the feature "
			 "\"%s\", which is not known here",
			 incompat_names[bit]);
	} else {
		snprintf(why, JOURNAL_WHY, "its journal has the feature "
			 "number %u, which is not known here", bit);
	}
	return false;
}

/**
 * Checks a journal's first block, of block_size bytes, of a journal that has
 * `blocks` of them. False: it is not one that can be used, and why ends a
 * sentence about the file system.
 */
bool jbd2_super_check(const uint8_t *block, const struct journal_place *place,
		      struct jbd2_super *sb, char why[JOURNAL_WHY])
{
	uint32_t type;

	memcpy(sb, block, sizeof(*sb));
	type = be32(sb->header.type);
	if (be32(sb->header.magic) != JBD2_MAGIC) {
		return refuse(why, "has no superblock");
	}
	if (type != JBD2_SUPER_V2) {
		return refuse(why, type == JBD2_SUPER_V1
			      ? "is of version 1, which is not known here"
			      : "has no superblock");
	}
	if (!features_known(sb, why)) {
		return false;
	}
	if (be32(sb->users) > 1) {
		return refuse(why, "is shared with other file systems, which "
			      "is not known here");
	}
	if (be32(sb->incompat) & JBD2_HAS_CSUM_V3) {
		if (sb->checksum_type != JBD2_CRC32C) {
			return refuse(why, "has checksums of a kind that is "
				      "not known here");
		}
		if (be32(sb->checksum) !=
		    jbd2_block_crc(~0u, (const uint8_t *)sb, sizeof(*sb),
				   offsetof(struct jbd2_super, checksum))) {
			return refuse(why, "is damaged: its superblock's "
				      "checksum is wrong");
		}
	}
	if (be32(sb->block_size) != place->block_size) {
		return refuse(why, "is damaged: its blocks have another size "
			      "than the file system's");
	}
	if (be32(sb->blocks) > place->blocks) {
		return refuse(why, "is damaged: it claims more blocks than it "
			      "has");
	}
	if (be32(sb->first) == 0 || be32(sb->blocks) < JOURNAL_MIN ||
	    be32(sb->first) > be32(sb->blocks) - JOURNAL_MIN / 2) {
		return refuse(why, "is damaged: its log has no room");
	}
	if (be32(sb->start) != 0 && (be32(sb->start) < be32(sb->first) ||
	    be32(sb->start) >= be32(sb->blocks))) {
		return refuse(why, "is damaged: its log begins outside of it");
	}
	return true;
}

/** Enters where the log begins now, and the checksum. start 0: it is empty. */
void jbd2_super_set(struct jbd2_super *sb, uint32_t sequence, uint32_t start)
{
	sb->sequence = to_be32(sequence);
	sb->start = to_be32(start);
	/* Where Linux would go on in an empty log: anywhere. */
	sb->head = to_be32(0);
	if (be32(sb->incompat) & JBD2_HAS_CSUM_V3) {
		sb->checksum = to_be32(jbd2_block_crc(~0u, (uint8_t *)sb,
				       sizeof(*sb),
				       offsetof(struct jbd2_super, checksum)));
	}
}
