/* SPDX-License-Identifier: MIT */
/*
 * Which ext4 file systems are ours to serve, and in words why another is not.
 * Pure: looks at a superblock, which may hold anything.
 */
#include <stdio.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_int.h"

#define BLOCK_LOG_MAX	2u		/* of VOLUME_BLOCK_MAX / 1024 */

/* Features of ext4 that this code keeps right; others are refused. A journal
 * that must be replayed is one of those (RECOVER); one that is clean is left
 * alone, for it is a compatible feature.
 * [Linux "Documentation/filesystems/ext4/super.rst"] */
#define KNOWN_INCOMPAT	(EXT2_FEATURE_INCOMPAT_FILETYPE | \
			 EXT3_FEATURE_INCOMPAT_EXTENTS | \
			 EXT4_FEATURE_INCOMPAT_64BIT | \
			 EXT4_FEATURE_INCOMPAT_FLEX_BG | \
			 EXT2_FEATURE_INCOMPAT_META_BG | \
			 EXT4_FEATURE_INCOMPAT_CSUM_SEED)
/* Files of ours have extents, entries of ours show their file's type. */
#define NEED_INCOMPAT	(EXT2_FEATURE_INCOMPAT_FILETYPE | \
			 EXT3_FEATURE_INCOMPAT_EXTENTS)
#define KNOWN_RO_COMPAT	(EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER | \
			 EXT2_FEATURE_RO_COMPAT_LARGE_FILE | \
			 EXT4_FEATURE_RO_COMPAT_HUGE_FILE | \
			 EXT4_FEATURE_RO_COMPAT_GDT_CSUM | \
			 EXT4_FEATURE_RO_COMPAT_DIR_NLINK | \
			 EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE | \
			 EXT4_FEATURE_RO_COMPAT_METADATA_CSUM | \
			 EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT)

/* By bit; as mke2fs and dumpe2fs call them. */
static const char *const incompat_names[32] = {
	"compression", "filetype", "needs_recovery", "journal_dev", "meta_bg",
	NULL, "extent", "64bit", "mmp", "flex_bg", "ea_inode", NULL, "dirdata",
	"metadata_csum_seed", "large_dir", "inline_data", "encrypt",
	"casefold",
};
static const char *const ro_compat_names[32] = {
	"sparse_super", "large_file", NULL, "huge_file", "uninit_bg",
	"dir_nlink", "extra_isize", NULL, "quota", "bigalloc",
	"metadata_csum", "replica", "read-only", "project", "shared_blocks",
	"verity", "orphan_present",
};

/* The lowest of some features, by its name. bits is not 0. */
static void name_feature(char name[32], const char *const names[32],
			 uint32_t bits)
{
	unsigned bit = (unsigned)__builtin_ctz(bits);

	if (names[bit]) {
		snprintf(name, 32, "%s", names[bit]);
	} else {
		snprintf(name, 32, "number %u", bit);
	}
}

/* The features that stand in the way, one at a time. */
static bool refuse_feature(const struct ext2_super_block *sb,
			   char text[VOLUME_WHY])
{
	uint32_t incompat = sb->s_feature_incompat;
	uint32_t unknown = incompat & ~KNOWN_INCOMPAT;
	uint32_t missing = ~incompat & NEED_INCOMPAT;
	char name[32];

	if (unknown & EXT3_FEATURE_INCOMPAT_RECOVER) {
		snprintf(text, VOLUME_WHY, "its journal must be replayed "
			 "first: e2fsck does that");
		return true;
	}
	if (unknown != 0) {
		name_feature(name, incompat_names, unknown);
	} else if (missing != 0) {
		name_feature(name, incompat_names, missing);
		snprintf(text, VOLUME_WHY, "it lacks ext4's feature \"%s\", "
			 "which is needed here", name);
		return true;
	} else if (sb->s_feature_ro_compat & ~KNOWN_RO_COMPAT) {
		name_feature(name, ro_compat_names,
			     sb->s_feature_ro_compat & ~KNOWN_RO_COMPAT);
	} else {
		return false;
	}
	snprintf(text, VOLUME_WHY, "it has ext4's feature \"%s\", which is "
		 "not known here", name);
	return true;
}

/**
 * Whether a file system is none of those that we can keep right: a sentence
 * about the first thing in the way is then in text. blocks: of the device.
 */
bool volume_refused(const struct ext2_super_block *sb, uint64_t blocks,
		    char text[VOLUME_WHY])
{
	uint64_t claimed = sb->s_blocks_count;

	if (sb->s_magic != EXT2_SUPER_MAGIC) {
		snprintf(text, VOLUME_WHY, "there is no ext4 file system in "
			 "it");
		return true;
	}
	if (refuse_feature(sb, text)) {
		return true;
	}
	if (sb->s_log_block_size > BLOCK_LOG_MAX) {
		/* A size that no ext4 has would shift too far. */
		snprintf(text, VOLUME_WHY, "its blocks are of %llu bytes, "
			 "which must be %u at most (mke2fs -b %u)",
			 1024ull << (sb->s_log_block_size & 31),
			 VOLUME_BLOCK_MAX, VOLUME_BLOCK_MAX);
		return true;
	}
	if (EXT2_INODE_SIZE(sb) != VOLUME_INODE_SIZE) {
		snprintf(text, VOLUME_WHY, "its inodes are of %u bytes, which "
			 "must be %u (mke2fs -I %u)",
			 (unsigned)EXT2_INODE_SIZE(sb), VOLUME_INODE_SIZE,
			 VOLUME_INODE_SIZE);
		return true;
	}
	if (sb->s_feature_incompat & EXT4_FEATURE_INCOMPAT_64BIT) {
		claimed |= (uint64_t)sb->s_blocks_count_hi << 32;
	}
	if (claimed > blocks) {
		snprintf(text, VOLUME_WHY, "it says that it has %llu blocks, "
			 "and there are %llu: it was cut off",
			 (unsigned long long)claimed,
			 (unsigned long long)blocks);
		return true;
	}
	return false;
}

/**
 * Whether volume_open() will take the file system on dev, by its superblock; that its
 * journal is needed is not in the way. Returns 0, EAGAIN, EIO, or EOPNOTSUPP: text is
 * the end of a sentence that says why not.
 */
int volume_known(struct volume_dev *dev, char text[VOLUME_WHY])
{
	struct ext2_super_block sb;
	int error = volume_super(dev, &sb);

	if (error != 0) {
		return error;
	}
	if (sb.s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL) {
		sb.s_feature_incompat &= ~EXT3_FEATURE_INCOMPAT_RECOVER;
	}
	return volume_refused(&sb, dev->blocks, text) ? EOPNOTSUPP : 0;
}

/**
 * For a device that volume_open() has refused: why, as the end of a sentence.
 */
void volume_why(struct volume_dev *dev, char text[VOLUME_WHY])
{
	struct ext2_super_block sb = { 0 };

	volume_super(dev, &sb);
	if (!volume_refused(&sb, dev->blocks, text)) {
		snprintf(text, VOLUME_WHY, "its ext4 file system is damaged: "
			 "e2fsck repairs it");
	}
}
