/* SPDX-License-Identifier: MIT */
/*
 * The fids of a session: a hash table that doubles as it fills, up to a cap. A
 * fid holds its file (volume_hold()), so that it stays usable without a name:
 * an open file that is removed lives until its last fid ends.
 *
 * Numbers are chosen by the client, so where they go is by the session's seed: a
 * client that chooses them to collide does not know how.
 */
#include <errno.h>
#include <stdlib.h>

#include "host-bridge/files/p9_server_int.h"
#include "host-bridge/rt/tsc.h"

#define FIDS_A_LOOK	32u		/* at the clock, when many end */
#define FID_BITS	6u		/* of the number of buckets, at first */

/* The first of the chain that a number belongs to. */
static struct p9_fid **bucket_of(struct p9_session *s, uint32_t fid)
{
	return &s->fids[seed_bucket(s->seed, fid, s->fid_bits)];
}

/**
 * The fid of that number, of whatever kind, or NULL. Good until the fid is
 * ended, at the latest by the next message.
 */
struct p9_fid *p9_fid_find(struct p9_session *s, uint32_t fid)
{
	struct p9_fid *f;

	if (s->fids == NULL) {
		return NULL;
	}
	for (f = *bucket_of(s, fid); f != NULL; f = f->next) {
		if (f->fid == fid) {
			break;
		}
	}
	return f;
}

/**
 * The fid of that number, if it names a file. Returns 0, or EBADF if there is
 * none or it stands for an attribute's value. *out is not to be used then.
 */
int p9_fid_file(struct p9_session *s, uint32_t fid, struct p9_fid **out)
{
	*out = p9_fid_find(s, fid);
	return *out != NULL && (*out)->kind == P9_FID_FILE ? 0 : EBADF;
}

/* Makes the table, or doubles it when there are as many fids as buckets.
 * Returns 0 or ENOMEM; then the old table stays as it was. */
static int fid_grow(struct p9_session *s)
{
	uint32_t old = s->fids == NULL ? 0 : 1u << s->fid_bits;
	unsigned bits = s->fids == NULL ? FID_BITS : s->fid_bits + 1;
	struct p9_fid **table, **from = s->fids;

	if (s->fids != NULL && s->fid_count < old) {
		return 0;
	}
	table = calloc((size_t)1 << bits, sizeof(*table));
	if (table == NULL) {
		return ENOMEM;
	}
	s->fids = table;
	s->fid_bits = bits;
	for (uint32_t i = 0; i < old; i++) {
		while (from[i] != NULL) {
			struct p9_fid *f = from[i];
			struct p9_fid **bucket = bucket_of(s, f->fid);

			from[i] = f->next;
			f->next = *bucket;
			*bucket = f;
		}
	}
	free(from);
	return 0;
}

/* Memory for a fid: walks make and end one for every name they look up, so
 * ended ones are kept. p9_fid_end_some() gives them back. */
static struct p9_fid *fid_alloc(struct p9_session *s)
{
	struct p9_fid *f = s->fid_spare;

	if (f == NULL) {
		return malloc(sizeof(*f));
	}
	s->fid_spare = f->next;
	return f;
}

/**
 * Makes a fid of a user's for a file and holds the file; the fid is not open.
 * Returns 0, EINVAL (P9_NOFID, or in use), ENFILE (too many, or too many of his),
 * ENOMEM, or an error of the file's. Nothing is left of a fid that could not be
 * made.
 */
int p9_fid_new(struct p9_session *s, uint32_t fid, uint32_t ino,
	       struct p9_user *user, struct p9_fid **out)
{
	struct p9_fid *f, **bucket;
	int error;

	if (fid == P9_NOFID || p9_fid_find(s, fid) != NULL) {
		return EINVAL;
	}
	if (!p9_quota(user, user->fids, s->fid_count, 1, P9_FIDS_MAX)) {
		return ENFILE;
	}
	error = fid_grow(s);
	if (error != 0) {
		return error;
	}
	error = volume_hold(s->vol, ino);
	if (error != 0) {
		return error;
	}
	f = fid_alloc(s);
	if (f == NULL) {
		volume_release(s->vol, ino);
		return ENOMEM;
	}
	*f = (struct p9_fid){
		.fid = fid, .ino = ino, .uid = user->uid, .user = user,
	};
	user->fids++;
	bucket = bucket_of(s, fid);
	f->next = *bucket;
	*bucket = f;
	s->fid_count++;
	*out = f;
	return 0;
}

/**
 * Makes a fid name another file. Returns 0 or an error of the file's; then it
 * names the old one still.
 */
int p9_fid_move(struct p9_session *s, struct p9_fid *fid, uint32_t ino)
{
	/* First the new, then the old: they may be the same file. */
	int error = volume_hold(s->vol, ino);

	if (error == 0) {
		volume_release(s->vol, fid->ino);
		fid->ino = ino;
	}
	return error;
}

/**
 * Ends a fid, with its locks and its attribute. An attribute that was being
 * gathered is dropped, not set: that is p9_clunk()'s. If the file has no name
 * and no other holder, this frees it.
 */
void p9_fid_free(struct p9_session *s, struct p9_fid *fid)
{
	struct p9_fid **link = bucket_of(s, fid->fid);

	while (*link != fid) {
		link = &(*link)->next;
	}
	*link = fid->next;
	s->fid_count--;
	if (fid->has_locks) {
		p9_locks_drop(s, fid);
	}
	p9_xattr_end(s, fid);
	fid->user->fids--;
	p9_user_put(s, fid->user);
	volume_release(s->vol, fid->ino);
	fid->next = s->fid_spare;
	s->fid_spare = fid;
}

/**
 * Ends fids of a session that is over, and gives their memory back, some in any
 * case and then until it is later than until (TSC). Returns whether there was
 * time for all of them. Nothing may be asked of the session in between.
 */
bool p9_fid_end_some(struct p9_session *s, uint64_t until)
{
	unsigned done = 0;

	while (s->fid_spare != NULL || s->fid_count > 0) {
		struct p9_fid *f = s->fid_spare;

		if (done++ == FIDS_A_LOOK) {
			if (tsc_now() >= until) {
				return false;
			}
			done = 0;
		}
		if (f == NULL) {
			while (s->fids[s->fid_sweep] == NULL) {
				s->fid_sweep++;
			}
			/* It becomes the spare one. */
			p9_fid_free(s, s->fids[s->fid_sweep]);
		} else {
			s->fid_spare = f->next;
			free(f);
		}
	}
	free(s->fids);
	s->fids = NULL;
	s->fid_sweep = 0;
	return true;
}

/**
 * The qid of a file. Returns 0 or an error of the file's; then *qid is
 * unchanged.
 */
int p9_qid(struct p9_session *s, uint32_t ino, struct p9_qid *qid)
{
	struct volume_attr attr;
	int error = volume_getattr(s->vol, ino, &attr);

	if (error == 0) {
		*qid = p9_attr_qid(&attr);
	}
	return error;
}

/**
 * The qid of a file with these attributes. Its path is the inode number: one
 * file, one number, as Linux wants it for its inodes. A number that is used
 * again is told apart by Rgetattr's gen.
 */
struct p9_qid p9_attr_qid(const struct volume_attr *attr)
{
	uint32_t type = attr->mode & VOLUME_S_IFMT;

	return (struct p9_qid){
		.type = type == VOLUME_S_IFDIR ? P9_QTDIR
			: type == VOLUME_S_IFLNK ? P9_QTSYMLINK : 0,
		/* Another content, another version: what a caching client
		 * compares. A hint only, two may be equal by chance. */
		.version = (uint32_t)attr->mtime.sec ^ attr->mtime.nsec ^
			   (uint32_t)attr->size << 8,
		.path = attr->ino,
	};
}
