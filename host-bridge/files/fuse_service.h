/* SPDX-License-Identifier: MIT */
/* Files for Linux: the FUSE server on vsock port FUSE_CHANNEL_PORT. */
#ifndef ISTHMUS_FUSE_SERVICE_H
#define ISTHMUS_FUSE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fuse_server;
struct fuse_service;
struct vsock;

/* The server's own turns in the loop, once. Returns 0 or ENOMEM. */
int fuse_service_run(struct fuse_server *server);
/* Serves a Linux at the other end of vs from now on; vs is the peer whose the
 * sessions are. NULL: no memory, or somebody has the port. */
struct fuse_service *fuse_service_start(struct vsock *vs,
					struct fuse_server *server);
/* What of it that Linux has, when it mounts next: a folder by its inode, 0: nothing.
 * At first it is all, VOLUME_ROOT. service may be NULL. */
void fuse_service_give(struct fuse_service *service, uint32_t root,
		       bool read_only);
/* What Linux has not written yet shall be; what was changed here it shall
 * know. Both run the loop. */
void fuse_service_recall(struct fuse_server *server);
void fuse_service_settle(struct fuse_server *server);
void fuse_service_lock(struct fuse_server *server, uint32_t ino, uint32_t dir,
		       const char *name, size_t len);

#endif
