/* SPDX-License-Identifier: MIT */
/*
 * For tests of the volume, linked with --wrap for each of its functions: before a
 * device whose blocks are not there when they are asked for first, each function
 * is called again until what it needs is there. That must change nothing of what
 * it does; and a function that gives EAGAIN must not have changed anything that
 * can be seen.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/fs/ext4/volume_int.h"
#include "host-bridge/fs/ext4/volume_dir.h"
#include "qemu-test/unit/volume_fixture.h"

#define TRIES_MAX	400u	/* that anything may take */
#define VNODES_MAX	64u	/* looked at in each turn */

/* What can be seen of a file. */
struct seen {
	uint32_t ino, runs, tree, names, holds;
	bool dead;
	uint8_t raw[VOLUME_INODE_SIZE];
};

static struct {
	bool good;
	unsigned count, tries;
	struct seen all[VNODES_MAX];
	uint64_t blocks;
	uint32_t inodes;
} before;

static void __attribute__((constructor)) waits(void)
{
	fixture_waits = true;
}

static struct seen see(const struct vnode *vn)
{
	struct seen seen = {
		.ino = vn->ino, .holds = vn->holds, .dead = vn->dead,
		.runs = vn->runs_valid ? vn->run_count : 0,
		.tree = vn->runs_valid ? vn->tree_count : 0,
		.names = vn->index != NULL ? vn->index->count : 0,
	};
	struct vnode copy = *vn;

	copy.in.i_checksum_hi = 0;
	copy.in.osd2.linux2.l_i_checksum_lo = 0;
	/* Where the tree lies, which is written when it must be. */
	if ((vn->in.i_flags & EXT4_EXTENTS_FL) != 0) {
		memset(copy.in.i_block, 0, sizeof(copy.in.i_block));
	}
	memcpy(seen.raw, copy.raw, sizeof(seen.raw));
	return seen;
}

static void begin(struct volume *vol)
{
	struct vnode *vn = vol->hand;

	before.tries = 0;
	before.good = vol->vnodes <= VNODES_MAX;
	before.count = 0;
	before.blocks = ext2fs_free_blocks_count(vol->fs->super);
	before.inodes = vol->fs->super->s_free_inodes_count;
	for (uint32_t n = before.good ? vol->vnodes : 0; n > 0; n--) {
		before.all[before.count++] = see(vn);
		vn = vn->ring_next;
	}
}

/* What was there before and still is in memory is as it was; what was read on
 * the way is new. */
static void check(struct volume *vol, const char *what)
{
	struct vnode *vn = vol->hand;

	for (uint32_t n = before.good ? vol->vnodes : 0; n > 0; n--) {
		struct seen now = see(vn);

		for (unsigned i = 0; i < before.count; i++) {
			struct seen *old = &before.all[i];

			if (old->ino != now.ino) {
				continue;
			}
			/* Not known then, or forgotten now. */
			if (old->runs == 0 || now.runs == 0) {
				now.runs = old->runs;
				now.tree = old->tree;
			}
			if (old->names == 0 || now.names == 0) {
				now.names = old->names;
			}
			if (memcmp(old, &now, sizeof(now)) != 0) {
				fail_msg("%s has changed file %u and gave "
					 "EAGAIN", what, now.ino);
			}
		}
		vn = vn->ring_next;
	}
	if (before.blocks != ext2fs_free_blocks_count(vol->fs->super) ||
	    before.inodes != vol->fs->super->s_free_inodes_count) {
		fail_msg("%s has changed what is free and gave EAGAIN", what);
	}
	assert_true(before.tries++ < TRIES_MAX);
	fixture_again(vol->dev);
}

static void turn_ends(struct volume *vol)
{
	if (!fixture_passes) {
		fixture_turn(vol->dev);
	}
}

#define WRAP(name, parameters, arguments) \
int __real_##name parameters; \
int __wrap_##name parameters; \
int __wrap_##name parameters \
{ \
	int error; \
\
	begin(vol); \
	while ((error = __real_##name arguments) == EAGAIN) { \
		check(vol, #name); \
		if (fixture_passes) { \
			return error; \
		} \
	} \
	turn_ends(vol); \
	return error; \
}

#define V	struct volume *vol
WRAP(volume_hold, (V, uint32_t ino), (vol, ino))
WRAP(volume_getattr, (V, uint32_t ino, struct volume_attr *attr),
     (vol, ino, attr))
WRAP(volume_setattr, (V, uint32_t ino, unsigned what,
		      const struct volume_attr *attr), (vol, ino, what, attr))
WRAP(volume_lookup, (V, uint32_t dir, const char *name, size_t len,
		     uint32_t *ino), (vol, dir, name, len, ino))
WRAP(volume_create, (V, uint32_t dir, const char *name, size_t len,
		     const struct volume_make *make, uint32_t *ino),
     (vol, dir, name, len, make, ino))
WRAP(volume_tmpfile, (V, uint32_t dir, const struct volume_make *make,
		      uint32_t *ino), (vol, dir, make, ino))
WRAP(volume_symlink, (V, uint32_t dir, const char *name, size_t len,
		      const char *target, size_t target_len,
		      const struct volume_make *make, uint32_t *ino),
     (vol, dir, name, len, target, target_len, make, ino))
WRAP(volume_link, (V, uint32_t ino, uint32_t dir, const char *name,
		   size_t len), (vol, ino, dir, name, len))
WRAP(volume_unlink, (V, uint32_t dir, const char *name, size_t len),
     (vol, dir, name, len))
WRAP(volume_rmdir, (V, uint32_t dir, const char *name, size_t len),
     (vol, dir, name, len))
WRAP(volume_rename, (V, uint32_t dir, const char *name, size_t len,
		     uint32_t to, const char *new, size_t new_len,
		     unsigned flags),
     (vol, dir, name, len, to, new, new_len, flags))
WRAP(volume_readlink, (V, uint32_t ino, char *buf, size_t size, size_t *len),
     (vol, ino, buf, size, len))
WRAP(volume_read, (V, uint32_t ino, uint64_t offset, void *buf, size_t len,
		   size_t *done), (vol, ino, offset, buf, len, done))
WRAP(volume_map, (V, uint32_t ino, uint64_t offset, size_t len,
		  struct volume_seg *segs, unsigned max, unsigned *count,
		  size_t *done), (vol, ino, offset, len, segs, max, count, done))
WRAP(volume_fallocate, (V, uint32_t ino, unsigned mode, uint64_t offset,
			uint64_t len), (vol, ino, mode, offset, len))
WRAP(volume_seek, (V, uint32_t ino, uint64_t offset, unsigned whence,
		   uint64_t *found), (vol, ino, offset, whence, found))
WRAP(volume_copy, (V, uint32_t from, uint64_t from_offset, uint32_t to,
		   uint64_t to_offset, uint64_t len, size_t *done),
     (vol, from, from_offset, to, to_offset, len, done))
WRAP(volume_get_flags, (V, uint32_t ino, uint32_t *flags), (vol, ino, flags))
WRAP(volume_set_flags, (V, uint32_t ino, uint32_t flags), (vol, ino, flags))
WRAP(volume_xattr_get, (V, uint32_t ino, const char *name, void **value,
			size_t *len), (vol, ino, name, value, len))
WRAP(volume_xattr_list, (V, uint32_t ino, void **names, size_t *len),
     (vol, ino, names, len))
WRAP(volume_xattr_set, (V, uint32_t ino, const char *name, const void *value,
			size_t len, unsigned flags),
     (vol, ino, name, value, len, flags))
WRAP(volume_xattr_remove, (V, uint32_t ino, const char *name),
     (vol, ino, name))

/* A flush and a close have no state to compare: they may have written half. */
#define WRAP_ALL(name, parameters, arguments) \
int __real_##name parameters; \
int __wrap_##name parameters; \
int __wrap_##name parameters \
{ \
	int error; \
	unsigned tries = 0; \
\
	while ((error = __real_##name arguments) == EAGAIN) { \
		assert_true(tries++ < TRIES_MAX); \
	} \
	return error; \
}

WRAP_ALL(volume_open, (struct volume_dev *dev, struct volume **out), (dev, out))
WRAP_ALL(volume_flush, (V), (vol))
WRAP_ALL(volume_fsync, (V, uint32_t ino), (vol, ino))
WRAP_ALL(volume_close, (V), (vol))

/* A write may be done in part when the rest has to wait: then it goes on. */
int __real_volume_write(struct volume *vol, uint32_t ino, uint64_t offset,
			const void *buf, size_t len, size_t *done);
int __wrap_volume_write(struct volume *vol, uint32_t ino, uint64_t offset,
			const void *buf, size_t len, size_t *done);

int __wrap_volume_write(struct volume *vol, uint32_t ino, uint64_t offset,
			const void *buf, size_t len, size_t *done)
{
	size_t all = 0;
	int error;

	do {
		begin(vol);
		while ((error = __real_volume_write(
				vol, ino, offset + all,
				(const uint8_t *)buf + all, len - all,
				done)) == EAGAIN) {
			check(vol, "volume_write");
			if (fixture_passes) {
				return error;
			}
		}
		if (fixture_passes) {
			return error;
		}
		all += *done;
	} while (error == 0 && *done > 0 && all < len);
	fixture_turn(vol->dev);
	*done = all;
	return all > 0 ? 0 : error;
}

/* A directory may be shown in part. */
struct shown {
	bool (*fn)(void *arg, const struct volume_entry *entry);
	void *arg;
	uint64_t cookie;
	bool any, stopped;
};

static bool show(void *arg, const struct volume_entry *entry)
{
	struct shown *shown = arg;

	shown->any = true;
	shown->cookie = entry->cookie;
	shown->stopped = !shown->fn(shown->arg, entry);
	return !shown->stopped;
}

int __real_volume_readdir(struct volume *vol, uint32_t dir, uint64_t cookie,
			  bool (*fn)(void *arg, const struct volume_entry *e),
			  void *arg);
int __wrap_volume_readdir(struct volume *vol, uint32_t dir, uint64_t cookie,
			  bool (*fn)(void *arg, const struct volume_entry *e),
			  void *arg);

int __wrap_volume_readdir(struct volume *vol, uint32_t dir, uint64_t cookie,
			  bool (*fn)(void *arg, const struct volume_entry *e),
			  void *arg)
{
	struct shown shown = { .fn = fn, .arg = arg, .cookie = cookie };
	int error;

	do {
		shown.any = false;
		begin(vol);
		while ((error = __real_volume_readdir(
				vol, dir, shown.cookie, show, &shown)) ==
		       EAGAIN) {
			check(vol, "volume_readdir");
			if (fixture_passes) {
				return error;
			}
		}
		if (fixture_passes) {
			return error;
		}
	} while (error == 0 && shown.any && !shown.stopped);
	fixture_turn(vol->dev);
	return error;
}
