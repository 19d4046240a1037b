/* SPDX-License-Identifier: MIT */
/*
 * FUSE requests about extended attributes, of all name spaces: whether a caller
 * may see one is checked by Linux.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/files/fuse_ops.h"

/* Of setxattr(2). */
#define XATTR_FLAGS	(VOLUME_XATTR_CREATE | VOLUME_XATTR_REPLACE)

/* Answers with a value, whose memory it frees, or with its size if size is 0;
 * ERANGE if there is less room. */
static int value_put(struct fuse_request *r, void *value, size_t len,
		     uint32_t size)
{
	struct fuse_getxattr_out *out = (void *)r->out;
	int error = 0;

	if (size == 0) {
		*out = (struct fuse_getxattr_out){ .size = (uint32_t)len };
		r->out_len = sizeof(*out);
	} else if (len > size) {
		error = ERANGE;
	} else if (len > FUSE_CHANNEL_DATA_MAX) {
		error = E2BIG;
	} else {
		if (len > 0) {
			memcpy(r->out, value, len);
		}
		r->out_len = (uint32_t)len;
	}
	free(value);
	return error;
}

/** GETXATTR: fuse_getxattr_in name -> the value, or fuse_getxattr_out. */
int fuse_getxattr(struct fuse_request *r)
{
	const struct fuse_getxattr_in *in = r->arg;
	void *value;
	size_t len;
	int error = volume_xattr_get(r->vol, r->node->ino, r->name[0].s,
				     &value, &len);

	return error != 0 ? error : value_put(r, value, len, in->size);
}

/** LISTXATTR: fuse_getxattr_in -> names, each with a NUL; as above. */
int fuse_listxattr(struct fuse_request *r)
{
	const struct fuse_getxattr_in *in = r->arg;
	void *names;
	size_t len;
	int error = volume_xattr_list(r->vol, r->node->ino, &names, &len);

	return error != 0 ? error : value_put(r, names, len, in->size);
}

/**
 * SETXATTR: fuse_setxattr_in, of which the second half is there only if INIT said
 * so, name, value.
 */
int fuse_setxattr(struct fuse_request *r)
{
	bool ext = (r->session->init_flags & FUSE_SETXATTR_EXT) != 0;
	uint32_t head = ext ? sizeof(struct fuse_setxattr_in)
			    : FUSE_COMPAT_SETXATTR_IN_SIZE;
	struct fuse_setxattr_in in = { 0 };
	const char *name = (const char *)r->data + head, *end;
	uint32_t left;
	unsigned flags;

	if (r->data_len < head) {
		return EINVAL;
	}
	memcpy(&in, r->data, head);
	left = r->data_len - head;
	end = memchr(name, '\0', left);
	if (end == NULL || left - (uint32_t)(end + 1 - name) != in.size ||
	    (in.flags & ~XATTR_FLAGS) != 0 ||
	    (in.setxattr_flags & ~FUSE_SETXATTR_ACL_KILL_SGID) != 0) {
		return EINVAL;
	}
	if (in.size > FUSE_XATTR_MAX) {
		return E2BIG;
	}
	flags = in.flags;
	if ((in.setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID) != 0) {
		flags |= VOLUME_XATTR_KILL_SGID;
	}
	return volume_xattr_set(r->vol, r->node->ino, name, end + 1, in.size,
				flags);
}

/** REMOVEXATTR: name. */
int fuse_removexattr(struct fuse_request *r)
{
	return volume_xattr_remove(r->vol, r->node->ino, r->name[0].s);
}
