/* SPDX-License-Identifier: MIT */
/*
 * 9P fields as this server wants them: strings as C has them, and qids of files
 * of Linux's. The codec is proto/'s. Pure.
 */
#include <string.h>

#include "agent_9p.h"

/**
 * Takes a string as text of less than size bytes, without NUL inside. out is
 * terminated in any case; what does not fit, or has a NUL, sets bad: a name cut
 * off would be another file's.
 */
void p9_get_text(struct p9_reader *in, char *out, size_t size)
{
	struct p9_str str = p9_getstr(in);

	out[0] = '\0';
	if (in->bad || str.len >= size || memchr(str.s, '\0', str.len)) {
		in->bad = true;
		return;
	}
	memcpy(out, str.s, str.len);
	out[str.len] = '\0';
}

/**
 * Takes the name of a directory entry (out holds P9_NAME_MAX + 1 bytes). False
 * if it cannot be one: empty, with a slash, or too long. "." and ".." pass:
 * what they mean is the operation's matter.
 */
bool p9_get_name(struct p9_reader *in, char *out)
{
	p9_get_text(in, out, P9_NAME_MAX + 1);
	return !in->bad && out[0] != '\0' && !strchr(out, '/');
}

/** Puts a string with its length. */
void p9_put_text(struct p9_writer *out, const char *text)
{
	p9_putstr(out, text, strlen(text));
}

/**
 * A qid: kind, version (not kept: 0), inode number. Files of different file
 * systems may have the same: the client keeps apart what matters by fid.
 */
struct p9_qid agent_qid(mode_t mode, uint64_t ino)
{
	return (struct p9_qid){
		.type = S_ISDIR(mode) ? P9_QTDIR :
			S_ISLNK(mode) ? P9_QTSYMLINK : 0,
		.path = ino,
	};
}

void p9_put_qid(struct p9_writer *out, mode_t mode, uint64_t ino)
{
	struct p9_qid qid = agent_qid(mode, ino);

	p9_putqid(out, &qid);
}
