/* SPDX-License-Identifier: MIT */
/*
 * One request: what form it has, who carries it out, its reply. A handler finds
 * its arguments checked as far as a table can say it; what the fields mean is its
 * own. What is not in the table is answered with ENOSYS, by which Linux knows not
 * to ask again.
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/files/fuse_ops.h"
#include "host-bridge/files/linux_errno.h"

#define NODE	FUSE_OP_NODE
#define KEPT	FUSE_OP_KEPT
#define SILENT	FUSE_OP_SILENT
#define DATA	FUSE_OP_DATA
#define NAMES	(FUSE_OP_NAMES | FUSE_OP_CHANGES)
#define CHANGES	FUSE_OP_CHANGES
#define LOCKS	FUSE_OP_LOCKS

struct op {
	fuse_handler run;
	uint16_t size;			/* of the fixed part */
	uint8_t names, flags;
};

/* WRITE has its data behind it and is fuse_conn.c's; HELLO and DESTROY are too.
 * INIT and SETXATTR have forms of two lengths, and check it themselves. */
static const struct op ops[FUSE_OPCODES] = {
	[FUSE_LOOKUP] = { fuse_lookup, 0, 1, NODE | KEPT },
	[FUSE_FORGET] = { fuse_forget, sizeof(struct fuse_forget_in), 0,
			  SILENT },
	[FUSE_GETATTR] = { fuse_getattr, sizeof(struct fuse_getattr_in), 0,
			   NODE },
	[FUSE_SETATTR] = { fuse_setattr, sizeof(struct fuse_setattr_in), 0,
			   NODE | KEPT | CHANGES },
	[FUSE_READLINK] = { fuse_readlink, 0, 0, NODE },
	[FUSE_SYMLINK] = { fuse_symlink, 0, 2, NODE | KEPT | NAMES },
	[FUSE_MKNOD] = { fuse_mknod, sizeof(struct fuse_mknod_in), 1,
			 NODE | KEPT | NAMES },
	[FUSE_MKDIR] = { fuse_mkdir, sizeof(struct fuse_mkdir_in), 1,
			 NODE | KEPT | NAMES },
	[FUSE_UNLINK] = { fuse_unlink, 0, 1, NODE | KEPT | NAMES },
	[FUSE_RMDIR] = { fuse_rmdir, 0, 1, NODE | KEPT | NAMES },
	[FUSE_RENAME] = { fuse_rename, sizeof(struct fuse_rename_in), 2,
			  NODE | KEPT | NAMES },
	[FUSE_LINK] = { fuse_link, sizeof(struct fuse_link_in), 1,
			NODE | KEPT | NAMES },
	[FUSE_OPEN] = { fuse_open, sizeof(struct fuse_open_in), 0,
			NODE | KEPT },
	[FUSE_READ] = { fuse_read, sizeof(struct fuse_read_in), 0, NODE },
	[FUSE_STATFS] = { fuse_statfs, 0, 0, 0 },
	[FUSE_RELEASE] = { fuse_release, sizeof(struct fuse_release_in), 0,
			   NODE | KEPT },
	[FUSE_FSYNC] = { fuse_fsync, sizeof(struct fuse_fsync_in), 0, NODE },
	[FUSE_SETXATTR] = { fuse_setxattr, 0, 0,
			    NODE | KEPT | DATA | CHANGES },
	[FUSE_GETXATTR] = { fuse_getxattr, sizeof(struct fuse_getxattr_in), 1,
			    NODE },
	[FUSE_LISTXATTR] = { fuse_listxattr, sizeof(struct fuse_getxattr_in),
			     0, NODE },
	[FUSE_REMOVEXATTR] = { fuse_removexattr, 0, 1,
			       NODE | KEPT | CHANGES },
	[FUSE_FLUSH] = { fuse_flush, sizeof(struct fuse_flush_in), 0, NODE },
	[FUSE_INIT] = { fuse_init, 0, 0, KEPT | DATA },
	[FUSE_READDIR] = { fuse_readdir, sizeof(struct fuse_read_in), 0,
			   NODE },
	[FUSE_FSYNCDIR] = { fuse_fsync, sizeof(struct fuse_fsync_in), 0,
			    NODE },
	[FUSE_GETLK] = { fuse_lock_get, sizeof(struct fuse_lk_in), 0,
			 NODE | LOCKS },
	/* Not kept: one that unlocks answers any number of others. */
	[FUSE_SETLK] = { fuse_lock_set, sizeof(struct fuse_lk_in), 0,
			 NODE | LOCKS },
	[FUSE_SETLKW] = { fuse_lock_wait, sizeof(struct fuse_lk_in), 0,
			  NODE | LOCKS },
	[FUSE_CREATE] = { fuse_create, sizeof(struct fuse_create_in), 1,
			  NODE | KEPT | NAMES },
	[FUSE_INTERRUPT] = { fuse_interrupt, sizeof(struct fuse_interrupt_in),
			     0, SILENT },
	[FUSE_IOCTL] = { fuse_ioctl, sizeof(struct fuse_ioctl_in), 0,
			 NODE | KEPT | DATA },
	[FUSE_NOTIFY_REPLY] = { fuse_notify_reply,
				sizeof(struct fuse_channel_done), 0, SILENT },
	[FUSE_BATCH_FORGET] = { fuse_batch_forget,
				sizeof(struct fuse_batch_forget_in), 0,
				SILENT | DATA },
	[FUSE_FALLOCATE] = { fuse_fallocate, sizeof(struct fuse_fallocate_in),
			     0, NODE | KEPT | CHANGES },
	[FUSE_LSEEK] = { fuse_lseek, sizeof(struct fuse_lseek_in), 0, NODE },
	[FUSE_COPY_FILE_RANGE] = { fuse_copy_file_range,
				   sizeof(struct fuse_copy_file_range_in), 0,
				   NODE | KEPT | CHANGES },
	[FUSE_READDIRPLUS] = { fuse_readdirplus, sizeof(struct fuse_read_in),
			       0, NODE | KEPT },
	[FUSE_RENAME2] = { fuse_rename2, sizeof(struct fuse_rename2_in), 2,
			   NODE | KEPT | NAMES },
	[FUSE_TMPFILE] = { fuse_tmpfile, sizeof(struct fuse_create_in), 1,
			   NODE | KEPT | CHANGES },
	[FUSE_SYNCFS] = { fuse_syncfs, 8, 0, 0 },
	[FUSE_STATX] = { fuse_statx, sizeof(struct fuse_statx_in), 0, NODE },
};

static const struct op *op_of(uint32_t opcode)
{
	return opcode < FUSE_OPCODES && ops[opcode].run != NULL ? &ops[opcode]
								: NULL;
}

/** What an opcode is: FUSE_OP_. */
unsigned fuse_request_flags(uint32_t opcode)
{
	const struct op *op = op_of(opcode);

	if (opcode == FUSE_WRITE) {
		return NODE | KEPT | DATA | CHANGES;
	}
	return op != NULL ? op->flags : 0;
}

/**
 * A request of that header, and its reply, in the server's one place for that: it
 * is to be done before another begins.
 */
void fuse_request_begin(struct fuse_request *r, struct fuse_session *s,
			const struct fuse_in_header *in)
{
	*r = (struct fuse_request){
		.session = s, .vol = s->vol, .in = *in,
		.out = s->server->reply + sizeof(struct fuse_out_header),
	};
}

/* What is true now: behind the reply. Whether there is anything. */
static bool put_more(struct fuse_request *r)
{
	struct fuse_channel_room *room = (void *)(r->out + r->out_len);

	if (r->in.opcode == FUSE_WRITE) {
		room->blocks = fuse_room(r->vol);
		r->out_len += sizeof(*room);
		return true;
	}
	if ((fuse_request_flags(r->in.opcode) & FUSE_OP_NAMES) != 0) {
		fuse_dirs_put(r);
		return true;
	}
	return false;
}

/**
 * Sends the reply, or hands it to who wants it to wait. error is the handler's,
 * with what it has left in r.
 */
void fuse_request_done(struct fuse_request *r, int error)
{
	struct fuse_session *s = r->session;
	struct fuse_server *server = s->server;
	struct volume_seg *segs = server->segs;
	struct fuse_later_reply **list = fuse_coherence_after(r, error);
	struct fuse_out_header header = { .unique = r->in.unique };
	uint64_t round = fuse_lasting_round(r, error);

	if (error != 0) {
		header.error = -linux_errno(error);
		r->out_len = 0;
		r->seg_count = 0;
		r->seg_bytes = 0;
	}
	header.len = (uint32_t)(sizeof(header) + r->out_len + r->seg_bytes);
	memcpy(server->reply, &header, sizeof(header));
	segs[0].data = server->reply;
	segs[0].len = sizeof(header) + r->out_len;
	if (list == NULL && round != 0) {
		list = fuse_lasting_list(server);
	}
	if (list != NULL) {
		/* It was carried out, and nobody may know before the others
		 * do: then better never. */
		if (!fuse_later_reply(r, segs, r->seg_count + 1, list, round)) {
			fuse_cut_off(s);
		}
		return;
	}
	if ((fuse_request_flags(r->in.opcode) & KEPT) != 0) {
		fuse_kept_add(s, segs, r->seg_count + 1,
			      fuse_legacy_answer(s, segs, r->seg_count + 1, 0));
	}
	/* Not kept: when it comes again they may be different. */
	if (error == 0 && put_more(r)) {
		header.len = (uint32_t)(sizeof(header) + r->out_len);
		memcpy(server->reply, &header, sizeof(header));
		segs[0].len = header.len;
	}
	fuse_send(s, segs, r->seg_count + 1);
}

/* A name of the body, of which left bytes are there; 0 or EINVAL. How long it may
 * be, and of what, is the volume's to say. */
static int take_name(struct fuse_name *name, const char *at, uint32_t left,
		     uint32_t *used)
{
	const char *end = memchr(at, '\0', left);

	if (end == NULL) {
		return EINVAL;
	}
	name->s = at;
	name->len = (size_t)(end - at);
	*used = (uint32_t)name->len + 1;
	return 0;
}

/* Takes a body apart as the table says. 0 or EINVAL. */
static int take_apart(struct fuse_request *r, const struct op *op,
		      const uint8_t *body, uint32_t len)
{
	uint32_t at = op->size;

	/* Extensions are for what we have not said at INIT. */
	if (len < at || r->in.total_extlen != 0) {
		return EINVAL;
	}
	r->arg = body;
	for (unsigned i = 0; i < op->names; i++) {
		uint32_t used;

		if (take_name(&r->name[i], (const char *)body + at, len - at,
			      &used) != 0) {
			return EINVAL;
		}
		at += used;
	}
	r->data = body + at;
	r->data_len = len - at;
	return r->data_len == 0 || (op->flags & DATA) != 0 ? 0 : EINVAL;
}

/* Whether it may be carried out; 0 or an errno value. */
static int check(struct fuse_request *r, const struct op *op,
		 const uint8_t *body, uint32_t len)
{
	struct fuse_session *s = r->session;
	int error;

	if (op == NULL) {
		return ENOSYS;
	}
	if ((s->minor == 0) != (r->in.opcode == FUSE_INIT)) {
		return EPROTO;
	}
	/* Who may change nothing may hold up nobody who does, either. */
	if (s->read_only && (op->flags & LOCKS) != 0) {
		return EROFS;
	}
	error = take_apart(r, op, body, len);
	if (error == 0 && (op->flags & SILENT) == 0) {
		error = fuse_again_turn(r, (op->flags & CHANGES) != 0);
	}
	if (error == 0 && (op->flags & NODE) != 0) {
		error = fuse_node_get(s, r->in.nodeid, r->in.uid, &r->node);
	}
	return error;
}

/**
 * Carries a request out, and answers it, unless it has to wait or has no reply.
 * body is aligned to 8 bytes and stays as it is meanwhile.
 */
void fuse_request_run(struct fuse_request *r, const void *body, uint32_t len)
{
	const struct op *op = op_of(r->in.opcode);
	int error = check(r, op, body, len);
	bool waits = error == EAGAIN;

	if (error == 0) {
		error = op->run(r);
		waits = error == EAGAIN && r->again != NULL &&
			(op->flags & LOCKS) == 0;
	}
	if (waits) {
		error = fuse_again_put(r, body, len);
		error = error == 0 ? FUSE_LATER : error;
	}
	if (error != FUSE_LATER && (op == NULL || (op->flags & SILENT) == 0)) {
		fuse_request_done(r, error);
	}
	/* It may have been the last use of one that is forgotten. */
	if (r->node != NULL) {
		fuse_node_put(r->session, r->node);
	}
	fuse_again_end(r->again);
}
