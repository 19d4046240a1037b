/* SPDX-License-Identifier: MIT */
/*
 * 9P2000.L: the composite fields, and message heads. A reader or writer that
 * went wrong says so once, at the end (p9.h). Multi-byte fields are little
 * endian, as this machine is.
 * [Linux "net/9p/protocol.c"]
 */
#include "proto/p9.h"

#define NS_PER_S	1000000000ll

/**
 * Writes a string: its length in 2 bytes, then len bytes, which need not be
 * text and are not terminated. More than 65,535 bytes make the message bad.
 */
void p9_putstr(struct p9_writer *w, const char *s, size_t len)
{
	p9_put16(w, (uint16_t)len);
	if (len > UINT16_MAX) {
		w->bad = true;
		return;
	}
	p9_put(w, s, len);
}

/** Writes a qid: type[1] version[4] path[8], 13 bytes. */
void p9_putqid(struct p9_writer *w, const struct p9_qid *qid)
{
	p9_put8(w, qid->type);
	p9_put32(w, qid->version);
	p9_put64(w, qid->path);
}

/** Reads a qid; zeros when the message is too short for one. */
struct p9_qid p9_getqid(struct p9_reader *r)
{
	struct p9_qid qid;

	qid.type = p9_get8(r);
	qid.version = p9_get32(r);
	qid.path = p9_get64(r);
	return qid;
}

/* Writes a time as seconds and nanoseconds, 8 bytes each. The second part is
 * never negative: before 1970 the seconds are rounded down. */
static void p9_puttime(struct p9_writer *w, int64_t ns)
{
	int64_t s = ns / NS_PER_S;
	int64_t rest = ns % NS_PER_S;

	if (rest < 0) {
		s--;
		rest += NS_PER_S;
	}
	p9_put64(w, (uint64_t)s);
	p9_put64(w, (uint64_t)rest);
}

/**
 * Seconds and nanoseconds (less than a second) as nanoseconds since 1970; what
 * does not fit becomes the nearest that does.
 */
int64_t p9_time(int64_t s, uint64_t ns)
{
	/* One second less: the nanoseconds are still to be added. */
	int64_t limit = INT64_MAX / NS_PER_S - 1;

	s = s > limit ? limit : s < -limit ? -limit : s;
	return s * NS_PER_S + (int64_t)ns;
}

/* Reads seconds and nanoseconds as p9_time() makes them, so that no peer's value
 * can overflow; odd nanoseconds make the message bad. */
static int64_t p9_gettime(struct p9_reader *r)
{
	int64_t s = (int64_t)p9_get64(r);
	uint64_t ns = p9_get64(r);

	if (ns >= NS_PER_S) {
		r->bad = true;
		return 0;
	}
	return p9_time(s, ns);
}

/**
 * Writes the body of Rgetattr, all fields, whatever was asked for: the reply's
 * valid mask tells which mean something. [9P2000.L "getattr"]
 */
void p9_putattr(struct p9_writer *w, const struct p9_attr *attr)
{
	p9_put64(w, attr->valid);
	p9_putqid(w, &attr->qid);
	p9_put32(w, attr->mode);
	p9_put32(w, attr->uid);
	p9_put32(w, attr->gid);
	p9_put64(w, attr->nlink);
	p9_put64(w, attr->rdev);
	p9_put64(w, attr->size);
	p9_put64(w, attr->blksize);
	p9_put64(w, attr->blocks);
	p9_puttime(w, attr->atime);
	p9_puttime(w, attr->mtime);
	p9_puttime(w, attr->ctime);
	p9_puttime(w, attr->btime);
	p9_put64(w, attr->gen);
	p9_put64(w, 0);			/* data_version: none */
}

/**
 * Reads the body of Rgetattr. What a message lacks is read as zeros, and r->bad
 * is set; what the fields say is the peer's word, and the caller's to doubt.
 */
void p9_getattr(struct p9_reader *r, struct p9_attr *attr)
{
	attr->valid = p9_get64(r);
	attr->qid = p9_getqid(r);
	attr->mode = p9_get32(r);
	attr->uid = p9_get32(r);
	attr->gid = p9_get32(r);
	attr->nlink = p9_get64(r);
	attr->rdev = p9_get64(r);
	attr->size = p9_get64(r);
	attr->blksize = p9_get64(r);
	attr->blocks = p9_get64(r);
	attr->atime = p9_gettime(r);
	attr->mtime = p9_gettime(r);
	attr->ctime = p9_gettime(r);
	attr->btime = p9_gettime(r);
	attr->gen = p9_get64(r);
	p9_get64(r);			/* data_version */
}

/**
 * Starts a message of that type and tag in a buffer of size bytes, at least
 * P9_HEADER; its size field is set by p9_end().
 */
void p9_begin(struct p9_writer *w, void *buf, size_t size, uint8_t type,
	      uint16_t tag)
{
	w->start = w->at = buf;
	w->end = w->start + size;
	w->bad = false;
	p9_put32(w, 0);
	p9_put8(w, type);
	p9_put16(w, tag);
}

/** Finishes a message. Returns its length; 0 if it did not fit the buffer. */
size_t p9_end(struct p9_writer *w)
{
	size_t len = (size_t)(w->at - w->start);
	uint32_t size = (uint32_t)len;

	if (w->bad) {
		return 0;
	}
	memcpy(w->start, &size, sizeof(size));
	return len;
}
