/* SPDX-License-Identifier: MIT */
/*
 * 9P2000.L for the host's `linux:` paths: the session and the choice of the
 * operation. Symbolic links are data: they are never followed here, the
 * client reads and resolves them. Every length and fid comes from the peer and
 * is checked before use; a request that cannot be understood gets Rlerror, a
 * stream that cannot be cut into requests ends.
 *
 * A process for each client, single thread, one request at a time; its memory
 * is static. It acts as root and checks no rights: who may connect may do
 * everything (agent.c).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "agent_9p.h"

/* Requests on an existing fid, which is their first field. What is not here,
 * locks and extended attributes among others, is EOPNOTSUPP. */
static const struct {
	uint8_t type;
	p9_op *op;
} operations[] = {
	{ P9_TWALK, op_walk },		{ P9_TGETATTR, op_getattr },
	{ P9_TSETATTR, op_setattr },	{ P9_TLOPEN, op_lopen },
	{ P9_TLCREATE, op_lcreate },	{ P9_TREAD, op_read },
	{ P9_TWRITE, op_write },	{ P9_TREADDIR, op_readdir },
	{ P9_TMKDIR, op_mkdir },	{ P9_TSYMLINK, op_symlink },
	{ P9_TREADLINK, op_readlink },	{ P9_TLINK, op_link },
	{ P9_TRENAMEAT, op_renameat },	{ P9_TUNLINKAT, op_unlinkat },
	{ P9_TSTATFS, op_statfs },	{ P9_TFSYNC, op_fsync },
};

/* Tversion starts anew: all fids are gone. A version we do not speak is
 * answered with "unknown", as the protocol wants it, and is no error. [Plan 9
 * Programmer's Manual, version(5)] */
static int version(struct p9_server *s, struct p9_reader *in, struct p9_writer *out)
{
	uint32_t msize = p9_get32(in);
	char text[32];

	p9_get_text(in, text, sizeof(text));
	if (in->bad || msize < P9_MSIZE_MIN) {
		return EINVAL;
	}
	p9_server_fini(s);
	s->msize = msize < AGENT_9P_MSIZE ? msize : AGENT_9P_MSIZE;
	p9_put32(out, s->msize);
	p9_put_text(out, strcmp(text, "9P2000.L") ? "unknown" : text);
	return 0;
}

/* Tattach: the root under the client's fid. User and name of the tree are not
 * read: there is one tree, and all is root's. */
static int attach(struct p9_server *s, struct p9_reader *in, struct p9_writer *out)
{
	uint32_t id = p9_get32(in);
	struct p9_fid *fid;
	struct stat st;

	if (in->bad) {
		return EINVAL;
	}
	fid = p9_fid_new(s, id);
	if (!fid) {
		return errno;
	}
	fid->path = open(s->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fid->path < 0 || fstat(fid->path, &st)) {
		int error = errno;

		p9_fid_drop(fid);
		return error;
	}
	p9_put_qid(out, st.st_mode, st.st_ino);
	return 0;
}

/* An operation on a fid. A fid that is not in use is EBADF, whatever else is in
 * the request. */
static int on_fid(struct p9_server *s, uint8_t type, struct p9_reader *in,
		  struct p9_writer *out)
{
	struct p9_fid *fid = p9_fid_find(s, p9_get32(in));

	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]);
	     i++) {
		if (operations[i].type == type) {
			return fid ? operations[i].op(s, fid, in, out) : EBADF;
		}
	}
	/* Tclunk is no table entry: the fid is gone when it returns. */
	if (type != P9_TCLUNK) {
		return EOPNOTSUPP;
	}
	if (!fid) {
		return EBADF;
	}
	p9_fid_drop(fid);
	return 0;
}

/* Chooses by type; 0, or an errno value for Rlerror. */
static int dispatch(struct p9_server *s, uint8_t type, struct p9_reader *in,
		    struct p9_writer *out)
{
	switch (type) {
	case P9_TVERSION:
		return version(s, in, out);
	case P9_TATTACH:
		return attach(s, in, out);
	case P9_TFLUSH:
		return 0;	/* requests are answered in order: none open */
	default:
		return on_fid(s, type, in, out);
	}
}

/**
 * Answers one request. t holds a whole message of len bytes, at least P9_HEADER
 * and at most AGENT_9P_MSIZE; the reply goes to r, which has room for
 * AGENT_9P_MSIZE bytes. Returns the reply's length, at most msize - 1. t's own
 * size field is not looked at: the caller has framed the message.
 */
size_t p9_server_handle(struct p9_server *s, const uint8_t *t, size_t len,
			uint8_t *r)
{
	struct p9_reader in = { .at = t + P9_HEADER, .end = t + len };
	uint16_t tag = agent_get_le16(t + 5);
	struct p9_writer out;
	int error;

	/* The reply's type is the request's plus one. Linux's client refuses a
	 * reply as large as msize. */
	p9_begin(&out, r, s->msize - 1, (uint8_t)(t[4] + 1), tag);
	error = dispatch(s, t[4], &in, &out);
	/* Done, but cannot be told: only possible with a tiny msize. */
	if (out.bad && !error) {
		error = EMSGSIZE;
	}
	if (error) {
		/* What was put so far is dropped. Errors are Linux's already. */
		p9_begin(&out, r, P9_MSIZE_MIN, P9_RLERROR, tag);
		p9_put32(&out, (uint32_t)error);
	}
	return p9_end(&out);
}

/**
 * Serves the directory tree at root on a connected socket until the client
 * closes it or breaks the framing. In a process of its own, whose umask and
 * signals it changes; the socket stays open.
 */
void agent_9p_serve(int sock, const char *root)
{
	static uint8_t t[AGENT_9P_MSIZE], r[AGENT_9P_MSIZE];
	static struct p9_server s;
	size_t len;

	/* Modes are the client's to choose, whole. */
	umask(0);
	signal(SIGPIPE, SIG_IGN);
	p9_server_init(&s, root);
	for (;;) {
		if (!agent_read_full(sock, t, 4)) {
			break;
		}
		len = agent_get_le32(t);
		/* The rest of the stream has no meaning after a wrong size. */
		if (len < P9_HEADER || len > s.msize ||
		    !agent_read_full(sock, t + 4, len - 4)) {
			break;
		}
		len = p9_server_handle(&s, t, len, r);
		if (!agent_write_full(sock, r, len)) {
			break;
		}
	}
	p9_server_fini(&s);
}
