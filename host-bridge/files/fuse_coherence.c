/* SPDX-License-Identifier: MIT */
/*
 * What keeps the sessions' caches right: nothing yet, so there may be one writer
 * only.
 */
#include "host-bridge/files/fuse_server_int.h"

/** No request waits. */
struct fuse_later_request **fuse_coherence_before(struct fuse_request *r)
{
	(void)r;
	return NULL;
}

/** No reply waits. */
struct fuse_later_reply **fuse_coherence_after(struct fuse_request *r,
					       int error)
{
	(void)r;
	(void)error;
	return NULL;
}

/** No file is shared. */
uint32_t fuse_coherence_open(struct fuse_session *s, struct fuse_node *node)
{
	(void)s;
	(void)node;
	return 0;
}

/** Nothing is known of nodes. */
void fuse_coherence_closed(struct fuse_session *s, struct fuse_node *node)
{
	(void)s;
	(void)node;
}

/** Nothing waits. */
void fuse_coherence_acked(struct fuse_session *s)
{
	(void)s;
}

/** Nothing waits. */
void fuse_coherence_gone(struct fuse_session *s)
{
	(void)s;
}
