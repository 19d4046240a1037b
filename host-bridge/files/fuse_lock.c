/* SPDX-License-Identifier: MIT */
/*
 * Locks, of two kinds that do not see each other: those of flock(2), of whole
 * files, and those of fcntl(2), of bytes. They are between all sessions of a
 * server. An owner is a session and a number that Linux gives to an open file
 * (flock, and F_OFD_SETLK of fcntl) or to a process's files (fcntl). Locks are
 * advice: no read or write looks at them.
 *
 * Who waits for a lock is answered when he has it, by whatever frees it. Those
 * that wait for the same get it in the order in which they came.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/files/fuse_lock_int.h"
#include "host-bridge/files/fuse_ops.h"
#include "host-bridge/rt/container.h"

/* How far a circle of owners that wait is followed. */
#define OWNERS_MAX	32u
#define STEPS_MAX	20000u

struct fuse_wait {
	struct fuse_later later;
	struct fuse_wait *next;		/* of its file, first come first */
	struct fuse_lock_file *file;
	struct fuse_lock want;
	unsigned kind;
};

/* Frees what waits, when it is on no list any more. */
static void wait_free(struct fuse_wait *wait)
{
	struct fuse_session *s = wait->later.session;

	wait->want.node->locks--;
	wait->want.user->waits--;
	s->wait_count--;
	fuse_user_put(s, wait->want.user);
	free(wait);
}

/* Answers those that get what they wait for now. */
static void wake(struct fuse_lock_file *file)
{
	struct fuse_wait **link = &file->waits;

	while (*link != NULL) {
		struct fuse_wait *wait = *link;
		int error = fuse_lock_file_set(file, wait->kind, &wait->want);

		if (error == EAGAIN) {
			link = &wait->next;
			continue;
		}
		*link = wait->next;
		fuse_later_answer(&wait->later, error);
		wait_free(wait);
	}
}

/* Nobody waits any more: it is on its file's list only. */
static void wait_end(struct fuse_wait *wait)
{
	struct fuse_wait **link = &wait->file->waits;

	while (*link != wait) {
		link = &(*link)->next;
	}
	*link = wait->next;
	wait_free(wait);
}

/* Given up, or its connection is lost: fuse_later.cancel. */
static void wait_cancel(struct fuse_later *later)
{
	struct fuse_wait *wait = CONTAINER(later, struct fuse_wait, later);
	struct fuse_server *server = later->session->server;
	struct fuse_lock_file *file = wait->file;

	wait_end(wait);
	fuse_lock_file_put(server, file);
}

/* Owners, each once. */
struct owners {
	const struct fuse_lock *of[OWNERS_MAX];
	unsigned count, steps;
};

/* Adds those whose locks stand against one that is wanted. Whether that is its
 * own who began. */
static bool add_owners(struct owners *o, const struct fuse_lock *l,
		       const struct fuse_lock *want,
		       const struct fuse_lock *began)
{
	for (; l != NULL && o->steps < STEPS_MAX; l = l->next) {
		unsigned i = 0;

		o->steps++;
		if (!fuse_lock_against(l, want)) {
			continue;
		}
		if (fuse_lock_same_owner(l, began)) {
			return true;
		}
		while (i < o->count && !fuse_lock_same_owner(o->of[i], l)) {
			i++;
		}
		if (i == o->count && i < OWNERS_MAX) {
			o->of[o->count++] = l;
		}
	}
	return false;
}

/* Whether who has what is wanted waits, at the end of a chain, for who wants it.
 * A chain that is too long is not followed to its end, as in Linux. */
static bool is_deadlock(const struct fuse_lock_file *file,
			const struct fuse_lock *want)
{
	struct owners o = { .count = 0 };

	(void)add_owners(&o, file->locks[0], want, want);
	for (unsigned i = 0; i < o.count; i++) {
		const struct fuse_later *later = o.of[i]->session->later;

		for (; later != NULL; later = later->next) {
			const struct fuse_wait *wait = (const void *)later;

			if (later->cancel == wait_cancel && wait->kind == 0 &&
			    fuse_lock_same_owner(&wait->want, o.of[i]) &&
			    add_owners(&o, wait->file->locks[0], &wait->want,
				       want)) {
				return true;
			}
		}
	}
	return false;
}

/* Lets a request wait. Returns FUSE_LATER, EDEADLK or ENOLCK. */
static int wait_for(struct fuse_request *r, struct fuse_lock_file *file,
		    unsigned kind, const struct fuse_lock *want)
{
	struct fuse_session *s = r->session;
	struct fuse_wait **link = &file->waits, *wait;

	if (kind == 0 && is_deadlock(file, want)) {
		return EDEADLK;
	}
	if (!fuse_quota(want->user, want->user->waits, s->wait_count, 1,
			FUSE_WAITS_MAX)) {
		return ENOLCK;
	}
	wait = malloc(sizeof(*wait));
	if (wait == NULL) {
		return ENOLCK;
	}
	*wait = (struct fuse_wait){
		.file = file, .want = *want, .kind = kind,
		.later = { .cancel = wait_cancel },
	};
	if (!fuse_later_add(s, &wait->later, &r->in)) {
		free(wait);
		return ENOLCK;
	}
	while (*link != NULL) {
		link = &(*link)->next;
	}
	*link = wait;
	want->node->locks++;
	want->user->waits++;
	s->wait_count++;
	return FUSE_LATER;
}

/* Reads and judges a fuse_lk_in. Returns 0, EINVAL or ENOLCK (no memory); with 0
 * lock_done() is due. */
static int lock_read(struct fuse_request *r, struct fuse_lock *lock,
		     unsigned *kind)
{
	const struct fuse_lk_in *in = r->arg;

	if (in->lk.type > FUSE_UNLCK || in->lk.start > in->lk.end ||
	    in->lk.end > INT64_MAX || (in->lk_flags & ~FUSE_LK_FLOCK) != 0) {
		return EINVAL;
	}
	*kind = (in->lk_flags & FUSE_LK_FLOCK) != 0 ? 1 : 0;
	*lock = (struct fuse_lock){
		.session = r->session, .node = r->node, .owner = in->owner,
		.fh = in->fh,
		.start = in->lk.start, .end = in->lk.end,
		.type = in->lk.type, .pid = in->lk.pid,
		.user = fuse_user_get(r->session, r->in.uid),
	};
	if (*kind == 1) {
		lock->start = 0;
		lock->end = INT64_MAX;
	}
	if (lock->user == NULL) {
		return ENOLCK;
	}
	/* His only lock may go before he gets another. */
	lock->user->busy++;
	return 0;
}

static void lock_done(const struct fuse_lock *lock)
{
	lock->user->busy--;
	fuse_user_put(lock->session, lock->user);
}

static int lock_set(struct fuse_request *r, bool waits)
{
	struct fuse_server *server = r->session->server;
	struct fuse_lock_file *file;
	struct fuse_lock want;
	unsigned kind;
	int error = lock_read(r, &want, &kind);

	if (error != 0) {
		return error;
	}
	file = fuse_lock_file_get(server, r->node->ino);
	error = file == NULL ? ENOLCK : fuse_lock_file_set(file, kind, &want);
	if (file != NULL) {
		wake(file);
	}
	if (error == EAGAIN && waits) {
		error = wait_for(r, file, kind, &want);
	}
	if (file != NULL) {
		fuse_lock_file_put(server, file);
	}
	lock_done(&want);
	return error;
}

/** SETLK: fuse_lk_in. EAGAIN when somebody else's lock is in the way. */
int fuse_lock_set(struct fuse_request *r)
{
	return lock_set(r, false);
}

/** SETLKW: the same, and waits; EDEADLK if that could have no end. */
int fuse_lock_wait(struct fuse_request *r)
{
	return lock_set(r, true);
}

/**
 * GETLK: fuse_lk_in -> fuse_lk_out: a lock that is in the way, or none (F_UNLCK).
 * The number of its process means something only to the Linux whose it is.
 */
int fuse_lock_get(struct fuse_request *r)
{
	struct fuse_lk_out *out = (void *)r->out;
	const struct fuse_lk_in *in = r->arg;
	const struct fuse_lock *l = NULL;
	struct fuse_lock_file *file;
	struct fuse_lock want;
	unsigned kind;
	int error = lock_read(r, &want, &kind);

	if (error != 0) {
		return error;
	}
	file = fuse_lock_file_find(r->session->server, r->node->ino);
	if (file != NULL && want.type != FUSE_UNLCK) {
		l = fuse_lock_conflict(file->locks[kind], &want);
	}
	out->lk = in->lk;
	out->lk.type = FUSE_UNLCK;
	if (l != NULL) {
		out->lk = (struct fuse_file_lock){
			.start = l->start, .end = l->end, .type = l->type,
			.pid = l->session->peer == r->session->peer ? l->pid
								    : 0,
		};
	}
	r->out_len = sizeof(*out);
	lock_done(&want);
	return 0;
}

/**
 * An owner's locks of one kind on a file are over: FLUSH, RELEASE. Those who
 * wait for them get them.
 */
void fuse_lock_release(struct fuse_session *s, struct fuse_node *node,
		       uint64_t owner, bool flock)
{
	struct fuse_lock who = { .session = s, .owner = owner };
	struct fuse_lock_file *file;
	struct fuse_lock **link;

	if (node->locks == 0) {
		return;
	}
	file = fuse_lock_file_find(s->server, node->ino);
	link = &file->locks[flock ? 1 : 0];
	while (*link != NULL) {
		if (fuse_lock_same_owner(*link, &who)) {
			fuse_lock_drop(link);
		} else {
			link = &(*link)->next;
		}
	}
	wake(file);
	fuse_lock_file_put(s->server, file);
}

/* The next wait, from link on, of a file that was opened; NULL: none. */
static struct fuse_wait *wait_through(struct fuse_wait *wait,
				      const struct fuse_session *s, uint64_t fh)
{
	while (wait != NULL && (wait->want.session != s ||
				wait->want.fh != fh)) {
		wait = wait->next;
	}
	return wait;
}

/**
 * What was opened under that number is closed: its locks are over, and nobody
 * waits for one for it. Those of a process have ended before, by FLUSH; of an
 * open file's own Linux says no more than this.
 */
void fuse_lock_close(struct fuse_session *s, struct fuse_node *node,
		     uint64_t fh)
{
	struct fuse_lock_file *file;
	struct fuse_wait *wait;

	if (node->locks == 0) {
		return;
	}
	file = fuse_lock_file_find(s->server, node->ino);
	while ((wait = wait_through(file->waits, s, fh)) != NULL) {
		fuse_later_answer(&wait->later, EINTR);
		wait_end(wait);
	}
	for (unsigned kind = 0; kind < FUSE_LOCK_KINDS; kind++) {
		struct fuse_lock **link = &file->locks[kind];

		while (*link != NULL) {
			if ((*link)->session == s && (*link)->fh == fh) {
				fuse_lock_drop(link);
			} else {
				link = &(*link)->next;
			}
		}
	}
	wake(file);
	fuse_lock_file_put(s->server, file);
}

/* Ends a session's locks on a file. */
static void end_on_file(struct fuse_session *s, struct fuse_lock_file *file)
{
	for (unsigned kind = 0; kind < FUSE_LOCK_KINDS; kind++) {
		struct fuse_lock **link = &file->locks[kind];

		while (*link != NULL) {
			if ((*link)->session == s) {
				fuse_lock_drop(link);
			} else {
				link = &(*link)->next;
			}
		}
	}
	wake(file);
	fuse_lock_file_put(s->server, file);
}

/**
 * All locks of a session are over, and it waits for none any more. In one walk:
 * others are not to wait until all of its nodes have ended.
 */
void fuse_lock_end_session(struct fuse_session *s)
{
	for (unsigned i = 0; i < FUSE_LOCK_FILES && s->lock_count > 0; i++) {
		struct fuse_lock_file *file = s->server->lock_files[i];

		while (file != NULL) {
			struct fuse_lock_file *next = file->next;

			end_on_file(s, file);
			file = next;
		}
	}
}

/** The server is over, and all its sessions are. */
void fuse_lock_free(struct fuse_server *server)
{
	free(server->lock_files);
}
