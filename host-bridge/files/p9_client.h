/* SPDX-License-Identifier: MIT */
/*
 * A 9P2000.L client for Linux's files, which the agent serves. Calls wait for
 * their answer by a function of the caller's, which lets the event loop run;
 * one call at a time. The connection is made when it is first needed, and
 * again after it was lost; fids of the lost one are then EBADF. Paths begin at
 * Linux's root; links are followed by us, within that root.
 */
#ifndef ISTHMUS_P9_CLIENT_H
#define ISTHMUS_P9_CLIENT_H

#include "proto/p9.h"
#include "host-bridge/vsock/vsock.h"

struct p9_client;

/* Lets the event loop do its next work. Returns false to give the call up
 * (then EINTR): the user lost patience, or time is over. */
typedef bool (*p9_wait_fn)(void *arg);

struct p9_client *p9_client_new(struct vsock *vs, uint32_t port,
				p9_wait_fn wait, void *arg);
void p9_client_free(struct p9_client *c);

/* All return 0 or an errno value: what the server said, EINTR, EBUSY (called
 * from within another call), ECONNRESET and the like, EPROTO. */
int p9_client_stat(struct p9_client *c, const char *path, bool follow,
		   struct p9_attr *attr);
int p9_client_list(struct p9_client *c, const char *path,
		   bool (*fn)(void *arg, const char *name, size_t len),
		   void *arg);
int p9_client_open(struct p9_client *c, const char *path, bool create,
		   uint32_t *fid);
int p9_client_read(struct p9_client *c, uint32_t fid, uint64_t offset,
		   void *buf, size_t len, size_t *done);
int p9_client_write(struct p9_client *c, uint32_t fid, uint64_t offset,
		    const void *buf, size_t len, size_t *done);
void p9_client_close(struct p9_client *c, uint32_t fid);
int p9_client_mkdir(struct p9_client *c, const char *path);
/* A file, or an empty directory. */
int p9_client_remove(struct p9_client *c, const char *path);
int p9_client_rename(struct p9_client *c, const char *from, const char *to);

#endif
