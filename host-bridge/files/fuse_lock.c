/* SPDX-License-Identifier: MIT */
/*
 * Locks, of two kinds that do not see each other: those of flock(2), of whole
 * files, and those of fcntl(2), of bytes. They are between all sessions of a
 * server. An owner is a session and a number that Linux gives to an open file
 * (flock) or to a process's files (fcntl). Locks are advice: no read or write
 * looks at them.
 *
 * Who waits for a lock is answered when he has it, by whatever frees it. Those
 * that wait for the same get it in the order in which they came.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/files/fuse_ops.h"
#include "host-bridge/rt/container.h"

#define FILE_BITS	8u
#define FILES		(1u << FILE_BITS)
#define RDLCK		0u
#define WRLCK		1u
#define UNLCK		2u
#define KINDS		2u		/* 0: fcntl's, 1: flock's */
/* How far a circle of owners that wait is followed. */
#define OWNERS_MAX	32u
#define STEPS_MAX	20000u

struct fuse_lock {
	struct fuse_lock *next;		/* of its file and kind */
	struct fuse_session *session;
	struct fuse_node *node;		/* the session's */
	struct fuse_user *user;
	uint64_t owner;
	uint64_t start, end;		/* first and last byte */
	uint32_t type, pid;
};

struct fuse_wait {
	struct fuse_later later;
	struct fuse_wait *next;		/* of its file, first come first */
	struct fuse_lock_file *file;
	struct fuse_lock want;
	unsigned kind;
};

/* A file with locks: there is one as long as there are any. */
struct fuse_lock_file {
	struct fuse_lock_file *next;	/* in its hash chain */
	uint32_t ino;
	struct fuse_lock *locks[KINDS];
	struct fuse_wait *waits;
};

static struct fuse_lock_file **bucket_of(struct fuse_server *server,
					 uint32_t ino)
{
	return &server->lock_files[seed_bucket(server->lock_seed, ino,
					       FILE_BITS)];
}

static struct fuse_lock_file *file_find(struct fuse_server *server,
					uint32_t ino)
{
	struct fuse_lock_file *file =
		server->lock_files == NULL ? NULL : *bucket_of(server, ino);

	while (file != NULL && file->ino != ino) {
		file = file->next;
	}
	return file;
}

/* The file, made if need be; NULL: no memory. */
static struct fuse_lock_file *file_get(struct fuse_server *server,
				       uint32_t ino)
{
	struct fuse_lock_file *file = file_find(server, ino);

	if (file != NULL) {
		return file;
	}
	if (server->lock_files == NULL) {
		server->lock_files = calloc(FILES,
					    sizeof(struct fuse_lock_file *));
	}
	if (server->lock_files != NULL) {
		file = calloc(1, sizeof(*file));
	}
	if (file != NULL) {
		file->ino = ino;
		file->next = *bucket_of(server, ino);
		*bucket_of(server, ino) = file;
	}
	return file;
}

/* Forgets a file without locks. */
static void file_put(struct fuse_server *server, struct fuse_lock_file *file)
{
	struct fuse_lock_file **link = bucket_of(server, file->ino);

	if (file->locks[0] != NULL || file->locks[1] != NULL ||
	    file->waits != NULL) {
		return;
	}
	while (*link != file) {
		link = &(*link)->next;
	}
	*link = file->next;
	free(file);
}

static bool same_owner(const struct fuse_lock *a, const struct fuse_lock *b)
{
	return a->session == b->session && a->owner == b->owner;
}

/* start and end are both within: no range is empty. */
static bool overlap(const struct fuse_lock *a, const struct fuse_lock *b)
{
	return a->start <= b->end && b->start <= a->end;
}

/* Whether a lock that there is stands against one that is wanted. */
static bool against(const struct fuse_lock *l, const struct fuse_lock *want)
{
	return overlap(l, want) && !same_owner(l, want) &&
	       (l->type == WRLCK || want->type == WRLCK);
}

/* The first one that does, or NULL. */
static const struct fuse_lock *conflict(const struct fuse_lock *l,
					const struct fuse_lock *want)
{
	while (l != NULL && !against(l, want)) {
		l = l->next;
	}
	return l;
}

/* Counts a lock or a wait for its session, its node and its user. */
static void count(const struct fuse_lock *lock, int change)
{
	lock->session->lock_count += (uint32_t)change;
	lock->node->locks += (uint32_t)change;
	lock->user->locks += (uint32_t)change;
	if (change < 0) {
		fuse_user_put(lock->session, lock->user);
	}
}

static void lock_push(struct fuse_lock **list, struct fuse_lock *to,
		      const struct fuse_lock *from)
{
	*to = *from;
	to->next = *list;
	*list = to;
	count(to, +1);
}

/* Frees the lock that link leads to. */
static void lock_drop(struct fuse_lock **link)
{
	struct fuse_lock *l = *link;

	*link = l->next;
	count(l, -1);
	free(l);
}

/* Whether one more, or two, may be had. */
static bool fits(const struct fuse_lock *want, uint32_t more)
{
	return more == 0 || fuse_quota(want->user, want->user->locks,
				       want->session->lock_count, more,
				       FUSE_LOCKS_MAX);
}

/* A whole file's: the owner's old one goes first, whether he gets the new one or
 * not, as in Linux. Returns 0, EAGAIN or ENOLCK. */
static int set_flock(struct fuse_lock_file *file, struct fuse_lock *want)
{
	struct fuse_lock **link = &file->locks[1], *new;

	while (*link != NULL && !same_owner(*link, want)) {
		link = &(*link)->next;
	}
	if (*link != NULL) {
		if ((*link)->type == want->type) {
			return 0;
		}
		lock_drop(link);
	}
	if (want->type == UNLCK) {
		return 0;
	}
	if (conflict(file->locks[1], want) != NULL) {
		return EAGAIN;
	}
	new = fits(want, 1) ? malloc(sizeof(*new)) : NULL;
	if (new == NULL) {
		return ENOLCK;
	}
	lock_push(&file->locks[1], new, want);
	return 0;
}

/* Takes a range out of its owner's locks, or joins them to it if they are of the
 * same type and touch it. spare serves if one is cut in two. Returns whether it
 * was used. */
static bool range_cut(struct fuse_lock **link, struct fuse_lock *want,
		      struct fuse_lock *spare)
{
	bool used = false;

	while (*link != NULL) {
		struct fuse_lock *l = *link;
		bool touches = overlap(l, want) || l->end + 1 == want->start ||
			       want->end + 1 == l->start;

		if (!same_owner(l, want) || !touches) {
			link = &l->next;
		} else if (l->type == want->type) {
			want->start = l->start < want->start ? l->start
							     : want->start;
			want->end = l->end > want->end ? l->end : want->end;
			lock_drop(link);
		} else if (!overlap(l, want)) {
			link = &l->next;
		} else if (l->start < want->start && l->end > want->end) {
			lock_push(&l->next, spare, l);
			spare->start = want->end + 1;
			l->end = want->start - 1;
			used = true;
			link = &spare->next;
		} else if (l->start < want->start) {
			l->end = want->start - 1;
			link = &l->next;
		} else if (l->end > want->end) {
			l->start = want->end + 1;
			link = &l->next;
		} else {
			lock_drop(link);
		}
	}
	return used;
}

/* Whether a range cuts one of its owner's in two. */
static bool splits(const struct fuse_lock *l, const struct fuse_lock *want)
{
	while (l != NULL && !(same_owner(l, want) && l->type != want->type &&
			      l->start < want->start && l->end > want->end)) {
		l = l->next;
	}
	return l != NULL;
}

/* A range of bytes. Returns 0, EAGAIN or ENOLCK; then nothing has changed. */
static int set_range(struct fuse_lock_file *file, const struct fuse_lock *wish)
{
	struct fuse_lock want = *wish;
	struct fuse_lock *new = NULL, *spare = NULL;
	bool split, adds = want.type != UNLCK;

	if (adds && conflict(file->locks[0], &want) != NULL) {
		return EAGAIN;
	}
	split = splits(file->locks[0], &want);
	if (fits(&want, (adds ? 1 : 0) + (split ? 1 : 0))) {
		new = adds ? malloc(sizeof(*new)) : NULL;
		spare = split ? malloc(sizeof(*spare)) : NULL;
	}
	if ((adds && new == NULL) || (split && spare == NULL)) {
		free(new);
		free(spare);
		return ENOLCK;
	}
	(void)range_cut(&file->locks[0], &want, spare);
	if (adds) {
		lock_push(&file->locks[0], new, &want);
	}
	return 0;
}

static int set(struct fuse_lock_file *file, unsigned kind,
	       struct fuse_lock *want)
{
	return kind == 1 ? set_flock(file, want) : set_range(file, want);
}

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
		int error = set(file, wait->kind, &wait->want);

		if (error == EAGAIN) {
			link = &wait->next;
			continue;
		}
		*link = wait->next;
		fuse_later_answer(&wait->later, error);
		wait_free(wait);
	}
}

/* Given up, or its connection is lost: fuse_later.cancel. */
static void wait_cancel(struct fuse_later *later)
{
	struct fuse_wait *wait = CONTAINER(later, struct fuse_wait, later);
	struct fuse_server *server = later->session->server;
	struct fuse_lock_file *file = wait->file;
	struct fuse_wait **link = &file->waits;

	while (*link != wait) {
		link = &(*link)->next;
	}
	*link = wait->next;
	wait_free(wait);
	file_put(server, file);
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
		if (!against(l, want)) {
			continue;
		}
		if (same_owner(l, began)) {
			return true;
		}
		while (i < o->count && !same_owner(o->of[i], l)) {
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
			    same_owner(&wait->want, o.of[i]) &&
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
 * fuse_user_put() is due. */
static int lock_read(struct fuse_request *r, struct fuse_lock *lock,
		     unsigned *kind)
{
	const struct fuse_lk_in *in = r->arg;

	if (in->lk.type > UNLCK || in->lk.start > in->lk.end ||
	    in->lk.end > INT64_MAX || (in->lk_flags & ~FUSE_LK_FLOCK) != 0) {
		return EINVAL;
	}
	*kind = (in->lk_flags & FUSE_LK_FLOCK) != 0 ? 1 : 0;
	*lock = (struct fuse_lock){
		.session = r->session, .node = r->node, .owner = in->owner,
		.start = in->lk.start, .end = in->lk.end,
		.type = in->lk.type, .pid = in->lk.pid,
		.user = fuse_user_get(r->session, r->in.uid),
	};
	if (*kind == 1) {
		lock->start = 0;
		lock->end = INT64_MAX;
	}
	return lock->user != NULL ? 0 : ENOLCK;
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
	file = file_get(server, r->node->ino);
	error = file == NULL ? ENOLCK : set(file, kind, &want);
	if (file != NULL) {
		wake(file);
	}
	if (error == EAGAIN && waits) {
		error = wait_for(r, file, kind, &want);
	}
	if (file != NULL) {
		file_put(server, file);
	}
	fuse_user_put(r->session, want.user);
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
 * GETLK: fuse_lk_in -> fuse_lk_out: a lock that is in the way, or none (UNLCK).
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
	file = file_find(r->session->server, r->node->ino);
	if (file != NULL && want.type != UNLCK) {
		l = conflict(file->locks[kind], &want);
	}
	out->lk = in->lk;
	out->lk.type = UNLCK;
	if (l != NULL) {
		out->lk = (struct fuse_file_lock){
			.start = l->start, .end = l->end, .type = l->type,
			.pid = l->session->peer == r->session->peer ? l->pid
								    : 0,
		};
	}
	r->out_len = sizeof(*out);
	fuse_user_put(r->session, want.user);
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
	file = file_find(s->server, node->ino);
	link = &file->locks[flock ? 1 : 0];
	while (*link != NULL) {
		if (same_owner(*link, &who)) {
			lock_drop(link);
		} else {
			link = &(*link)->next;
		}
	}
	wake(file);
	file_put(s->server, file);
}

/* Ends a session's locks on a file. */
static void end_on_file(struct fuse_session *s, struct fuse_lock_file *file)
{
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct fuse_lock **link = &file->locks[kind];

		while (*link != NULL) {
			if ((*link)->session == s) {
				lock_drop(link);
			} else {
				link = &(*link)->next;
			}
		}
	}
	wake(file);
	file_put(s->server, file);
}

/**
 * All locks of a session are over, and it waits for none any more. In one walk:
 * others are not to wait until all of its nodes have ended.
 */
void fuse_lock_end_session(struct fuse_session *s)
{
	for (unsigned i = 0; i < FILES && s->lock_count > 0; i++) {
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
