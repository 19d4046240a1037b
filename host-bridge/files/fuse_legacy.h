/* SPDX-License-Identifier: MIT */
/*
 * What of a session the next program must know: docs/restart.md. All of it is of this
 * server's making, but may have been damaged by what has ended it: numbers are
 * checked where they could do harm.
 *
 * The owner of a session's record is its peer's number, that of its others its own.
 */
#ifndef ISTHMUS_FUSE_LEGACY_H
#define ISTHMUS_FUSE_LEGACY_H

#include "host-bridge/files/fuse_server_int.h"
#include "host-bridge/rt/legacy.h"

struct fuse_left {
	struct legacy head;
	uint64_t id;
	uint32_t number;
	uint32_t root, minor;
	bool read_only;
	bool partial;			/* some of its records had no room */
	uint32_t locked;		/* inode that the console changes; 0 */
	uint64_t init_flags, last_unique, forgets, last_fh;
	uint64_t done;			/* of notifications */
};

struct fuse_left_answer {
	struct legacy head;
	uint64_t unique;
	uint64_t order;			/* in which they were sent; 0: not yet */
	uint32_t len, unused;
	uint8_t bytes[LEGACY_ANSWER_SIZE - 32];	/* the longest is as long */
};

struct fuse_left_node {
	struct legacy head;
	uint32_t ino, gen, uid;
	uint32_t told;			/* the last notification; 0: none */
	uint64_t nlookup;		/* at least */
};

struct fuse_left_open {
	struct legacy head;
	uint64_t fh;
	uint32_t ino, uid, unused[2];
};

struct fuse_left_lock {
	struct legacy head;
	uint64_t owner, fh, start, end;
	uint32_t ino, kind, type, pid, uid, unused;
};

_Static_assert(sizeof(struct fuse_left) <= LEGACY_SESSION_SIZE &&
	       sizeof(struct fuse_left_answer) == LEGACY_ANSWER_SIZE &&
	       sizeof(struct fuse_left_node) == LEGACY_NODE_SIZE &&
	       sizeof(struct fuse_left_open) == LEGACY_OPEN_SIZE &&
	       sizeof(struct fuse_left_lock) == LEGACY_LOCK_SIZE,
	       "a record is copied as a whole");

#endif
