/* SPDX-License-Identifier: MIT */
/*
 * The agent's 9P2000.L server, inside, each of which calls only what stands
 * before it: codec (agent_9p_codec.c), fids (agent_9p_fid.c), the operations on
 * files (agent_9p_ops.c), session and dispatch (agent_9p.c). One client, one
 * request at a time, single thread.
 */
#ifndef GUEST_AGENT_9P_H
#define GUEST_AGENT_9P_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define P9_MSIZE_MAX	131072u
#define P9_MSIZE_MIN	4096u
#define P9_HEADER	7u	/* size[4] type[1] tag[2] */
#define P9_READ_HEADER	11u	/* header and count[4] */
#define P9_NAME_MAX	255u
#define P9_WALK_MAX	16u
#define P9_FIDS_MAX	256u
#define P9_NOFID	0xffffffffu

enum p9_type {
	P9_RLERROR = 7, P9_TSTATFS = 8, P9_TLOPEN = 12, P9_TLCREATE = 14,
	P9_TSYMLINK = 16, P9_TREADLINK = 22, P9_TGETATTR = 24,
	P9_TSETATTR = 26, P9_TREADDIR = 40, P9_TFSYNC = 50, P9_TLINK = 70,
	P9_TMKDIR = 72, P9_TRENAMEAT = 74, P9_TUNLINKAT = 76,
	P9_TVERSION = 100, P9_TATTACH = 104, P9_TFLUSH = 108,
	P9_TWALK = 110, P9_TREAD = 116, P9_TWRITE = 118, P9_TCLUNK = 120,
};

/* A bounded cursor over a request. Reading past the end gives zeros and sets
 * bad, so that a handler checks once, before it acts. */
struct p9_in {
	const uint8_t *p;
	size_t left;
	bool bad;
};

/* A bounded cursor for a reply: what does not fit sets bad. */
struct p9_out {
	uint8_t *buf;
	size_t len, cap;
	bool bad;
};

struct p9_fid {
	bool used;
	uint32_t id;
	int path;		/* O_PATH descriptor: which file it is */
	int io;			/* opened for I/O; -1: not opened */
};

struct p9_server {
	const char *root;
	uint32_t msize;
	struct p9_fid fids[P9_FIDS_MAX];
};

uint64_t p9_get(struct p9_in *in, unsigned int bytes);
const uint8_t *p9_get_bytes(struct p9_in *in, size_t len);
void p9_get_text(struct p9_in *in, char *out, size_t size);
bool p9_get_name(struct p9_in *in, char *out);
void p9_put(struct p9_out *out, uint64_t v, unsigned int bytes);
void p9_put_bytes(struct p9_out *out, const void *data, size_t len);
void p9_put_text(struct p9_out *out, const char *text);
void p9_put_qid(struct p9_out *out, mode_t mode, uint64_t ino);

struct p9_fid *p9_fid_find(struct p9_server *s, uint32_t id);
struct p9_fid *p9_fid_new(struct p9_server *s, uint32_t id);
void p9_fid_drop(struct p9_fid *fid);
void p9_server_init(struct p9_server *s, const char *root);
void p9_server_fini(struct p9_server *s);
size_t p9_server_handle(struct p9_server *s, const uint8_t *t, size_t len,
			uint8_t *r);

/* Operations: 0 or an errno value; the reply's body goes to out. */
typedef int p9_op(struct p9_server *s, struct p9_fid *fid, struct p9_in *in,
		  struct p9_out *out);
p9_op p9_walk, p9_getattr, p9_setattr, p9_lopen, p9_lcreate, p9_read,
	p9_write, p9_readdir, p9_mkdir, p9_symlink, p9_readlink, p9_link,
	p9_renameat, p9_unlinkat, p9_statfs, p9_fsync;

#endif
