/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Files over the channel: what the driver in Linux (guest/driver) and the server
 * in host-bridge (files/) say to each other beside the FUSE protocol itself. One
 * vsock connection carries one mount's messages, each way a stream of whole FUSE
 * messages: requests to the host, replies and notifications to Linux. All
 * integers little-endian.
 *
 * A mount's session outlives its connection. The first message on every
 * connection is HELLO, which names it; after a reset of the channel both ends go
 * on where they were: Linux sends again what was not answered, under the same
 * numbers, and the host sends again what was not carried out.
 *
 * Notifications are carried out one after the other, in order, and acknowledged
 * by their number: a FUSE_NOTIFY_REPLY with struct fuse_channel_done.
 */
#ifndef ISTHMUS_PROTO_FUSE_CHANNEL_H
#define ISTHMUS_PROTO_FUSE_CHANNEL_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#endif

#define FUSE_CHANNEL_PORT	565u	/* the host's */
#define FUSE_CHANNEL_VERSION	1u
/* Bytes of data in one message, and what may be around them. */
#define FUSE_CHANNEL_DATA_MAX	(128u << 10)
#define FUSE_CHANNEL_HEAD_MAX	4096u
/* Requests without an answer yet: the host keeps as many answers. */
#define FUSE_CHANNEL_OUT_MAX	128u
/* SETLKWs without an answer, beside these: they may be without for as long as
 * somebody has the lock. They need no answer kept, for carried out twice they do
 * what they did. */
#define FUSE_CHANNEL_WAITS_MAX	384u
/* Notifications that are not acknowledged yet. */
#define FUSE_CHANNEL_NOTIFY_MAX	256u

/* Opcodes of ours, above all of the kernel's. */
#define FUSE_CHANNEL_HELLO	0x49530001u

/* HELLO's body. `unique` in its header, and in the reply's, is ~0. */
struct fuse_channel_hello {
	uint32_t version;
	uint32_t unused;
	uint64_t session;	/* chosen at random by Linux; not 0 */
	uint64_t notified;	/* notifications received so far */
};

#define FUSE_CHANNEL_RESUMED	1u	/* the host knows the session */

struct fuse_channel_hello_out {
	uint32_t version;
	uint32_t flags;		/* FUSE_CHANNEL_RESUMED */
	/* FORGETs that were carried out in this session, each of a BATCH_FORGET
	 * counted: they have no reply, and those after them have to be sent
	 * again. */
	uint64_t forgets;
	uint64_t room;		/* as in fuse_channel_room */
};

/* In `padding` of a request's header, of WRITE, OPEN, SETATTR, FALLOCATE and
 * COPY_FILE_RANGE. KILL_SUIDGID: set-user-ID ends, and set-group-ID where the group
 * may execute, as by FUSE's flags of that name, which the last two have not.
 * KILL_SGID: wherever these end, set-group-ID does in any case: the process is not
 * in the file's group. */
#define FUSE_CHANNEL_KILL_SUIDGID	1u
#define FUSE_CHANNEL_KILL_SGID		2u

/* Behind the reply to a WRITE there may be this: how many blocks of 4 KiB the host
 * has room for after it. Linux keeps no more than these waiting to be written, so
 * that who is told that he has written has. */
struct fuse_channel_room {
	uint64_t blocks;
};

/* Behind the reply to a request that changed names (CREATE MKNOD MKDIR SYMLINK
 * LINK UNLINK RMDIR RENAME RENAME2) there may be one of these, or two for a
 * rename: directories in which names changed, as they are after it. Linux's fuse
 * module then knows nothing of them, and would ask. */
struct fuse_channel_dir {
	uint64_t nodeid;
	uint8_t attr[88];	/* struct fuse_attr */
};

/* The body of FUSE_NOTIFY_REPLY: how many were carried out in this session. */
struct fuse_channel_done {
	uint64_t notified;
};

/*
 * Notifications: `error` in the message's header. Of the kernel's own there is
 * INVAL_ENTRY: a name in a directory is not what it was, and the directory's
 * attributes have changed. The others are ours, for the kernel's INVAL_INODE
 * cannot say what Linux, with its write-back cache, never asks for: a file's
 * size and times.
 */
#define FUSE_CHANNEL_NOTIFY_FLUSH	4097	/* struct fuse_channel_node */
#define FUSE_CHANNEL_NOTIFY_LOCK	4098	/* struct fuse_channel_node */
#define FUSE_CHANNEL_NOTIFY_EVENT	4099	/* struct fuse_channel_event */
#define FUSE_CHANNEL_NOTIFY_ATTR	4100	/* struct fuse_channel_attr */
#define FUSE_CHANNEL_NOTIFY_UNLOCK	4101	/* struct fuse_channel_node */

/* FLUSH: write the file's dirty pages and times, and wait for that. LOCK: the
 * same, and nobody writes to it any more until UNLOCK: the host is about to
 * change it. */
struct fuse_channel_node {
	uint64_t nodeid;
};

/* A file has changed: its attributes are as here, or else to be asked for, and
 * pages that hold some of the bytes are not to be used any more. */
struct fuse_channel_attr {
	uint64_t nodeid;
	uint64_t offset, length;	/* length ~0: to the end; 0: none */
	uint64_t size;
	int64_t mtime, ctime;
	uint32_t mtimensec, ctimensec;
	uint32_t flags;			/* FUSE_CHANNEL_ATTR_* */
	uint32_t unused;
};

#define FUSE_CHANNEL_ATTR_NAMES	1u	/* any name in it may have changed */
#define FUSE_CHANNEL_ATTR_CUT	2u	/* bytes beyond its size are gone */

/* Something that watchers of files want to know has happened on the host's
 * side, or in another mount. A name of `namelen` bytes follows, without a
 * NUL. */
struct fuse_channel_event {
	uint64_t parent;	/* directory, or 0 */
	uint64_t nodeid;	/* the file itself, or 0 if not known */
	uint32_t mask;		/* IN_* of inotify(7) */
	uint32_t cookie;	/* joins the two halves of a move */
	uint32_t namelen;
	uint32_t unused;
};

#endif
