// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: what is known of directories. When a name is made or taken away the
 * fuse module forgets all attributes of the directory, and asks for them before
 * it looks at the next name in there, to check permissions. The host says behind
 * its reply how the directory is now (proto/fuse_channel.h), and that is the
 * answer, until another message of the host's may say otherwise.
 *
 * What is kept is the host's word as of its place in the stream: so it is dropped
 * by what comes later in there, and with the connection. All with ch->lock held.
 */
#include "fuse.h"

static_assert(sizeof(((struct fuse_channel_dir *)0)->attr) ==
	      sizeof(struct fuse_attr),
	      "attributes as FUSE has them");

static struct fuse_channel_dir *place(struct fuse_session *s, u64 nodeid)
{
	return &s->dirs[nodeid % FUSE_DIRS];
}

/* Does a request change names in directories? */
static bool changes_names(u32 opcode)
{
	switch (opcode) {
	case FUSE_CREATE:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_LINK:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_RENAME:
	case FUSE_RENAME2:
		return true;
	}
	return false;
}

/**
 * How many bytes of what is more in a reply than its request has room for are
 * about directories.
 */
u32 fuse_dir_tail(u32 opcode, u32 more)
{
	return changes_names(opcode) &&
	       (more == sizeof(struct fuse_channel_dir) ||
		more == 2 * sizeof(struct fuse_channel_dir)) ? more : 0;
}

/** Nothing is known any more. */
void fuse_dir_unknown(struct fuse_session *s)
{
	memset(s->dirs, 0, sizeof(s->dirs));
}

static void drop(struct fuse_session *s, u64 nodeid)
{
	if (place(s, nodeid)->nodeid == nodeid) {
		place(s, nodeid)->nodeid = 0;
	}
}

/** A request is answered, with what is in s->rx: the slot is its own. */
void fuse_dir_answered(struct fuse_session *s, const struct fuse_slot *slot)
{
	const struct fuse_rx *rx = &s->rx;
	u32 i;

	switch (slot->opcode) {
	case FUSE_SETATTR:
	case FUSE_SETXATTR:
	case FUSE_REMOVEXATTR:
	case FUSE_IOCTL:
		drop(s, slot->nodeid);
		return;
	case FUSE_RMDIR:
	case FUSE_RENAME:
	case FUSE_RENAME2:
	case 0:
		/* Others than the two may have changed: what was moved, or
		 * had to go for it. */
		fuse_dir_unknown(s);
		break;
	default:
		if (!changes_names(slot->opcode)) {
			return;
		}
		drop(s, slot->nodeid);
	}
	for (i = 0; i < rx->tail / sizeof(rx->dir[0]); i++) {
		*place(s, rx->dir[i].nodeid) = rx->dir[i];
	}
}

/** A directory's attributes, if they are known; ch->lock is taken here. */
bool fuse_dir_attr(struct fuse_session *s, u64 nodeid, struct fuse_attr *attr)
{
	struct isthmus *ch = &isthmus_channel;
	unsigned long flags;
	bool known;

	spin_lock_irqsave(&ch->lock, flags);
	known = place(s, nodeid)->nodeid == nodeid;
	if (known) {
		memcpy(attr, place(s, nodeid)->attr, sizeof(*attr));
	}
	spin_unlock_irqrestore(&ch->lock, flags);
	return known;
}
