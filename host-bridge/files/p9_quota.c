/* SPDX-License-Identifier: MIT */
/*
 * What a user of a session has of what all share: fids, locks, memory for
 * attributes. Linux attaches for each of its users apart, so one of them that
 * takes all it can get is told so while there is something left for the rest.
 *
 * A user lives as long as a fid of his. Who a user is, is Linux's word: a Linux
 * that means harm can be as many as it likes, and then has what a session can
 * have.
 */
#include <errno.h>
#include <stdlib.h>

#include "host-bridge/files/p9_server_int.h"

/**
 * Whether a user may have want more of something of which he has used, all
 * users together all, and there may be limit. Root may have what there is;
 * another no more than he leaves: one user half, the next a quarter, and so on,
 * so that nobody finds nothing.
 */
bool p9_quota(const struct p9_user *user, size_t used, size_t all,
	      size_t want, size_t limit)
{
	if (want > limit - all) {
		return false;
	}
	return user->uid == 0 || used + want <= limit - all - want;
}

/* Linux may have as many as fids, all of its choice. */
static struct p9_user **bucket_of(struct p9_session *s, uint32_t uid)
{
	return &s->users[seed_bucket(s->seed, uid, P9_USER_BITS)];
}

/**
 * The user of that number, made if need be; NULL: no memory. Without a fid of
 * his p9_user_put() is due.
 */
struct p9_user *p9_user_get(struct p9_session *s, uint32_t uid)
{
	struct p9_user **bucket = bucket_of(s, uid);
	struct p9_user *user = *bucket;

	while (user != NULL && user->uid != uid) {
		user = user->next;
	}
	if (user == NULL) {
		user = calloc(1, sizeof(*user));
		if (user != NULL) {
			user->uid = uid;
			user->next = *bucket;
			*bucket = user;
		}
	}
	return user;
}

/** Forgets a user who has nothing. */
void p9_user_put(struct p9_session *s, struct p9_user *user)
{
	struct p9_user **link = bucket_of(s, user->uid);

	if (user->fids != 0) {
		return;
	}
	while (*link != user) {
		link = &(*link)->next;
	}
	*link = user->next;
	free(user);
}

/**
 * Gives a fid the memory for an attribute of xattr->size bytes, which it has
 * from now on. Returns 0, or ENOMEM: too much of it is in use, by this user or
 * by all; then it is still the caller's.
 */
int p9_xattr_give(struct p9_session *s, struct p9_fid *fid,
		  struct p9_xattr *xattr)
{
	size_t bytes = sizeof(*xattr) + xattr->size;

	if (!p9_quota(fid->user, fid->user->xattr_bytes,
		      s->server->xattr_bytes, bytes, P9_XATTRS_MAX)) {
		return ENOMEM;
	}
	fid->user->xattr_bytes += bytes;
	s->server->xattr_bytes += bytes;
	fid->xattr = xattr;
	return 0;
}

/** Takes it back, if there is one, and frees it. */
void p9_xattr_end(struct p9_session *s, struct p9_fid *fid)
{
	if (fid->xattr != NULL) {
		size_t bytes = sizeof(*fid->xattr) + fid->xattr->size;

		fid->user->xattr_bytes -= bytes;
		s->server->xattr_bytes -= bytes;
		free(fid->xattr->value);
		free(fid->xattr);
		fid->xattr = NULL;
	}
}
