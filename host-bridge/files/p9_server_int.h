/* SPDX-License-Identifier: MIT */
/*
 * Inside the 9P server. Handlers get a request with the fields still to be
 * read and a reply with its head written. They read every field, check that
 * the message ended there, and only then act; they return 0 or an errno
 * value, which becomes Rlerror.
 */
#ifndef ISTHMUS_P9_SERVER_INT_H
#define ISTHMUS_P9_SERVER_INT_H

#include "host-bridge/files/p9_server.h"
#include "host-bridge/rt/seed.h"

#define P9_FIDS_MAX	65536u	/* of one session */
#define P9_XATTR_MAX	65536u	/* bytes of one attribute's value */
#define P9_XATTRS_MAX	(8u << 20)	/* bytes of all values at a time */
#define P9_USER_BITS	10u
#define P9_REQUEST_MAX	8192u	/* of a message, but for Twrite's data */

enum p9_fid_kind {
	P9_FID_FILE,		/* names a file, open or not */
	P9_FID_XATTR_READ,	/* holds an attribute's value */
	P9_FID_XATTR_WRITE,	/* gathers one, to be set on Tclunk */
};

struct p9_xattr {
	char name[P9_NAME_MAX + 1];
	uint32_t flags;
	size_t size, done;
	uint8_t *value;
};

/* Who fids are used for: p9_quota.c. */
struct p9_user {
	struct p9_user *next;
	uint32_t uid;
	uint32_t fids, locks;
	size_t xattr_bytes;
};

struct p9_fid {
	struct p9_fid *next;	/* in its hash chain */
	uint32_t fid;
	uint32_t ino;		/* held */
	uint32_t parent;	/* directory it was found in, ... */
	uint64_t cookie;	/* ... and which entry there; 0: unknown */
	uint32_t uid;		/* on whose behalf, from Tattach: user's */
	struct p9_user *user;
	uint32_t open_flags;
	uint8_t kind;		/* enum p9_fid_kind */
	bool is_open;
	bool has_locks;
	struct p9_xattr *xattr;
};

struct p9_lock {
	struct p9_lock *next;
	struct p9_session *session;
	struct p9_fid *fid;		/* it goes with this fid */
	uint32_t ino, type, proc_id;
	uint64_t start, end;		/* first and last byte */
	uint16_t client_len;
	char client[64];
};

/* Requests are answered one by one, so all sessions share the memory in which
 * a reply is made. */
struct p9_server {
	struct volume *vol;
	struct p9_lock *locks;
	uint32_t lock_count;
	size_t xattr_bytes;
	struct p9_session *ending;	/* over, with fids still */
	unsigned ending_count;
	struct volume_seg segs[P9_SEGS_MAX];
	uint8_t reply[P9_MSIZE_MAX];
};

/* A Twrite whose data is still arriving. */
struct p9_write {
	uint32_t left;		/* bytes of data to come; 0: none under way */
	uint32_t count;		/* bytes written */
	uint64_t offset;	/* where the next byte goes */
	struct p9_fid *fid;	/* NULL: the data is dropped */
	uint16_t tag;
	int error;
};

struct p9_session {
	struct p9_server *server;
	struct volume *vol;
	p9_send_fn send;
	void *arg;
	uint32_t msize;		/* 0: no Tversion yet */
	struct p9_fid **fids;	/* hashed */
	uint32_t fid_bits, fid_count;
	uint64_t seed;		/* of both tables */
	struct p9_fid *fid_spare;	/* freed ones */
	uint32_t fid_sweep;	/* p9_fid_end_some() is at this bucket */
	struct p9_session *next;	/* that is over too */
	struct p9_user *users[1u << P9_USER_BITS];
	uint32_t have;		/* bytes of a message in request */
	uint32_t skip;		/* bytes to drop */
	uint32_t acted;		/* messages of this p9_session_input() */
	struct p9_write write;
	uint8_t request[P9_REQUEST_MAX];
};

struct p9_reply {
	struct p9_writer w;
	struct volume_seg *segs;	/* segs[0] will be w; data may follow */
	unsigned count;			/* of segs, with the first */
	size_t extra;			/* bytes in the others */
};

/* p9_fid.c */
struct p9_fid *p9_fid_find(struct p9_session *s, uint32_t fid);
int p9_fid_file(struct p9_session *s, uint32_t fid, struct p9_fid **out);
int p9_fid_new(struct p9_session *s, uint32_t fid, uint32_t ino,
	       struct p9_user *user, struct p9_fid **out);
void p9_fid_free(struct p9_session *s, struct p9_fid *fid);
bool p9_fid_end_some(struct p9_session *s, uint64_t until);
int p9_fid_move(struct p9_session *s, struct p9_fid *fid, uint32_t ino);
int p9_qid(struct p9_session *s, uint32_t ino, struct p9_qid *qid);
struct p9_qid p9_attr_qid(const struct volume_attr *attr);

/* p9_quota.c */
bool p9_quota(const struct p9_user *user, size_t used, size_t all,
	      size_t want, size_t limit);
struct p9_user *p9_user_get(struct p9_session *s, uint32_t uid);
void p9_user_put(struct p9_session *s, struct p9_user *user);
int p9_xattr_give(struct p9_session *s, struct p9_fid *fid,
		  struct p9_xattr *xattr);
void p9_xattr_end(struct p9_session *s, struct p9_fid *fid);

/* Handlers: p9_ops_*.c */
typedef int (*p9_handler)(struct p9_session *s, struct p9_reader *r,
			  struct p9_reply *reply);
int p9_attach(struct p9_session *s, struct p9_reader *r, struct p9_reply *p);
int p9_walk(struct p9_session *s, struct p9_reader *r, struct p9_reply *p);
int p9_clunk(struct p9_session *s, struct p9_reader *r, struct p9_reply *p);
int p9_remove(struct p9_session *s, struct p9_reader *r, struct p9_reply *p);
int p9_statfs(struct p9_session *s, struct p9_reader *r, struct p9_reply *p);
int p9_stat(struct p9_session *s, struct p9_reader *r, struct p9_reply *p);
int p9_setattr(struct p9_session *s, struct p9_reader *r, struct p9_reply *p);
int p9_lopen(struct p9_session *s, struct p9_reader *r, struct p9_reply *p);
int p9_lcreate(struct p9_session *s, struct p9_reader *r, struct p9_reply *p);
int p9_read(struct p9_session *s, struct p9_reader *r, struct p9_reply *p);
int p9_readdir(struct p9_session *s, struct p9_reader *r, struct p9_reply *p);
int p9_fsync(struct p9_session *s, struct p9_reader *r, struct p9_reply *p);
int p9_symlink(struct p9_session *s, struct p9_reader *r, struct p9_reply *p);
int p9_mknod(struct p9_session *s, struct p9_reader *r, struct p9_reply *p);
int p9_mkdir(struct p9_session *s, struct p9_reader *r, struct p9_reply *p);
int p9_rename(struct p9_session *s, struct p9_reader *r, struct p9_reply *p);
int p9_renameat(struct p9_session *s, struct p9_reader *r,
		struct p9_reply *p);
int p9_readlink(struct p9_session *s, struct p9_reader *r,
		struct p9_reply *p);
int p9_link(struct p9_session *s, struct p9_reader *r, struct p9_reply *p);
int p9_unlinkat(struct p9_session *s, struct p9_reader *r,
		struct p9_reply *p);
int p9_xattrwalk(struct p9_session *s, struct p9_reader *r,
		 struct p9_reply *p);
int p9_xattrcreate(struct p9_session *s, struct p9_reader *r,
		   struct p9_reply *p);
int p9_lock(struct p9_session *s, struct p9_reader *r, struct p9_reply *p);
int p9_getlock(struct p9_session *s, struct p9_reader *r,
	       struct p9_reply *p);

/* Twrite: its fields are in, its data follows. */
int p9_write_begin(struct p9_session *s, struct p9_reader *r);
void p9_write_data(struct p9_session *s, const uint8_t *data, uint32_t len);

/* Room for data of a reply, by the negotiated msize. */
static inline uint32_t p9_data_max(const struct p9_session *s)
{
	return s->msize - P9_IOHDR;
}

int p9_xattr_read(struct p9_session *s, struct p9_fid *fid, uint64_t offset,
		  uint32_t count, struct p9_reply *p);
int p9_xattr_write(struct p9_fid *fid, uint64_t offset, const void *data,
		   uint32_t len);
void p9_locks_drop(struct p9_session *s, const struct p9_fid *fid);
void p9_locks_end(struct p9_session *s);

#endif
