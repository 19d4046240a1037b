// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: what the host's file server tells a mount: fuse.h says when.
 */
#include "fuse.h"

void isthmus_fuse_notify(struct fuse_session *s, int code, const void *body,
			 u32 len)
{
}
