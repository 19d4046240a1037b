/* SPDX-License-Identifier: MIT */
/*
 * 9P requests about what is known of a file: attributes, directory entries,
 * link text, the volume's figures, extended attributes; and Tclunk.
 */
#include <errno.h>
#include <stdlib.h>

#include "host-bridge/p9_server_int.h"

#define EXT4_MAGIC	0xef53u

/** Tgetattr: fid mask[8] -> attributes, always all we have */
int p9_stat(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	uint32_t id = p9_get32(r);
	struct volume_attr attr;
	struct p9_attr out;
	struct p9_fid *fid;
	int error = p9_fid_file(s, id, &fid);

	p9_get64(r);
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
		.valid = P9_GETATTR_BASIC | P9_GETATTR_BTIME | P9_GETATTR_GEN,
		.qid = p9_attr_qid(&attr),
		.mode = attr.mode, .uid = attr.uid, .gid = attr.gid,
		.nlink = attr.nlink, .size = attr.size,
		.rdev = (attr.rdev_minor & 0xff) | attr.rdev_major << 8 |
			(attr.rdev_minor & ~0xffu) << 12,
		.blksize = 4096, .blocks = attr.blocks,
		.atime = attr.atime, .mtime = attr.mtime,
		.ctime = attr.ctime, .btime = attr.btime, .gen = attr.gen,
	};
	p9_putattr(&p->w, &out);
	return 0;
}

/** Tsetattr: fid valid[4] mode uid gid[4] size[8] atime mtime -> (nothing) */
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
	attr.atime = p9_gettime(r);
	attr.mtime = p9_gettime(r);
	if (!p9_complete(r)) {
		return EINVAL;
	}
	if (error != 0) {
		return error;
	}
	if ((valid & P9_SETATTR_ATIME_SET) == 0) {
		attr.atime = volume_now_ns();
	}
	if ((valid & P9_SETATTR_MTIME_SET) == 0) {
		attr.mtime = volume_now_ns();
	}
	/* The change time becomes now in any case. */
	return volume_setattr(s->vol, fid->ino,
			      valid & (VOLUME_SET_MODE | VOLUME_SET_UID |
				       VOLUME_SET_GID | VOLUME_SET_SIZE |
				       VOLUME_SET_ATIME | VOLUME_SET_MTIME),
			      &attr);
}

struct listing {
	struct p9_writer *w;
	bool full;
};

static bool listing_entry(void *arg, const struct volume_entry *entry)
{
	struct listing *list = arg;
	struct p9_writer *w = list->w;
	struct p9_qid qid = {
		.type = entry->type == 4 ? P9_QTDIR		/* DT_DIR */
			: entry->type == 10 ? P9_QTSYMLINK : 0,	/* DT_LNK */
		.path = entry->ino,
	};

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

/** Treaddir: fid offset[8] count[4] -> count[4] whole entries */
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

/** Treadlink: fid -> target */
int p9_readlink(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	uint32_t id = p9_get32(r);
	char target[4096];
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
	p9_putstr(&p->w, target, len);
	return error;
}

/** Tstatfs: fid -> type[4] bsize[4] blocks.. ffree[8] fsid[8] namelen[4] */
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
	p9_put64(&p->w, st.blocks_free);
	p9_put64(&p->w, st.files);
	p9_put64(&p->w, st.files_free);
	p9_put64(&p->w, st.id);
	p9_put32(&p->w, P9_NAME_MAX);
	return 0;
}

/* Copies an attribute's name; EINVAL for one with a NUL in it. */
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

/** Txattrwalk: fid newfid name -> size[8]; no name: the list of names */
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
		error = p9_fid_new(s, newid, fid->ino, &new);
	}
	if (error != 0) {
		free(xattr->value);
		free(xattr);
		return error;
	}
	new->kind = P9_FID_XATTR_READ;
	new->xattr = xattr;
	p9_put64(&p->w, xattr->size);
	return 0;
}

/** Txattrcreate: fid name size[8] flags[4] -> (nothing); writes follow */
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
	xattr->value = malloc(size + 1);
	if (error == 0 && xattr->value == NULL) {
		error = ENOMEM;
	}
	if (error != 0) {
		free(xattr->value);
		free(xattr);
		return error;
	}
	xattr->size = (size_t)size;
	xattr->flags = flags & (VOLUME_XATTR_CREATE | VOLUME_XATTR_REPLACE);
	fid->kind = P9_FID_XATTR_WRITE;
	fid->xattr = xattr;
	return 0;
}

/** Tread of an attribute's value. */
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

/** Twrite of an attribute's value: in order, and no more than was said. */
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

/* Sets the attribute that a fid has gathered; replacing one by nothing is how
 * Linux removes it. */
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

/** Tclunk: fid -> (nothing); the fid is gone even when it fails */
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
