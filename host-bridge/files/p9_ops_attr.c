/* SPDX-License-Identifier: MIT */
/*
 * 9P requests about what is known of a file: attributes, directory entries,
 * link text, the volume's figures, extended attributes; and Tclunk. A fid need
 * not be open for any but Treaddir. Rights are the client's kernel's to check:
 * whoever has the connection has the volume.
 *
 * Handlers as p9_server_int.h wants them: every field is read and the end of
 * the message checked before anything is done, so a wrong fid in a malformed
 * message is EINVAL, not EBADF.
 */
#include <errno.h>
#include <stdlib.h>

#include "host-bridge/files/p9_server_int.h"

#define EXT4_MAGIC	0xef53u		/* statfs's f_type */

/* The protocol's nanoseconds since 1970 of a time, and the other way. */
static int64_t attr_ns(struct volume_time time)
{
	return p9_time(time.sec, time.nsec);
}

static struct volume_time attr_time(int64_t ns)
{
	int64_t rest = ns % 1000000000;

	rest += rest < 0 ? 1000000000 : 0;
	return (struct volume_time){
		.sec = (ns - rest) / 1000000000, .nsec = (uint32_t)rest,
	};
}

/**
 * Tgetattr: fid mask[8] -> attributes, always all we have, whatever the mask
 * says. [9P2000.L "getattr"]
 */
int p9_stat(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	uint32_t id = p9_get32(r);
	struct volume_attr attr;
	struct p9_attr out;
	struct p9_fid *fid;
	int error = p9_fid_file(s, id, &fid);

	p9_get64(r);			/* mask */
	if (!p9_complete(r)) {
		return EINVAL;
	}
	if (error == 0) {
		error = volume_getattr(s->vol, fid->ino, &attr);
	}
	if (error != 0) {
		return error;
	}
	out = (struct p9_attr){
		/* All but data_version. */
		.valid = P9_GETATTR_BASIC | P9_GETATTR_BTIME | P9_GETATTR_GEN,
		.qid = p9_attr_qid(&attr),
		.mode = attr.mode, .uid = attr.uid, .gid = attr.gid,
		.nlink = attr.nlink, .size = attr.size,
		/* As new_encode_dev() of Linux: 12 bits of major, 20 of
		 * minor. */
		.rdev = (attr.rdev_minor & 0xff) | attr.rdev_major << 8 |
			(attr.rdev_minor & ~0xffu) << 12,
		.blksize = 4096, .blocks = attr.blocks,
		.atime = attr_ns(attr.atime), .mtime = attr_ns(attr.mtime),
		.ctime = attr_ns(attr.ctime), .btime = attr_ns(attr.btime),
		.gen = attr.gen,
	};
	p9_putattr(&p->w, &out);
	return 0;
}

/**
 * Tsetattr: fid valid[4] mode uid gid[4] size[8] atime mtime -> (nothing). All
 * of it is changed or nothing. A time without its _SET bit becomes now, by our
 * clock; bits that we do not know are ignored. [9P2000.L "setattr"]
 */
int p9_setattr(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	uint32_t id = p9_get32(r);
	uint32_t valid = p9_get32(r);
	struct volume_attr attr = { 0 };
	struct p9_fid *fid;
	int error = p9_fid_file(s, id, &fid);

	(void)p;
	attr.mode = p9_get32(r);
	attr.uid = p9_get32(r);
	attr.gid = p9_get32(r);
	attr.size = p9_get64(r);
	attr.atime = attr_time(p9_gettime(r));
	attr.mtime = attr_time(p9_gettime(r));
	if (!p9_complete(r)) {
		return EINVAL;
	}
	if (error != 0) {
		return error;
	}
	if ((valid & P9_SETATTR_ATIME_SET) == 0) {
		attr.atime = volume_now();
	}
	if ((valid & P9_SETATTR_MTIME_SET) == 0) {
		attr.mtime = volume_now();
	}
	/* The change time becomes now in any case. */
	return volume_setattr(s->vol, fid->ino,
			      valid & (VOLUME_SET_MODE | VOLUME_SET_UID |
				       VOLUME_SET_GID | VOLUME_SET_SIZE |
				       VOLUME_SET_ATIME | VOLUME_SET_MTIME),
			      &attr);
}

/* Where Treaddir's entries go; full: one did not fit and was left out. */
struct listing {
	struct p9_writer *w;
	bool full;
};

/* Puts one entry: qid[13] offset[8] type[1] name[s]. The offset is a cookie
 * that continues behind it. False ends the listing: only whole entries are
 * sent. */
static bool listing_entry(void *arg, const struct volume_entry *entry)
{
	struct listing *list = arg;
	struct p9_writer *w = list->w;
	/* Without a version: it would cost a look at every inode. */
	struct p9_qid qid = {
		.type = entry->type == 4 ? P9_QTDIR		/* DT_DIR */
			: entry->type == 10 ? P9_QTSYMLINK : 0,	/* DT_LNK */
		.path = entry->ino,
	};

	/* 13 + 8 + 1 + 2 bytes before the name: as many as P9_IOHDR. */
	if ((size_t)(w->end - w->at) < P9_IOHDR + entry->name_len) {
		list->full = true;
		return false;
	}
	p9_putqid(w, &qid);
	p9_put64(w, entry->cookie);
	p9_put8(w, entry->type);
	p9_putstr(w, entry->name, entry->name_len);
	return true;
}

/**
 * Treaddir: fid offset[8] count[4] -> count[4] whole entries, none at the end
 * of the directory. offset is 0 or a cookie from an entry; a made-up one shows
 * some entries or none, and does no harm. EINVAL when not even one entry fits
 * count. [9P2000.L "readdir"]
 */
int p9_readdir(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	uint32_t id = p9_get32(r);
	uint64_t offset = p9_get64(r);
	uint32_t count = p9_get32(r);
	struct listing list = { .w = &p->w };
	struct p9_fid *fid;
	uint8_t *start;
	int error = p9_fid_file(s, id, &fid);

	if (!p9_complete(r)) {
		return EINVAL;
	}
	if (error != 0 || !fid->is_open) {
		return EBADF;
	}
	count = count < p9_data_max(s) ? count : p9_data_max(s);
	/* The count, known when the entries are in. Until then the writer ends
	 * where the client's buffer does. */
	p9_put32(&p->w, 0);
	start = p->w.at;
	p->w.end = start + count;
	error = volume_readdir(s->vol, fid->ino, offset, listing_entry, &list);
	if (error == 0 && list.full && p->w.at == start) {
		error = EINVAL;		/* not even one entry fits */
	}
	count = (uint32_t)(p->w.at - start);
	memcpy(start - sizeof(count), &count, sizeof(count));
	return error;
}

/**
 * Treadlink: fid -> target. The text is data: it is never followed here. EINVAL
 * for what is no link. [9P2000.L "readlink"]
 */
int p9_readlink(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	uint32_t id = p9_get32(r);
	char target[4096];		/* a volume's links are shorter */
	struct p9_fid *fid;
	size_t len = 0;
	int error = p9_fid_file(s, id, &fid);

	if (!p9_complete(r)) {
		return EINVAL;
	}
	if (error == 0) {
		error = volume_readlink(s->vol, fid->ino, target,
					sizeof(target), &len);
	}
	if (error == 0 && len > p9_data_max(s)) {
		error = EMSGSIZE;
	}
	/* len may be anything after an error. */
	if (error == 0) {
		p9_putstr(&p->w, target, len);
	}
	return error;
}

/**
 * Tstatfs: fid -> type[4] bsize[4] blocks.. ffree[8] fsid[8] namelen[4]. Any
 * fid of a file will do: there is one volume. [9P2000.L "statfs"]
 */
int p9_statfs(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	uint32_t id = p9_get32(r);
	struct volume_stat st;
	struct p9_fid *fid;
	int error = p9_fid_file(s, id, &fid);

	if (!p9_complete(r)) {
		return EINVAL;
	}
	if (error == 0) {
		error = volume_statfs(s->vol, &st);
	}
	if (error != 0) {
		return error;
	}
	p9_put32(&p->w, EXT4_MAGIC);
	p9_put32(&p->w, st.block_size);
	p9_put64(&p->w, st.blocks);
	p9_put64(&p->w, st.blocks_free);
	p9_put64(&p->w, st.blocks_free);	/* bavail: none are reserved */
	p9_put64(&p->w, st.files);
	p9_put64(&p->w, st.files_free);
	p9_put64(&p->w, st.id);
	p9_put32(&p->w, P9_NAME_MAX);
	return 0;
}

/* Copies an attribute's name and ends it, for the volume's calls. ERANGE for
 * one longer than Linux allows, EINVAL for one with a NUL in it, which would
 * mean another attribute there than here. */
static int xattr_name(char *to, struct p9_str name)
{
	if (name.len > P9_NAME_MAX) {
		return ERANGE;
	}
	if (memchr(name.s, '\0', name.len) != NULL) {
		return EINVAL;
	}
	memcpy(to, name.s, name.len);
	to[name.len] = '\0';
	return 0;
}

/**
 * Txattrwalk: fid newfid name -> size[8]; no name: the list of names, each with
 * a NUL. newfid then stands for the value as it is now: it is read with Tread,
 * and ends with Tclunk. ENODATA if there is none of that name.
 * [9P2000.L "xattrwalk"]
 */
int p9_xattrwalk(struct p9_session *s, struct p9_reader *r,
		 struct p9_reply *p)
{
	uint32_t id = p9_get32(r);
	uint32_t newid = p9_get32(r);
	struct p9_str name = p9_getstr(r);
	char key[P9_NAME_MAX + 1];
	struct p9_fid *fid, *new;
	struct p9_xattr *xattr;
	void *value = NULL;
	int error = p9_fid_file(s, id, &fid);

	if (!p9_complete(r)) {
		return EINVAL;
	}
	if (error == 0) {
		error = xattr_name(key, name);
	}
	if (error != 0) {
		return error;
	}
	/* The value is fetched first: a fid is made only for one that is
	 * there. */
	xattr = calloc(1, sizeof(*xattr));
	if (xattr == NULL) {
		return ENOMEM;
	}
	error = name.len == 0
		? volume_xattr_list(s->vol, fid->ino, &value, &xattr->size)
		: volume_xattr_get(s->vol, fid->ino, key, &value,
				   &xattr->size);
	xattr->value = value;
	if (error == 0) {
		error = p9_fid_new(s, newid, fid->ino, fid->user, &new);
	}
	if (error == 0) {
		error = p9_xattr_give(s, new, xattr);
		if (error != 0) {
			p9_fid_free(s, new);
		}
	}
	if (error != 0) {
		free(xattr->value);
		free(xattr);
		return error;
	}
	new->kind = P9_FID_XATTR_READ;
	p9_put64(&p->w, xattr->size);
	return 0;
}

/**
 * Txattrcreate: fid name size[8] flags[4] -> (nothing). From now on fid gathers
 * the value: Twrites follow, size bytes in all, and Tclunk sets it, so a client
 * must use a copy of its fid. E2BIG for more than Linux allows in a value.
 * [9P2000.L "xattrcreate"]
 */
int p9_xattrcreate(struct p9_session *s, struct p9_reader *r,
		   struct p9_reply *p)
{
	uint32_t id = p9_get32(r);
	struct p9_str name = p9_getstr(r);
	uint64_t size = p9_get64(r);
	uint32_t flags = p9_get32(r);
	struct p9_xattr *xattr;
	struct p9_fid *fid;
	int error = p9_fid_file(s, id, &fid);

	(void)p;
	if (!p9_complete(r) || (error == 0 && fid->is_open)) {
		return EINVAL;
	}
	if (size > P9_XATTR_MAX) {
		return E2BIG;
	}
	if (error != 0) {
		return error;
	}
	xattr = calloc(1, sizeof(*xattr));
	if (xattr == NULL) {
		return ENOMEM;
	}
	error = xattr_name(xattr->name, name);
	/* Never of 0 bytes, for which malloc() may give NULL. */
	xattr->value = malloc(size + 1);
	if (error == 0 && xattr->value == NULL) {
		error = ENOMEM;
	}
	xattr->size = (size_t)size;
	xattr->flags = flags & (VOLUME_XATTR_CREATE | VOLUME_XATTR_REPLACE);
	if (error == 0) {
		error = p9_xattr_give(s, fid, xattr);
	}
	if (error != 0) {
		free(xattr->value);
		free(xattr);
		return error;
	}
	fid->kind = P9_FID_XATTR_WRITE;
	return 0;
}

/**
 * Tread of an attribute's value (or list): what there is from offset on, at
 * most count bytes, none behind its end. count is within msize already. Always
 * 0.
 */
int p9_xattr_read(struct p9_session *s, struct p9_fid *fid, uint64_t offset,
		  uint32_t count, struct p9_reply *p)
{
	const struct p9_xattr *xattr = fid->xattr;

	(void)s;
	if (offset > xattr->size) {
		offset = xattr->size;
	}
	if (count > xattr->size - offset) {
		count = (uint32_t)(xattr->size - offset);
	}
	p9_put32(&p->w, count);
	if (count > 0) {
		p9_put(&p->w, xattr->value + offset, count);
	}
	return 0;
}

/**
 * Twrite of an attribute's value, or the next piece of one: in order, and no
 * more than was said. Returns 0 or ENOSPC; then nothing was taken.
 */
int p9_xattr_write(struct p9_fid *fid, uint64_t offset, const void *data,
		   uint32_t len)
{
	struct p9_xattr *xattr = fid->xattr;

	if (offset != xattr->done || len > xattr->size - xattr->done) {
		return ENOSPC;
	}
	memcpy(xattr->value + xattr->done, data, len);
	xattr->done += len;
	return 0;
}

/* Sets the attribute that a fid has gathered, at its Tclunk. EINVAL if fewer
 * bytes came than were said: a client that died half way leaves the old value.
 * Replacing one by nothing is how Linux removes it.
 * [Linux "fs/9p/xattr.c: v9fs_fid_xattr_set"] */
static int xattr_set(struct p9_session *s, const struct p9_fid *fid)
{
	const struct p9_xattr *xattr = fid->xattr;

	if (xattr->done != xattr->size) {
		return EINVAL;
	}
	if (xattr->size == 0 && xattr->flags == VOLUME_XATTR_REPLACE) {
		return volume_xattr_remove(s->vol, fid->ino, xattr->name);
	}
	return volume_xattr_set(s->vol, fid->ino, xattr->name, xattr->value,
				xattr->size, xattr->flags);
}

/**
 * Tclunk: fid -> (nothing). Once found, the fid is gone even when this fails,
 * which is when its attribute could not be set. [9P2000.L "clunk"]
 */
int p9_clunk(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	uint32_t id = p9_get32(r);
	struct p9_fid *fid = p9_fid_find(s, id);
	int error = 0;

	(void)p;
	if (!p9_complete(r)) {
		return EINVAL;
	}
	if (fid == NULL) {
		return EBADF;
	}
	if (fid->kind == P9_FID_XATTR_WRITE) {
		error = xattr_set(s, fid);
	}
	p9_fid_free(s, fid);
	return error;
}
