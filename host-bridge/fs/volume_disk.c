/* SPDX-License-Identifier: MIT */
/*
 * How a volume on a disk is opened: the superblock says how long blocks are, and
 * whether this is a file system that we know; inode 8 says where the journal lies;
 * what is in the journal is brought back; the superblock says, lastingly, that from
 * now on this is needed after a power cut; the journal is opened, then the file
 * system. And closed, in the other order.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ext2fs/ext2_fs.h>
#include <ext2fs/ext2fs.h>

#include "host-bridge/fs/volume_disk.h"

#define PLACES		64u		/* runs that a journal lies in */
#define DEPTH		5u		/* of an extent tree */
#define RECOVER		EXT3_FEATURE_INCOMPAT_RECOVER
#define SUPER_AT	1024u

/* Blocks lblk.. of the journal are blocks pblk.. of the device. */
struct place {
	uint32_t lblk, len;
	uint64_t pblk;
};

struct volume_disk {
	struct volume_turns turns;
	void (*on_failure)(void);	/* or NULL */
	void (*settle)(uint32_t first_lost);	/* likewise */
	struct cache *cache;
	struct volume_dev *dev;
	struct journal *journal;
	struct journal_recovery *recovery;
	struct volume *vol;
	enum { SUPER, PLACE, REPLAY, MARK, MARK_FLUSH, JOURNAL, VOLUME, OPEN,
	       CLOSE_JOURNAL, UNMARK, UNMARK_FLUSH, CLOSED } phase;
	struct journal_place place;
	struct place places[PLACES];	/* of inode 8 */
	uint32_t place_count;
	struct journal_found found;
	struct volume_wait end_wait;	/* of what is ended in between */
	bool end_waits;
	char *why;
};

/* Why the device gave no block. */
static int missing(const struct volume_disk *d)
{
	return d->dev->absent ? EAGAIN : d->dev->full ? ENOMEM : EIO;
}

static uint64_t place_block(void *arg, uint32_t n)
{
	const struct volume_disk *d = arg;

	for (uint32_t i = 0; i < d->place_count; i++) {
		const struct place *run = &d->places[i];

		if (n >= run->lblk && n - run->lblk < run->len) {
			return run->pblk + (n - run->lblk);
		}
	}
	return 0;
}

static int refuse(struct volume_disk *d, const char *what)
{
	snprintf(d->why, JOURNAL_WHY, "%s", what);
	return EOPNOTSUPP;
}

static int get_super(struct volume_disk *d, struct ext2_super_block *sb)
{
	const uint8_t *data = d->dev->ops->peek(d->dev, SUPER_AT >>
						d->dev->block_shift);

	if (data == NULL) {
		return missing(d);
	}
	memcpy(sb, data + (SUPER_AT & (d->dev->block_size - 1)), sizeof(*sb));
	return 0;
}

static int read_super(struct volume_disk *d)
{
	struct ext2_super_block sb;
	uint32_t shift;
	int error = get_super(d, &sb);

	if (error != 0) {
		return error;
	}
	shift = sb.s_log_block_size + 10;
	if (sb.s_magic == EXT2_SUPER_MAGIC && shift >= 10 && shift <= 12 &&
	    1u << shift < cache_disk(d->cache)->sector_size) {
		return refuse(d, "its blocks are smaller than the disk's "
			      "sectors");
	}
	if (sb.s_magic == EXT2_SUPER_MAGIC && shift >= 10 && shift <= 12 &&
	    shift != d->dev->block_shift) {
		error = d->dev->ops->set_block(d->dev, shift);
		/* All that was read is forgotten. */
		return error == 0 ? read_super(d) : error;
	}
	/* What is refused must stay as it is: even its journal is its own. */
	error = volume_known(d->dev, d->why);
	if (error != 0) {
		return error;
	}
	if (!(sb.s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL)) {
		d->phase = JOURNAL;	/* and on, without one */
		return 0;
	}
	if (sb.s_journal_dev != 0 || sb.s_journal_inum == 0) {
		return refuse(d, "its journal is on another device, which is "
			      "not known here");
	}
	if (sb.s_journal_inum != EXT2_JOURNAL_INO) {
		return refuse(d, "its journal is a file of its own, which is "
			      "not known here");
	}
	return 0;
}

/* Adds the extents of one node of the journal's tree, and of those below it. */
static int add_node(struct volume_disk *d, const uint8_t *node, size_t size,
		    unsigned depth)
{
	const struct ext3_extent_header *head = (const void *)node;
	const struct ext3_extent *leaf = (const void *)(head + 1);
	const struct ext3_extent_idx *index = (const void *)(head + 1);

	if (head->eh_magic != EXT3_EXT_MAGIC || head->eh_depth != depth ||
	    head->eh_entries > size / sizeof(*leaf) - 1) {
		return refuse(d, "its journal's inode is damaged");
	}
	for (unsigned i = 0; i < head->eh_entries; i++) {
		uint64_t block = depth == 0
			? (uint64_t)leaf[i].ee_start_hi << 32 | leaf[i].ee_start
			: (uint64_t)index[i].ei_leaf_hi << 32 |
			  index[i].ei_leaf;
		const uint8_t *data;
		int error;

		if (depth == 0) {
			if (d->place_count == PLACES) {
				return refuse(d, "its journal lies in too many "
					      "pieces");
			}
			d->places[d->place_count++] = (struct place){
				.lblk = leaf[i].ee_block,
				.len = leaf[i].ee_len, .pblk = block,
			};
			continue;
		}
		data = d->dev->ops->peek(d->dev, block);
		error = data == NULL ? missing(d)
			: add_node(d, data, d->dev->block_size, depth - 1);
		if (error != 0) {
			return error;
		}
	}
	return 0;
}

/* Finds inode 8, and where it lies. It never changes, so this may be read before
 * anything was brought back. */
static int read_place(struct volume_disk *d)
{
	struct ext2_super_block sb;
	struct ext4_group_desc group = { 0 };
	struct ext2_inode in;
	uint32_t size = d->dev->block_size;
	const uint8_t *data;
	uint64_t at;
	int error = get_super(d, &sb);

	if (error != 0) {
		return error;
	}
	data = d->dev->ops->peek(d->dev, sb.s_first_data_block + 1ull);
	if (data == NULL) {
		return missing(d);
	}
	memcpy(&group, data, EXT2_DESC_SIZE(&sb) < sizeof(group)
	       ? EXT2_MIN_DESC_SIZE : sizeof(group));
	at = (EXT2_JOURNAL_INO - 1ull) * EXT2_INODE_SIZE(&sb);
	data = d->dev->ops->peek(d->dev,
				 ((uint64_t)group.bg_inode_table_hi << 32 |
				  group.bg_inode_table) + at / size);
	if (data == NULL) {
		return missing(d);
	}
	if (at % size + sizeof(in) > size) {
		return refuse(d, "its inodes have a size that is not known "
			      "here");
	}
	memcpy(&in, data + at % size, sizeof(in));
	if (!(in.i_flags & EXT4_EXTENTS_FL)) {
		return refuse(d, "its journal has no extents");
	}
	d->place_count = 0;
	error = ((struct ext3_extent_header *)in.i_block)->eh_depth > DEPTH
		? refuse(d, "its journal's inode is damaged")
		: add_node(d, (uint8_t *)in.i_block, sizeof(in.i_block),
			   ((struct ext3_extent_header *)
			    in.i_block)->eh_depth);
	d->place = (struct journal_place){
		place_block, d, in.i_size / size, size,
	};
	return error;
}

static int replay(struct volume_disk *d)
{
	if (d->recovery == NULL) {
		d->recovery = journal_recovery_new(d->dev, &d->place,
						   d->settle);
		if (d->recovery == NULL) {
			return ENOMEM;
		}
	}
	return journal_recover(d->recovery, &d->found, d->why);
}

/* Says in the superblock whether the journal is needed. */
static int mark(struct volume_disk *d)
{
	uint8_t *data = d->dev->ops->poke(d->dev, SUPER_AT >>
					  d->dev->block_shift, false);
	struct ext2_super_block sb;
	bool needed = d->phase == MARK;

	if (data == NULL) {
		return missing(d);
	}
	data += SUPER_AT & (d->dev->block_size - 1);
	memcpy(&sb, data, sizeof(sb));
	sb.s_feature_incompat = needed ? sb.s_feature_incompat | RECOVER
				       : sb.s_feature_incompat & ~RECOVER;
	if (sb.s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM) {
		sb.s_checksum = ext2fs_crc32c_le(~0u, (uint8_t *)&sb,
			offsetof(struct ext2_super_block, s_checksum));
	}
	memcpy(data, &sb, sizeof(sb));
	return 0;
}

static int flush(struct volume_disk *d)
{
	return d->dev->ops->flush(d->dev);
}

/* journal_ops: what the volume has in memory of its own goes into blocks. */
static int close_round(void *arg)
{
	struct volume_disk *d = arg;

	return d->vol != NULL ? volume_flush(d->vol) : 0;
}

static void lasting(void *arg, uint64_t round)
{
	(void)arg;
	(void)round;
}

static void failed(void *arg)
{
	struct volume_disk *d = arg;

	if (d->on_failure != NULL) {
		d->on_failure();
	}
}

static int64_t now_ns(void *arg)
{
	(void)arg;
	return volume_now_ns();
}

static int open_journal(struct volume_disk *d)
{
	struct journal_ops ops = { close_round, lasting, failed, now_ns, d };

	if (d->place_count == 0) {
		return 0;
	}
	return journal_open(d->cache, &d->place, &ops, &d->journal, d->why);
}

static int open_volume(struct volume_disk *d)
{
	int error = volume_open(d->dev, &d->vol);

	if (error != 0 && error != EAGAIN) {
		volume_why(d->dev, d->why);
	}
	return error;
}

/* volume_wait.ready of what is ended in between. */
static void end_ready(struct volume_wait *wait)
{
	struct volume_disk *d = (struct volume_disk *)((char *)wait -
				offsetof(struct volume_disk, end_wait));

	d->end_waits = false;
}

static struct volume_disk *disk_of(struct volume_turns *turns)
{
	return (struct volume_disk *)((char *)turns -
				      offsetof(struct volume_disk, turns));
}

static void turn_look(struct volume_turns *turns, struct volume_wait *wait)
{
	volume_disk_look(disk_of(turns), wait);
}

static int turn_begin(struct volume_turns *turns, struct volume_wait *wait)
{
	return volume_disk_begin(disk_of(turns), wait);
}

static int turn_sync(struct volume_turns *turns, struct volume_wait *wait)
{
	return volume_disk_sync(disk_of(turns), wait);
}

static void turn_end(struct volume_turns *turns, struct volume_wait *wait)
{
	volume_disk_end(disk_of(turns), wait);
}

/** See volume_disk.h. */
struct volume_turns *volume_disk_turns(struct volume_disk *d)
{
	return &d->turns;
}

/** See volume_disk.h. */
void volume_disk_follow(struct volume_disk *d,
			void (*settle)(uint32_t first_lost))
{
	d->dev->orphans_stay = true;
	d->settle = settle;
}

/** See volume_disk.h. */
void volume_disk_on_failure(struct volume_disk *d, void (*fn)(void))
{
	d->on_failure = fn;
}

/**
 * Begins to open the volume on dev, with so much memory for its blocks, which
 * devices reach and which stays the caller's. Returns 0 or ENOMEM.
 */
int volume_disk_new(struct block_dev *dev, void *memory, size_t bytes,
		    struct volume_disk **out)
{
	struct volume_disk *d = calloc(1, sizeof(*d));

	if (d == NULL || cache_open(dev, memory, bytes, &d->cache) != 0) {
		free(d);
		return ENOMEM;
	}
	d->dev = cache_dev(d->cache);
	d->end_wait.ready = end_ready;
	d->turns = (struct volume_turns){
		turn_look, turn_begin, turn_sync, turn_end,
	};
	*out = d;
	return 0;
}

/**
 * Goes on with it. Returns 0: *out is the volume; EAGAIN: again, when something has
 * happened; another value: it cannot be opened, and why ends a sentence about it.
 */
int volume_disk_open(struct volume_disk *d, struct volume **out,
		     char why[JOURNAL_WHY])
{
	static int (*const phases[])(struct volume_disk *) = {
		[SUPER] = read_super, [PLACE] = read_place, [REPLAY] = replay,
		[MARK] = mark, [MARK_FLUSH] = flush, [JOURNAL] = open_journal,
		[VOLUME] = open_volume,
	};

	d->why = why;
	cache_turn(d->cache, NULL);
	while (d->phase != OPEN) {
		int error = phases[d->phase](d);

		if (error != 0) {
			return error;
		}
		d->phase++;
	}
	journal_recovery_free(d->recovery);
	d->recovery = NULL;
	*out = d->vol;
	return 0;
}

/**
 * Before a function of the volume that changes nothing, for a request that may wait;
 * NULL: for one that tries again by itself.
 */
void volume_disk_look(struct volume_disk *d, struct volume_wait *wait)
{
	cache_turn(d->cache, wait);
}

/**
 * Before each function of the volume that changes something, for a request that may
 * wait. Returns 0, EAGAIN (wait is told), or EROFS when the journal has failed.
 */
int volume_disk_begin(struct volume_disk *d, struct volume_wait *wait)
{
	uint32_t most = d->dev->most;

	cache_turn(d->cache, wait);
	if (d->journal == NULL) {
		return 0;
	}
	/* What the volume has changed in its own memory will be changed in
	 * blocks when the round closes, and must have room then: when that
	 * may be too much it is done before, and known. */
	if (d->dev->changed + volume_due(d->vol) > most / 2) {
		int error = volume_flush(d->vol);

		if (error != 0) {
			return error;
		}
	}
	return journal_begin(d->journal, volume_due(d->vol) + most / 2, wait);
}

/** Makes lasting all that was done before its first call: as journal_sync(). */
int volume_disk_sync(struct volume_disk *d, struct volume_wait *wait)
{
	if (d->journal != NULL) {
		return journal_sync(d->journal, wait);
	}
	cache_turn(d->cache, wait);
	return volume_flush(d->vol);
}

/** The request has run to its end. */
void volume_disk_end(struct volume_disk *d, struct volume_wait *wait)
{
	cache_wait_end(d->cache, wait);
}

/** Once a second, about. */
void volume_disk_tick(struct volume_disk *d, uint32_t seconds)
{
	if (d->phase == OPEN) {
		volume_freed(d->vol);
	}
	if (d->journal != NULL) {
		journal_tick(d->journal, seconds);
	} else {
		cache_tick(d->cache, seconds);
	}
}

/* Files that are to be freed or cut off, when nobody asks for it any more. */
static bool end_due(const struct volume_disk *d)
{
	return d->phase == OPEN && !d->end_waits && volume_unended(d->vol);
}

static void end_some(struct volume_disk *d)
{
	int error = volume_disk_begin(d, &d->end_wait);

	if (error == 0) {
		error = volume_end(d->vol);
	}
	d->end_waits = error != 0;
	if (error != EAGAIN) {
		volume_disk_end(d, &d->end_wait);
	}
}

bool volume_disk_due(const struct volume_disk *d)
{
	return end_due(d) || cache_due(d->cache) ||
	       (d->journal != NULL && journal_due(d->journal));
}

/** See volume_disk.h. */
void volume_disk_look_at(const struct volume_disk *d,
			 struct volume_disk_state *state)
{
	struct journal_state journal = { 0 };
	struct cache_stats cache;

	cache_stats(d->cache, &cache);
	if (d->journal != NULL) {
		journal_look(d->journal, &journal);
	}
	*state = (struct volume_disk_state){
		.failed = journal.failed, .cache = cache,
		.block_size = d->dev->block_size,
		.unwritten = cache.failed + cache.dirty + cache.queued +
			     journal.running + journal.committing,
	};
}

/** Does what is due; from the loop, between two functions of the volume. Returns
 * whether somebody may have been told something, or more is due. */
bool volume_disk_run(struct volume_disk *d)
{
	bool told = cache_due(d->cache) ||
		    (d->journal != NULL && journal_due(d->journal));

	if (told) {
		cache_run(d->cache);
		if (d->journal != NULL) {
			journal_run(d->journal);
		}
	}
	if (end_due(d)) {
		end_some(d);
	}
	return told || end_due(d);
}

/**
 * Closes the volume, so that its journal is empty and not needed. Returns EAGAIN
 * until that is so, then 0, or EIO. What is held is let go.
 */
int volume_disk_close(struct volume_disk *d, struct volume_wait *wait)
{
	int error = 0;

	cache_turn(d->cache, wait);
	if (d->phase == OPEN) {
		/* What has no name is freed, which changes much: or nothing can
		 * be changed any more. */
		if (volume_disk_begin(d, wait) == EAGAIN) {
			return EAGAIN;
		}
		error = volume_close(d->vol);
		if (error == EAGAIN) {
			return error;
		}
		volume_disk_end(d, &d->end_wait);
		d->vol = NULL;
		d->phase = d->journal != NULL ? CLOSE_JOURNAL : UNMARK_FLUSH;
	}
	if (d->phase == CLOSE_JOURNAL) {
		int failure = journal_close(d->journal, wait);

		if (failure != 0) {
			return failure;
		}
		journal_free(d->journal);
		d->journal = NULL;
		d->phase = UNMARK;
	}
	for (; error == 0 && d->phase != CLOSED; d->phase++) {
		error = d->phase == UNMARK ? mark(d) : flush(d);
		if (error != 0) {
			break;
		}
	}
	return error == 0 ? cache_trim_end(d->cache) : error;
}

/** Frees all memory; nothing may be under way. */
void volume_disk_free(struct volume_disk *d)
{
	if (d->vol != NULL) {
		volume_drop(d->vol);
	}
	if (d->journal != NULL) {
		journal_free(d->journal);
	}
	journal_recovery_free(d->recovery);
	cache_close(d->cache);
	free(d);
}
