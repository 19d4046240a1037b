/* SPDX-License-Identifier: MIT */
/*
 * The locks that files have: who has which, what stands against what. Of an
 * owner's locks on bytes no two overlap, and none of the same type touch.
 */
#include <errno.h>
#include <stdlib.h>

#include "host-bridge/files/fuse_legacy.h"
#include "host-bridge/files/fuse_lock_int.h"

static struct fuse_lock_file **bucket_of(struct fuse_server *server,
					 uint32_t ino)
{
	return &server->lock_files[seed_bucket(server->lock_seed, ino,
					       FUSE_LOCK_FILE_BITS)];
}

/** The file, if it has locks, or NULL. */
struct fuse_lock_file *fuse_lock_file_find(struct fuse_server *server,
					   uint32_t ino)
{
	struct fuse_lock_file *file =
		server->lock_files == NULL ? NULL : *bucket_of(server, ino);

	while (file != NULL && file->ino != ino) {
		file = file->next;
	}
	return file;
}

/** The file, made if need be; NULL: no memory. fuse_lock_file_put() is due. */
struct fuse_lock_file *fuse_lock_file_get(struct fuse_server *server,
					  uint32_t ino)
{
	struct fuse_lock_file *file = fuse_lock_file_find(server, ino);

	if (file != NULL) {
		return file;
	}
	if (server->lock_files == NULL) {
		server->lock_files = calloc(FUSE_LOCK_FILES,
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

/** Forgets a file that has no locks, and for which nobody waits. */
void fuse_lock_file_put(struct fuse_server *server, struct fuse_lock_file *file)
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

/** Whether the same one has both. */
bool fuse_lock_same_owner(const struct fuse_lock *a, const struct fuse_lock *b)
{
	return a->session == b->session && a->owner == b->owner;
}

/* start and end are both within: no range is empty. */
static bool overlap(const struct fuse_lock *a, const struct fuse_lock *b)
{
	return a->start <= b->end && b->start <= a->end;
}

/** Whether a lock that there is stands against one that is wanted. */
bool fuse_lock_against(const struct fuse_lock *l, const struct fuse_lock *want)
{
	return overlap(l, want) && !fuse_lock_same_owner(l, want) &&
	       (l->type == FUSE_WRLCK || want->type == FUSE_WRLCK);
}

/** Of a list's locks that do, the one that begins first, or NULL. */
const struct fuse_lock *fuse_lock_conflict(const struct fuse_lock *l,
					   const struct fuse_lock *want)
{
	const struct fuse_lock *first = NULL;

	for (; l != NULL; l = l->next) {
		if ((first == NULL || l->start < first->start) &&
		    fuse_lock_against(l, want)) {
			first = l;
		}
	}
	return first;
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

/** Frees the lock that link leads to. */
void fuse_lock_drop(struct fuse_lock **link)
{
	struct fuse_lock *l = *link;

	*link = l->next;
	legacy_drop(LEGACY_LOCK, l->left);
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

	while (*link != NULL && !fuse_lock_same_owner(*link, want)) {
		link = &(*link)->next;
	}
	if (*link != NULL) {
		if ((*link)->type == want->type) {
			return 0;
		}
		fuse_lock_drop(link);
	}
	if (want->type == FUSE_UNLCK) {
		return 0;
	}
	if (fuse_lock_conflict(file->locks[1], want) != NULL) {
		return EAGAIN;
	}
	new = fits(want, 1) ? malloc(sizeof(*new)) : NULL;
	if (new == NULL) {
		return ENOLCK;
	}
	lock_push(&file->locks[1], new, want);
	new->left = fuse_legacy_lock(new, 1);
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

		if (!fuse_lock_same_owner(l, want) || !touches) {
			link = &l->next;
		} else if (l->type == want->type) {
			want->start = l->start < want->start ? l->start
							     : want->start;
			want->end = l->end > want->end ? l->end : want->end;
			fuse_lock_drop(link);
		} else if (!overlap(l, want)) {
			link = &l->next;
		} else if (l->start < want->start && l->end > want->end) {
			lock_push(&l->next, spare, l);
			spare->start = want->end + 1;
			spare->left = fuse_legacy_lock(spare, 0);
			l->end = want->start - 1;
			fuse_legacy_lock_range(l);
			used = true;
			link = &spare->next;
		} else if (l->start < want->start) {
			l->end = want->start - 1;
			fuse_legacy_lock_range(l);
			link = &l->next;
		} else if (l->end > want->end) {
			l->start = want->end + 1;
			fuse_legacy_lock_range(l);
			link = &l->next;
		} else {
			fuse_lock_drop(link);
		}
	}
	return used;
}

/* Whether a range cuts one of its owner's in two. */
static bool splits(const struct fuse_lock *l, const struct fuse_lock *want)
{
	while (l != NULL && !(fuse_lock_same_owner(l, want) && l->type != want->type &&
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
	bool split, adds = want.type != FUSE_UNLCK;

	if (adds && fuse_lock_conflict(file->locks[0], &want) != NULL) {
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
	/* Before those that it takes the place of go. */
	want.left = adds ? fuse_legacy_lock(&want, 0) : NULL;
	(void)range_cut(&file->locks[0], &want, spare);
	if (adds) {
		lock_push(&file->locks[0], new, &want);
		fuse_legacy_lock_range(new);
	}
	return 0;
}

/**
 * A lock that the session had with the program before. That may have ended as one took
 * another's place, and have left both, which then end together. False: it is none.
 */
bool fuse_lock_take_up(struct fuse_session *s, struct fuse_left_lock *left)
{
	struct fuse_node *node = fuse_node_find(s, left->ino);
	struct fuse_user *user = node != NULL ? fuse_user_get(s, left->uid) : NULL;
	struct fuse_lock_file *file = user != NULL
		? fuse_lock_file_get(s->server, left->ino) : NULL;
	struct fuse_lock *lock = file != NULL && left->type < FUSE_UNLCK &&
				 left->kind < FUSE_LOCK_KINDS &&
				 left->start <= left->end
				 ? malloc(sizeof(*lock)) : NULL;
	struct fuse_lock want = {
		.session = s, .node = node, .user = user, .owner = left->owner,
		.fh = left->fh, .start = left->start, .end = left->end,
		.type = left->type, .pid = left->pid, .left = left,
	};

	if (lock != NULL) {
		lock_push(&file->locks[left->kind], lock, &want);
		return true;
	}
	if (user != NULL) {
		fuse_user_put(s, user);
	}
	if (file != NULL) {
		fuse_lock_file_put(s->server, file);
	}
	return false;
}

/**
 * Takes or gives back a lock of that kind. want->user is not freed meanwhile.
 * Returns 0, EAGAIN (somebody else's is in the way) or ENOLCK.
 */
int fuse_lock_file_set(struct fuse_lock_file *file, unsigned kind,
		       struct fuse_lock *want)
{
	return kind == 1 ? set_flock(file, want) : set_range(file, want);
}

