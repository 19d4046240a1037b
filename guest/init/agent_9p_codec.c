/* SPDX-License-Identifier: MIT */
/*
 * 9P fields, little-endian, in and out of bounded buffers. Pure. A cursor that
 * went wrong stays so and does no more harm: handlers take all their fields
 * first and look at `bad` once. [Plan 9 Programmer's Manual, intro(5)]
 */
#include <errno.h>
#include <string.h>

#include "agent_9p.h"

#define QTDIR		0x80u
#define QTSYMLINK	0x02u

/**
 * Takes len bytes, which stay in the request's buffer; NULL, and bad set, if
 * there are not as many.
 */
const uint8_t *p9_get_bytes(struct p9_in *in, size_t len)
{
	const uint8_t *p = in->p;

	if (in->bad || len > in->left) {
		in->bad = true;
		return NULL;
	}
	in->p += len;
	in->left -= len;
	return p;
}

/** Takes an unsigned integer of 1 to 8 bytes; 0, and bad set, past the end. */
uint64_t p9_get(struct p9_in *in, unsigned int bytes)
{
	const uint8_t *p = p9_get_bytes(in, bytes);
	uint64_t v = 0;

	for (unsigned int i = 0; p && i < bytes; i++) {
		v |= (uint64_t)p[i] << (8 * i);
	}
	return v;
}

/**
 * Takes a string as text of less than size bytes, without NUL inside. out is
 * terminated in any case; what does not fit, or has a NUL, sets bad: a name cut
 * off would be another file's.
 */
void p9_get_text(struct p9_in *in, char *out, size_t size)
{
	size_t len = p9_get(in, 2);
	const uint8_t *p = p9_get_bytes(in, len);

	out[0] = '\0';
	if (!p || len >= size || memchr(p, '\0', len)) {
		in->bad = true;
		return;
	}
	memcpy(out, p, len);
	out[len] = '\0';
}

/**
 * Takes the name of a directory entry (out holds P9_NAME_MAX + 1 bytes). False
 * if it cannot be one: empty, with a slash, or too long. "." and ".." pass:
 * what they mean is the operation's matter.
 */
bool p9_get_name(struct p9_in *in, char *out)
{
	p9_get_text(in, out, P9_NAME_MAX + 1);
	return !in->bad && out[0] != '\0' && !strchr(out, '/');
}

/** Puts len bytes, all or none: what does not fit sets bad. */
void p9_put_bytes(struct p9_out *out, const void *data, size_t len)
{
	if (out->bad || len > out->cap - out->len) {
		out->bad = true;
		return;
	}
	memcpy(out->buf + out->len, data, len);
	out->len += len;
}

/** Puts the low 1 to 8 bytes of an integer. */
void p9_put(struct p9_out *out, uint64_t v, unsigned int bytes)
{
	uint8_t le[8];

	for (unsigned int i = 0; i < sizeof(le); i++) {
		le[i] = (uint8_t)(v >> (8 * i));
	}
	p9_put_bytes(out, le, bytes);
}

/**
 * Puts a string with its length; shorter than 64 KiB, as all names and link
 * targets are.
 */
void p9_put_text(struct p9_out *out, const char *text)
{
	size_t len = strlen(text);

	p9_put(out, len, 2);
	p9_put_bytes(out, text, len);
}

/**
 * A qid: kind, version (not kept: 0), inode number. Files of different file
 * systems may have the same: the client keeps apart what matters by fid.
 */
void p9_put_qid(struct p9_out *out, mode_t mode, uint64_t ino)
{
	p9_put(out, S_ISDIR(mode) ? QTDIR : S_ISLNK(mode) ? QTSYMLINK : 0, 1);
	p9_put(out, 0, 4);
	p9_put(out, ino, 8);
}
