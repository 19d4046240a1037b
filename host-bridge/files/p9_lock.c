/* SPDX-License-Identifier: MIT */
/*
 * 9P byte-range locks, between the sessions of a server. An owner is a session,
 * a process number and a client's name; a lock ends with the fid it was taken
 * through. A conflict is answered at once: waiting is the client's part, it
 * asks again. [Linux "fs/9p/vfs_file.c: v9fs_file_do_lock"]
 *
 * Locks are advice among clients: no read or write looks at them. All are on
 * one list, walked for each request; an owner's locks on a file never overlap
 * each other, as POSIX wants it.
 */
#include <errno.h>
#include <stdlib.h>

#include "host-bridge/files/p9_server_int.h"

#define LOCKS_MAX	4096u		/* of all sessions: see p9_quota() */

/* Reads and judges the fields that Tlock and Tgetlock share into a lock that is
 * not on the list. length 0 means to the end of the file, whatever it becomes.
 * Returns 0, EINVAL (malformed, a range beyond 2^64, a name too long to be
 * kept), or EBADF (no file, or not open). */
static int lock_read(struct p9_session *s, struct p9_reader *r, bool flags,
		     struct p9_lock *lock, struct p9_fid **fid)
{
	uint64_t length;
	struct p9_str client;
	int error = p9_fid_file(s, p9_get32(r), fid);

	*lock = (struct p9_lock){ .session = s, .type = p9_get8(r) };
	if (flags) {
		p9_get32(r);		/* whether it will ask again */
	}
	lock->start = p9_get64(r);
	length = p9_get64(r);
	lock->proc_id = p9_get32(r);
	client = p9_getstr(r);
	if (!p9_complete(r) || lock->type > P9_LOCK_UNLCK ||
	    client.len > sizeof(lock->client) ||
	    (length != 0 && length - 1 > UINT64_MAX - lock->start)) {
		return EINVAL;
	}
	if (error != 0 || !(*fid)->is_open) {
		return EBADF;
	}
	lock->end = length == 0 ? UINT64_MAX : lock->start + length - 1;
	lock->client_len = client.len;
	memcpy(lock->client, client.s, client.len);
	lock->fid = *fid;
	lock->ino = (*fid)->ino;
	return 0;
}

/* The client's name is part of it because process numbers are unique only in
 * one Linux; Linux sends its host name. */
static bool lock_same_owner(const struct p9_lock *a, const struct p9_lock *b)
{
	return a->session == b->session && a->proc_id == b->proc_id &&
	       a->client_len == b->client_len &&
	       memcmp(a->client, b->client, a->client_len) == 0;
}

/* start and end are both within: no range is empty. */
static bool lock_overlaps(const struct p9_lock *a, const struct p9_lock *b)
{
	return a->ino == b->ino && a->start <= b->end && b->start <= a->end;
}

/* A lock of somebody else's that stands against this one, or NULL: two overlap
 * and at least one is for writing. */
static const struct p9_lock *lock_conflict(const struct p9_server *server,
					   const struct p9_lock *want)
{
	for (const struct p9_lock *l = server->locks; l != NULL; l = l->next) {
		if (lock_overlaps(l, want) && !lock_same_owner(l, want) &&
		    (l->type == P9_LOCK_WRLCK ||
		     want->type == P9_LOCK_WRLCK)) {
			return l;
		}
	}
	return NULL;
}

/* Whether its user may have as many locks as he will have with this one: it is
 * one itself unless it unlocks, and it leaves one more where it cuts one of its
 * owner's in two. What it replaces counts still. */
static bool lock_fits(const struct p9_server *server,
		      const struct p9_lock *want)
{
	const struct p9_user *user = want->fid->user;
	uint32_t more = want->type != P9_LOCK_UNLCK ? 1 : 0;

	/* Far from the bound the list need not be walked. */
	if (p9_quota(user, user->locks, server->lock_count, more + 1,
		     LOCKS_MAX)) {
		return true;
	}
	for (const struct p9_lock *l = server->locks; l != NULL; l = l->next) {
		if (lock_overlaps(l, want) && lock_same_owner(l, want) &&
		    l->start < want->start && l->end > want->end) {
			more++;
		}
	}
	return more == 0 || p9_quota(user, user->locks, server->lock_count,
				     more, LOCKS_MAX);
}

static void lock_push(struct p9_server *server, struct p9_lock *to,
		      const struct p9_lock *from)
{
	*to = *from;
	to->next = server->locks;
	server->locks = to;
	server->lock_count++;
	to->fid->user->locks++;
}

/* Frees the lock that the link leads to. */
static void lock_drop(struct p9_server *server, struct p9_lock **link)
{
	struct p9_lock *l = *link;

	*link = l->next;
	server->lock_count--;
	l->fid->user->locks--;
	free(l);
}

/* Takes a range away from its owner's locks, so that the new one replaces them
 * or nothing does. spare serves if one is cut in two: it was allocated before
 * anything was changed, so that this cannot fail half way. Returns whether it
 * was used. */
static bool lock_cut(struct p9_server *server, const struct p9_lock *range,
		     struct p9_lock *spare)
{
	struct p9_lock **link = &server->locks;

	while (*link != NULL) {
		struct p9_lock *l = *link;

		if (!lock_overlaps(l, range) || !lock_same_owner(l, range)) {
			link = &l->next;
		} else if (l->start >= range->start && l->end <= range->end) {
			lock_drop(server, link);
		} else if (l->start < range->start && l->end > range->end) {
			/* The piece behind the range; it goes with the same
			 * fid. */
			lock_push(server, spare, l);
			spare->start = range->end + 1;
			l->end = range->start - 1;
			return true;	/* it was the only one here */
		} else {
			if (l->start < range->start) {
				l->end = range->start - 1;
			} else {
				l->start = range->end + 1;
			}
			link = &l->next;
		}
	}
	return false;
}

/**
 * Tlock: fid type[1] flags[4] start length[8] proc_id[4] client -> status[1].
 * P9_LOCK_BLOCKED is an answer, not an error. Both blocks of memory are taken
 * before the list is touched. ENOLCK, and nothing has changed, when there would
 * be too many locks or there is no memory; an unlock that leaves two pieces of
 * a lock may get that too. [9P2000.L "lock"]
 */
int p9_lock(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	struct p9_server *server = s->server;
	struct p9_lock want, *spare, *new;
	struct p9_fid *fid;
	int error = lock_read(s, r, true, &want, &fid);

	if (error != 0) {
		return error;
	}
	if (want.type != P9_LOCK_UNLCK &&
	    lock_conflict(server, &want) != NULL) {
		p9_put8(&p->w, P9_LOCK_BLOCKED);
		return 0;
	}
	if (!lock_fits(server, &want)) {
		return ENOLCK;
	}
	spare = malloc(sizeof(*spare));
	new = malloc(sizeof(*new));
	if (spare == NULL || new == NULL) {
		free(spare);
		free(new);
		return ENOLCK;
	}
	if (!lock_cut(server, &want, spare)) {
		free(spare);
	}
	if (want.type == P9_LOCK_UNLCK) {
		free(new);
	} else {
		lock_push(server, new, &want);
		fid->has_locks = true;
	}
	p9_put8(&p->w, P9_LOCK_SUCCESS);
	return 0;
}

/**
 * Tgetlock: as Tlock without flags -> the same of what stands against it, or
 * the question itself with type P9_LOCK_UNLCK. Only a snapshot: it may be gone
 * before the reply is read. [9P2000.L "getlock"]
 */
int p9_getlock(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	struct p9_lock want;
	const struct p9_lock *found;
	struct p9_fid *fid;
	int error = lock_read(s, r, false, &want, &fid);

	if (error != 0) {
		return error;
	}
	found = lock_conflict(s->server, &want);
	if (found == NULL) {
		want.type = P9_LOCK_UNLCK;
		found = &want;
	}
	p9_put8(&p->w, (uint8_t)found->type);
	p9_put64(&p->w, found->start);
	p9_put64(&p->w, found->end == UINT64_MAX
			? 0 : found->end - found->start + 1);
	p9_put32(&p->w, found->proc_id);
	p9_putstr(&p->w, found->client, found->client_len);
	return 0;
}

/**
 * Ends the locks that were taken through a fid, which is about to end: l->fid
 * would point nowhere.
 */
void p9_locks_drop(struct p9_session *s, const struct p9_fid *fid)
{
	struct p9_lock **link = &s->server->locks;

	while (*link != NULL) {
		struct p9_lock *l = *link;

		if (l->session == s && l->fid == fid) {
			lock_drop(s->server, link);
		} else {
			link = &l->next;
		}
	}
}

/**
 * Ends all locks of a session, in one walk: others are not to wait for them until
 * all of its fids have ended.
 */
void p9_locks_end(struct p9_session *s)
{
	struct p9_lock **link = &s->server->locks;

	while (*link != NULL) {
		if ((*link)->session == s) {
			(*link)->fid->has_locks = false;
			lock_drop(s->server, link);
		} else {
			link = &(*link)->next;
		}
	}
}
