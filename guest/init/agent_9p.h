/* SPDX-License-Identifier: MIT */
/*
 * The agent's 9P2000.L server, inside, each of which calls only what stands
 * before it: fields (agent_9p_text.c), fids (agent_9p_fid.c), the operations on
 * files (agent_9p_ops.c), session and dispatch (agent_9p.c). One client, one
 * request at a time, single thread.
 */
#ifndef GUEST_AGENT_9P_H
#define GUEST_AGENT_9P_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "proto/p9.h"

#define AGENT_9P_MSIZE	131072u
#define P9_FIDS_MAX	256u

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

void p9_get_text(struct p9_reader *in, char *out, size_t size);
bool p9_get_name(struct p9_reader *in, char *out);
void p9_put_text(struct p9_writer *out, const char *text);
struct p9_qid agent_qid(mode_t mode, uint64_t ino);
void p9_put_qid(struct p9_writer *out, mode_t mode, uint64_t ino);

struct p9_fid *p9_fid_find(struct p9_server *s, uint32_t id);
struct p9_fid *p9_fid_new(struct p9_server *s, uint32_t id);
void p9_fid_drop(struct p9_fid *fid);
void p9_server_init(struct p9_server *s, const char *root);
void p9_server_fini(struct p9_server *s);
size_t p9_server_handle(struct p9_server *s, const uint8_t *t, size_t len,
			uint8_t *r);

/* Operations: 0 or an errno value; the reply's body goes to out. */
typedef int p9_op(struct p9_server *s, struct p9_fid *fid, struct p9_reader *in,
		  struct p9_writer *out);
p9_op op_walk, op_getattr, op_setattr, op_lopen, op_lcreate, op_read,
	op_write, op_readdir, op_mkdir, op_symlink, op_readlink, op_link,
	op_renameat, op_unlinkat, op_statfs, op_fsync;

#endif
