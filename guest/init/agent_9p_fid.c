/* SPDX-License-Identifier: MIT */
/*
 * The fids of a 9P session: numbers that the client chose, each for a file. The
 * table is the session's and of fixed size.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent_9p.h"

/**
 * The fid in use under this number, or NULL. A linear search: the client has a
 * few at a time.
 */
struct p9_fid *p9_fid_find(struct p9_server *s, uint32_t id)
{
	for (size_t i = 0; i < P9_FIDS_MAX; i++) {
		if (s->fids[i].used && s->fids[i].id == id) {
			return &s->fids[i];
		}
	}
	return NULL;
}

/**
 * A free fid under a number that is not in use, without descriptors; NULL with
 * errno set: EINVAL (number taken, or NOFID), ENFILE (P9_FIDS_MAX are in use).
 */
struct p9_fid *p9_fid_new(struct p9_server *s, uint32_t id)
{
	if (id == P9_NOFID || p9_fid_find(s, id)) {
		errno = EINVAL;
		return NULL;
	}
	for (size_t i = 0; i < P9_FIDS_MAX; i++) {
		if (!s->fids[i].used) {
			s->fids[i] = (struct p9_fid){
				.used = true, .id = id, .path = -1, .io = -1 };
			return &s->fids[i];
		}
	}
	errno = ENFILE;
	return NULL;
}

/** Closes a fid and frees its number; *fid may be another's next. */
void p9_fid_drop(struct p9_fid *fid)
{
	if (fid->path >= 0) {
		close(fid->path);
	}
	if (fid->io >= 0) {
		close(fid->io);
	}
	fid->used = false;
}

/**
 * Starts a session with no fids whose tree is the directory root (a path that
 * must stay valid).
 */
void p9_server_init(struct p9_server *s, const char *root)
{
	memset(s, 0, sizeof(*s));
	s->root = root;
	s->msize = AGENT_9P_MSIZE;
}

/** Drops every fid; the server can go on with new ones. */
void p9_server_fini(struct p9_server *s)
{
	for (size_t i = 0; i < P9_FIDS_MAX; i++) {
		if (s->fids[i].used) {
			p9_fid_drop(&s->fids[i]);
		}
	}
}
