/* SPDX-License-Identifier: MIT */
/* Locks on files, for fuse_lock.c, which says what they are. */
#ifndef ISTHMUS_FUSE_LOCK_INT_H
#define ISTHMUS_FUSE_LOCK_INT_H

#include "host-bridge/files/fuse_server_int.h"

#define FUSE_LOCK_FILES		(1u << FUSE_LOCK_FILE_BITS)
#define FUSE_RDLCK		0u
#define FUSE_WRLCK		1u
#define FUSE_UNLCK		2u
#define FUSE_LOCK_KINDS		2u	/* 0: fcntl's, 1: flock's */

struct fuse_lock {
	struct fuse_lock *next;		/* of its file and kind */
	struct fuse_session *session;
	struct fuse_node *node;		/* the session's */
	struct fuse_user *user;
	uint64_t owner, fh;		/* fh: set through that */
	uint64_t start, end;		/* first and last byte */
	uint32_t type, pid;
	struct fuse_left_lock *left;
};

/* A file with locks: there is one as long as there are any. */
struct fuse_lock_file {
	struct fuse_lock_file *next;	/* in its hash chain */
	uint32_t ino;
	struct fuse_lock *locks[FUSE_LOCK_KINDS];
	struct fuse_wait *waits;
};

/* fuse_lock_file.c */
struct fuse_lock_file *fuse_lock_file_find(struct fuse_server *server,
					   uint32_t ino);
struct fuse_lock_file *fuse_lock_file_get(struct fuse_server *server,
					  uint32_t ino);
void fuse_lock_file_put(struct fuse_server *server,
			struct fuse_lock_file *file);
bool fuse_lock_same_owner(const struct fuse_lock *a,
			  const struct fuse_lock *b);
bool fuse_lock_against(const struct fuse_lock *l,
		       const struct fuse_lock *want);
const struct fuse_lock *fuse_lock_conflict(const struct fuse_lock *l,
					   const struct fuse_lock *want);
void fuse_lock_drop(struct fuse_lock **link);
int fuse_lock_file_set(struct fuse_lock_file *file, unsigned kind,
		       struct fuse_lock *want);
bool fuse_lock_take_up(struct fuse_session *s,
		       struct fuse_left_lock *left);

#endif
