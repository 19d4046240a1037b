/* SPDX-License-Identifier: MIT */
/*
 * 9P2000.L on the wire: message numbers, and bounded readers and writers for
 * the fields. A reader that runs out of bytes returns zeros and remembers it;
 * a writer that runs out of room writes nothing more and remembers it; so a
 * message is read or written as a whole and judged once. Used on both sides of
 * the channel, for Linux's files: by host-bridge's client, and by the agent's
 * server in Linux. Pure; knows nothing but the C library.
 * [Linux "net/9p/protocol.c", diod "protocol.md"]
 */
#ifndef ISTHMUS_P9_H
#define ISTHMUS_P9_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* T messages; the reply to one has its number plus 1. What is missing here is
 * not understood. [Linux "include/net/9p/9p.h: enum p9_msg_t"] */
enum p9_type {
	/* An errno number of Linux's, in place of any reply. */
	P9_RLERROR = 7,
	P9_TSTATFS = 8,
	P9_TLOPEN = 12,
	P9_TLCREATE = 14,
	P9_TSYMLINK = 16,
	P9_TREADLINK = 22,
	P9_TGETATTR = 24,
	P9_TSETATTR = 26,
	P9_TREADDIR = 40,
	P9_TFSYNC = 50,
	P9_TLINK = 70,
	P9_TMKDIR = 72,
	P9_TRENAMEAT = 74,
	P9_TUNLINKAT = 76,
	P9_TVERSION = 100,
	P9_TATTACH = 104,
	P9_TFLUSH = 108,
	P9_TWALK = 110,
	P9_TREAD = 116,
	P9_TWRITE = 118,
	P9_TCLUNK = 120,
};

#define P9_VERSION	"9P2000.L"
#define P9_NOTAG	0xffffu		/* Tversion's tag */
#define P9_NOFID	0xffffffffu	/* no fid: Tattach's afid */
#define P9_HEADER	7u		/* size, type, tag */
#define P9_IOHDR	24u		/* what msize has beyond data */
#define P9_MSIZE_MIN	4096u		/* Linux's minimum too */
#define P9_WALK_MAX	16u		/* names in one Twalk */
#define P9_NAME_MAX	255u		/* bytes */

/* Types of a qid; a regular file, and all else, is 0. */
#define P9_QTDIR	0x80u
#define P9_QTSYMLINK	0x02u

/* Tlopen and Tlcreate flags: Linux's O_* as x86 numbers them.
 * [Linux "include/net/9p/9p.h: enum p9_open_mode_t"] */
#define P9_O_WRONLY	00000001u
#define P9_O_CREATE	00000100u
#define P9_O_EXCL	00000200u
#define P9_O_TRUNC	00001000u
#define P9_O_DIRECTORY	00200000u

/* Tgetattr masks: what is asked for, and what a reply holds. */
#define P9_GETATTR_BASIC	0x7ffull

/* Tsetattr: what is valid. */
#define P9_SETATTR_MODE		0x01u
#define P9_SETATTR_UID		0x02u
#define P9_SETATTR_GID		0x04u
#define P9_SETATTR_SIZE		0x08u
#define P9_SETATTR_ATIME	0x10u
#define P9_SETATTR_MTIME	0x20u
#define P9_SETATTR_ATIME_SET	0x80u
#define P9_SETATTR_MTIME_SET	0x100u

/* Tunlinkat flag: the name is a directory's. */
#define P9_AT_REMOVEDIR		0x200u

/* What names a file to a client: path is unique on the server, version changes
 * with the content. type is P9_QT*. */
struct p9_qid {
	uint8_t type;
	uint32_t version;
	uint64_t path;
};

struct p9_attr {
	uint64_t valid;			/* P9_GETATTR_* */
	struct p9_qid qid;
	uint32_t mode, uid, gid;
	uint64_t nlink, rdev, size, blksize, blocks;
	int64_t atime, mtime, ctime, btime;	/* ns since 1970 */
	uint64_t gen;
};

/* A name or text as it stands in a message: any bytes, NUL among them. */
struct p9_str {
	const char *s;			/* in the message, not terminated */
	uint16_t len;
};

/* A message being read. at == end: all was read; bad: there was less than was
 * wanted, or a field that cannot be. It stays set. */
struct p9_reader {
	const uint8_t *at, *end;
	bool bad;
};

/* A message being written, from start; at is where the next field goes. bad:
 * the room did not do. It stays set. */
struct p9_writer {
	uint8_t *start, *at, *end;
	bool bad;
};

/* The next n bytes where they lie, or NULL and bad. All that is read of a
 * message goes through here. */
static inline const uint8_t *p9_take(struct p9_reader *r, size_t n)
{
	const uint8_t *at = r->at;

	if ((size_t)(r->end - at) < n) {
		r->bad = true;
		return NULL;
	}
	r->at = at + n;
	return at;
}

static inline uint8_t p9_get8(struct p9_reader *r)
{
	const uint8_t *at = p9_take(r, 1);

	return at != NULL ? *at : 0;
}

static inline uint16_t p9_get16(struct p9_reader *r)
{
	const uint8_t *at = p9_take(r, 2);
	uint16_t v = 0;

	if (at != NULL) {
		memcpy(&v, at, sizeof(v));
	}
	return v;
}

static inline uint32_t p9_get32(struct p9_reader *r)
{
	const uint8_t *at = p9_take(r, 4);
	uint32_t v = 0;

	if (at != NULL) {
		memcpy(&v, at, sizeof(v));
	}
	return v;
}

static inline uint64_t p9_get64(struct p9_reader *r)
{
	const uint8_t *at = p9_take(r, 8);
	uint64_t v = 0;

	if (at != NULL) {
		memcpy(&v, at, sizeof(v));
	}
	return v;
}

/* Good as long as the message is; never NULL. */
static inline struct p9_str p9_getstr(struct p9_reader *r)
{
	struct p9_str str = { .len = p9_get16(r) };

	str.s = (const char *)p9_take(r, str.len);
	if (str.s == NULL) {
		str = (struct p9_str){ "", 0 };
	}
	return str;
}

/* Whether everything was there and nothing is left over. */
static inline bool p9_complete(const struct p9_reader *r)
{
	return !r->bad && r->at == r->end;
}

/* Room for n bytes, or NULL and bad. All that is written to a message goes
 * through here. */
static inline uint8_t *p9_room(struct p9_writer *w, size_t n)
{
	uint8_t *at = w->at;

	if ((size_t)(w->end - at) < n) {
		w->bad = true;
		w->end = at;		/* nothing shorter after it either */
		return NULL;
	}
	w->at = at + n;
	return at;
}

static inline void p9_put(struct p9_writer *w, const void *data, size_t n)
{
	uint8_t *at = p9_room(w, n);

	if (at != NULL) {
		memcpy(at, data, n);
	}
}

static inline void p9_put8(struct p9_writer *w, uint8_t v)
{
	p9_put(w, &v, sizeof(v));
}

static inline void p9_put16(struct p9_writer *w, uint16_t v)
{
	p9_put(w, &v, sizeof(v));
}

static inline void p9_put32(struct p9_writer *w, uint32_t v)
{
	p9_put(w, &v, sizeof(v));
}

static inline void p9_put64(struct p9_writer *w, uint64_t v)
{
	p9_put(w, &v, sizeof(v));
}

/* p9_codec.c */
int64_t p9_time(int64_t s, uint64_t ns);
void p9_putstr(struct p9_writer *w, const char *s, size_t len);
void p9_putqid(struct p9_writer *w, const struct p9_qid *qid);
struct p9_qid p9_getqid(struct p9_reader *r);
void p9_putattr(struct p9_writer *w, const struct p9_attr *attr);
void p9_getattr(struct p9_reader *r, struct p9_attr *attr);
void p9_begin(struct p9_writer *w, void *buf, size_t size, uint8_t type,
	      uint16_t tag);
size_t p9_end(struct p9_writer *w);

#endif
