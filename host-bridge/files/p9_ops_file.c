/* SPDX-License-Identifier: MIT */
/*
 * 9P requests on one file: open, create, read, write, sync. A fid that is open
 * remembers how it was opened, and Tread and Twrite keep to that; the rights of
 * who opened it were checked by the client's kernel. Reads show the volume's
 * own blocks, writes put data there as it arrives: nothing is gathered on the
 * way.
 */
#include <errno.h>

#include "host-bridge/files/p9_server_int.h"

/* Whether it is open for writing. Access mode 3 does not count as that. */
static bool fid_writes(const struct p9_fid *fid)
{
	uint32_t access = fid->open_flags & P9_O_ACCMODE;

	return fid->is_open && (access == P9_O_WRONLY || access == P9_O_RDWR);
}

/* Whether a file of that mode may be opened so: 0, EISDIR, ENOTDIR, ELOOP or
 * ENXIO. FIFOs, sockets and devices are data in the volume and never opened: in
 * Linux they mean its own, and never reach us. */
static int open_check(uint32_t mode, uint32_t flags)
{
	bool writes = (flags & P9_O_ACCMODE) != 0 || (flags & P9_O_TRUNC) != 0;

	switch (mode & VOLUME_S_IFMT) {
	case VOLUME_S_IFDIR:
		return writes ? EISDIR : 0;
	case VOLUME_S_IFREG:
		return (flags & P9_O_DIRECTORY) != 0 ? ENOTDIR : 0;
	/* A client walks links itself; here nobody follows one. */
	case VOLUME_S_IFLNK:
		return ELOOP;
	default:
		return ENXIO;
	}
}

/* Opens what fid names, and answers Tlopen and Tlcreate. Nothing is locked or
 * counted: an open file is a held one with flags. */
static int open_fid(struct p9_session *s, struct p9_fid *fid, uint32_t flags,
		    struct p9_reply *p)
{
	struct volume_attr attr;
	struct p9_qid qid;
	int error = volume_getattr(s->vol, fid->ino, &attr);

	if (error == 0) {
		error = open_check(attr.mode, flags);
	}
	/* attr is the reply's qid as well, so its size must be the new one. */
	if (error == 0 && (flags & P9_O_TRUNC) != 0) {
		attr.size = 0;
		error = volume_setattr(s->vol, fid->ino, VOLUME_SET_SIZE,
				       &attr);
	}
	if (error != 0) {
		return error;
	}
	fid->is_open = true;
	fid->open_flags = flags;
	qid = p9_attr_qid(&attr);
	p9_putqid(&p->w, &qid);
	p9_put32(&p->w, 0);		/* iounit: as msize allows */
	return 0;
}

/**
 * Tlopen: fid flags[4] -> qid iounit[4]. EINVAL for a fid that is open: one
 * open file, one fid. Flags that only matter to the client are kept and
 * ignored. [9P2000.L "lopen"]
 */
int p9_lopen(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	uint32_t id = p9_get32(r);
	uint32_t flags = p9_get32(r);
	struct p9_fid *fid;
	int error = p9_fid_file(s, id, &fid);

	if (!p9_complete(r) || (error == 0 && fid->is_open)) {
		return EINVAL;
	}
	return error != 0 ? error : open_fid(s, fid, flags, p);
}

/**
 * Tlcreate: fid name flags[4] mode[4] gid[4] -> qid iounit[4]. fid is the
 * directory before and the open file after. Without P9_O_EXCL a name that is
 * there is opened. The new file is the fid's user's, its group what the client
 * says (it knows about set-gid directories). After an error fid names the
 * directory still; a file that was made and could not be opened stays.
 * [9P2000.L "lcreate"]
 */
int p9_lcreate(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	struct volume_make make = { 0 };
	uint32_t id = p9_get32(r);
	struct p9_str name = p9_getstr(r);
	uint32_t flags = p9_get32(r);
	struct p9_fid *fid;
	uint32_t dir, ino;
	int error = p9_fid_file(s, id, &fid);

	make.mode = (p9_get32(r) & 07777) | VOLUME_S_IFREG;
	make.gid = p9_get32(r);
	if (!p9_complete(r) || (error == 0 && fid->is_open)) {
		return EINVAL;
	}
	if (error != 0) {
		return error;
	}
	make.uid = fid->uid;
	dir = fid->ino;
	error = volume_create(s->vol, dir, name.s, name.len, &make, &ino);
	if (error == 0) {
		flags &= ~P9_O_TRUNC;	/* new: nothing to cut */
	} else if (error == EEXIST && (flags & P9_O_EXCL) == 0) {
		error = volume_lookup(s->vol, dir, name.s, name.len, &ino);
	}
	if (error == 0) {
		error = volume_hold(s->vol, ino);
	}
	if (error != 0) {
		return error;
	}
	/* Both are held until it is known which of them fid will name. */
	fid->ino = ino;
	error = open_fid(s, fid, flags, p);
	if (error == 0) {
		fid->parent = dir;
		fid->cookie = 0;
	} else {
		fid->ino = dir;
	}
	volume_release(s->vol, error == 0 ? dir : ino);
	return error;
}

/**
 * Tread: fid offset[8] count[4] -> count[4] data. The data is not copied: the
 * reply's further pieces are the volume's blocks, good until it is next
 * changed, which is after send() has taken them. Less than count at the file's
 * end, or by msize. [9P2000.L "read"]
 */
int p9_read(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	uint32_t id = p9_get32(r);
	uint64_t offset = p9_get64(r);
	uint32_t count = p9_get32(r);
	struct p9_fid *fid = p9_fid_find(s, id);
	unsigned segs;
	int error;

	if (!p9_complete(r)) {
		return EINVAL;
	}
	count = count < p9_data_max(s) ? count : p9_data_max(s);
	if (fid != NULL && fid->kind == P9_FID_XATTR_READ) {
		return p9_xattr_read(s, fid, offset, count, p);
	}
	if (fid == NULL || !fid->is_open ||
	    (fid->open_flags & P9_O_ACCMODE) == P9_O_WRONLY) {
		return EBADF;
	}
	/* P9_SEGS_MAX pieces are enough for the largest reply even when no two
	 * blocks lie together. */
	error = volume_map(s->vol, fid->ino, offset, count, p->segs + 1,
			   P9_SEGS_MAX - 1, &segs, &p->extra);
	if (error == 0) {
		p->count = 1 + segs;
		p9_put32(&p->w, (uint32_t)p->extra);
	}
	return error;
}

/* A program changed by somebody loses the rights it gives to who runs it
 * (set-uid; set-gid where the group may execute), as Linux does it; root's
 * writes are exempt. Linux leaves this to the server of a 9P file system. */
static int drop_privileges(struct p9_session *s, const struct p9_fid *fid,
			   struct volume_attr *attr)
{
	uint32_t drop = attr->mode & 04000;

	if ((attr->mode & 02010) == 02010) {
		drop |= 02000;
	}
	if (drop == 0 || fid->uid == 0) {
		return 0;
	}
	attr->mode &= ~drop;
	return volume_setattr(s->vol, fid->ino, VOLUME_SET_MODE, attr);
}

/**
 * Twrite: fid offset[8] count[4] data -> count[4]. The fields before the data
 * are read here, and s->write prepared for p9_write_data(); an error lets the
 * data be dropped and is the answer. Returns 0, EINVAL (malformed, or count is
 * not what the message's size leaves), EBADF, or an error of the file's.
 * [9P2000.L "write"]
 */
int p9_write_begin(struct p9_session *s, struct p9_reader *r)
{
	uint32_t id = p9_get32(r);
	uint64_t offset = p9_get64(r);
	uint32_t count = p9_get32(r);
	struct p9_fid *fid = p9_fid_find(s, id);
	struct volume_attr attr;
	int error;

	if (!p9_complete(r) || count != s->write.left ||
	    offset > UINT64_MAX - count) {
		return EINVAL;
	}
	if (fid == NULL || (fid->kind != P9_FID_XATTR_WRITE &&
			    !fid_writes(fid))) {
		return EBADF;
	}
	/* Root that does not append needs no look at the attributes. */
	if (fid->kind == P9_FID_FILE &&
	    (fid->uid != 0 || (fid->open_flags & P9_O_APPEND) != 0)) {
		error = volume_getattr(s->vol, fid->ino, &attr);
		if (error == 0) {
			error = drop_privileges(s, fid, &attr);
		}
		if (error != 0) {
			return error;
		}
		/* The end as it is now, when the head has arrived: a client
		 * need not know it. The data follows it from there on. */
		if ((fid->open_flags & P9_O_APPEND) != 0) {
			offset = attr.size;
		}
	}
	s->write.fid = fid;
	s->write.offset = offset;
	return 0;
}

/**
 * Writes the next len bytes of a Twrite's data, unless an earlier piece failed:
 * then they are dropped, so that what was written is the beginning and count
 * says how much. data may be shared memory; it is read once. The fid cannot end
 * meanwhile: no other request of this session is looked at before.
 */
void p9_write_data(struct p9_session *s, const uint8_t *data, uint32_t len)
{
	struct p9_write *write = &s->write;
	size_t done = 0;

	if (write->error != 0) {
		return;
	}
	if (write->fid->kind == P9_FID_XATTR_WRITE) {
		write->error = p9_xattr_write(write->fid, write->offset, data,
					      len);
		done = write->error == 0 ? len : 0;
	} else {
		write->error = volume_write(s->vol, write->fid->ino,
					    write->offset, data, len, &done);
	}
	write->offset += done;
	write->count += (uint32_t)done;
	if (write->error == 0 && done < len) {
		write->error = ENOSPC;	/* the rest would leave a gap */
	}
}

/**
 * Tfsync: fid datasync[4] -> (nothing). As lasting as the volume's device is
 * (volume_fsync()). [9P2000.L "fsync"]
 */
int p9_fsync(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	uint32_t id = p9_get32(r);
	struct p9_fid *fid;
	int error = p9_fid_file(s, id, &fid);

	(void)p;
	p9_get32(r);			/* datasync: we have one way only */
	if (!p9_complete(r)) {
		return EINVAL;
	}
	return error != 0 ? error : volume_fsync(s->vol, fid->ino);
}
