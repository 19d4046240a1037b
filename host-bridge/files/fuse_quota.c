/* SPDX-License-Identifier: MIT */
/*
 * What a user of a session has of what all share: nodes, open files, locks. Who
 * a user is, is Linux's word, in each request's header; a Linux that means harm
 * can be as many as it likes, and then has what a session can have.
 */
#include <stdlib.h>

#include "host-bridge/files/fuse_server_int.h"

/**
 * Whether a user may have want more of something of which he has used, all
 * users together all, and there may be limit. Root may have what there is;
 * another no more than he leaves: one user half, the next a quarter, and so on,
 * so that nobody finds nothing.
 */
bool fuse_quota(const struct fuse_user *user, size_t used, size_t all,
		size_t want, size_t limit)
{
	if (all > limit || want > limit - all) {
		return false;
	}
	return user->uid == 0 || used + want <= limit - all - want;
}

/* Linux may have any number of them, all of its choice. */
static struct fuse_user **bucket_of(struct fuse_session *s, uint32_t uid)
{
	return &s->users[seed_bucket(s->seed, uid, FUSE_USER_BITS)];
}

/**
 * The user of that number, made if need be; NULL: no memory. When he has been
 * given nothing fuse_user_put() is due.
 */
struct fuse_user *fuse_user_get(struct fuse_session *s, uint32_t uid)
{
	struct fuse_user **bucket = bucket_of(s, uid);
	struct fuse_user *user = *bucket;

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
void fuse_user_put(struct fuse_session *s, struct fuse_user *user)
{
	struct fuse_user **link = bucket_of(s, user->uid);

	if ((user->nodes | user->opens | user->locks | user->waits |
	     user->busy) != 0) {
		return;
	}
	while (*link != user) {
		link = &(*link)->next;
	}
	*link = user->next;
	free(user);
}
