// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: room for what is written. Linux takes what a process writes into pages,
 * and the process goes on; the host hears of it later, and may then have no room.
 * So the host says with each answer to a WRITE how much it has, and no more waits
 * here than fits there. Near the end all that waits is written first, and then each
 * writer's page before he goes on (fuse_write.c): he is told himself.
 *
 * The kernel's own counts of a mount's dirty pages are what waits. They are a
 * little behind where there are several CPUs.
 */
#include <linux/backing-dev.h>
#include <linux/fs.h>
#include <linux/writeback.h>

#include "fuse.h"

/* Pages that processes may dirty at once before each of them has looked. */
#define SLACK		256u
/* Blocks that a name or an attribute can take: of a directory, of the tables
 * that lead to it, its own. */
#define NAME_BLOCKS	4u

/** The host has room for so many blocks. */
void fuse_room_told(struct fuse_session *s, u64 blocks)
{
	s->guessed = 0;
	WRITE_ONCE(s->room, blocks);
}

/* Blocks that a request other than a WRITE may take. */
static u64 needs(const struct fuse_req *req)
{
	const void *in = req->args->in_args[0].value;

	switch (req->in.h.opcode) {
	case FUSE_FALLOCATE:
		return ((const struct fuse_fallocate_in *)in)->length /
		       PAGE_SIZE + NAME_BLOCKS;
	case FUSE_COPY_FILE_RANGE:
		return ((const struct fuse_copy_file_range_in *)in)->len /
		       PAGE_SIZE + NAME_BLOCKS;
	case FUSE_CREATE:
	case FUSE_TMPFILE:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_LINK:
	case FUSE_RENAME:
	case FUSE_RENAME2:
	case FUSE_SETXATTR:
		return NAME_BLOCKS;
	}
	return 0;
}

/** A request of the fuse module's went well, with what is in s->rx. ch->lock held. */
void fuse_room_answered(struct fuse_session *s, const struct fuse_req *req)
{
	u64 used = needs(req);

	if (req->in.h.opcode == FUSE_WRITE) {
		if (s->rx.tail != 0) {
			fuse_room_told(s, s->rx.room.blocks);
		}
	} else if (used != 0) {
		used = min(s->room, used);
		s->guessed += used;
		WRITE_ONCE(s->room, s->room - used);
		if (unlikely(fuse_room_idle(s))) {
			isthmus_publish_later(&isthmus_channel);
		}
	}
}

/** Is what we believe to be left of the room mostly a guess? ch->lock held. */
bool fuse_room_idle(const struct fuse_session *s)
{
	return s->guessed > s->room;
}

/* The host's answer to STATFS, if it is one. */
static void asked(struct fuse_session *s, struct fuse_own *own, int error)
{
	struct fuse_statfs_out out;

	if (error == 0 && s->rx.head.len == sizeof(s->rx.head) + sizeof(out)) {
		memcpy(&out, s->rx.first, sizeof(out));
		fuse_room_told(s, out.st.bavail / (PAGE_SIZE /
			       clamp(out.st.frsize, 1024u, (u32)PAGE_SIZE)));
	}
	s->asks = false;
	kfree(own);
}

/**
 * A request that asks the host for its room; all that it was sent before is carried
 * out when it answers. NULL: it is asked already, or there is no memory. ch->lock
 * held; it is to be sent.
 */
struct fuse_req *fuse_room_ask(struct fuse_session *s)
{
	const struct fuse_in_header head = {
		.opcode = FUSE_STATFS, .nodeid = FUSE_ROOT_ID,
	};
	struct fuse_req *req;

	if (s->asks) {
		return NULL;
	}
	req = fuse_own_new(&head, "", 0, GFP_ATOMIC | __GFP_NOWARN);
	if (req) {
		container_of(req, struct fuse_own, req)->done = asked;
		s->asks = true;
	}
	return req;
}

/**
 * Has the host room for all that waits to be written, and so many blocks more? A
 * table of blocks leads to no fewer than four of them.
 */
bool fuse_room_for(struct fuse_session *s, u64 more)
{
	struct bdi_writeback *wb = &s->fm->sb->s_bdi->wb;
	u64 need = wb_stat(wb, WB_RECLAIMABLE) + wb_stat(wb, WB_WRITEBACK) +
		   2 * wb_stat_error() + min(more, U64_MAX / 4);

	return need + need / 4 + SLACK <= READ_ONCE(s->room);
}

/**
 * So many blocks of the host's are about to be taken, or were by who is to be told
 * if they are not there. Is there not room for all, what waits is written before.
 * May sleep; the caller may hold inodes' locks. Returns fuse_room_for().
 */
bool fuse_room_make(struct fuse_session *s, u64 more)
{
	struct super_block *sb = s->fm->sb;
	struct bdi_writeback *wb = &sb->s_bdi->wb;

	if (fuse_room_for(s, more)) {
		return true;
	}
	/* One may be the caller's. Who has the mount's lock changes it. */
	if (wb_stat_sum(wb, WB_RECLAIMABLE) + wb_stat_sum(wb, WB_WRITEBACK) > 1 &&
	    down_read_trylock(&sb->s_umount)) {
		sync_inodes_sb(sb);
		up_read(&sb->s_umount);
	}
	return fuse_room_for(s, more);
}

/** Before a request is sent: what it takes, others must not count on. */
void fuse_room_before(struct fuse_session *s, const struct fuse_req *req)
{
	u64 more = needs(req);

	if (more != 0) {
		fuse_room_make(s, more);
	}
}
