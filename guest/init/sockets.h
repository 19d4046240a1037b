/* SPDX-License-Identifier: MIT */
/*
 * Sockets under /mnt/host to and from other Linuxes, the agent's part
 * (docs/sockets.md): connections to the host (sockets_host.c), descriptors that are
 * passed (sockets_fds.c), one connection's bytes (sockets_relay.c), which sockets
 * there are (sockets_watch.c, sockets_stand.c), the process itself (sockets.c).
 */
#ifndef GUEST_SOCKETS_H
#define GUEST_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/sockets.h"

/* Serves one connection in a process of its own; closes nothing of the caller's. */
typedef void sockets_start(int unix_fd, int vsock);

bool sockets_mount(void);
int sockets_open_node(uint64_t nodeid, int flags);
bool sockets_node_of(int fd, uint64_t *nodeid);
int sockets_host(void);
bool sockets_send(int vsock, uint32_t type, const void *body, size_t len);

bool sockets_fds_tell(const int *fds, unsigned count, struct sockets_fd *to,
		      sockets_start *start);
bool sockets_fds_make(const struct sockets_fd *from, unsigned count, int *fds,
		      sockets_start *start);

void sockets_relay(int unix_fd, int vsock);

/* A user and group, for a call that looks at these, and back. */
bool sockets_become(uint32_t uid, uint32_t gid);
void sockets_be_root(void);
void sockets_speak_as(uint32_t uid, uint32_t gid);

void sockets_watch(const struct sockets_node *node, const char *name,
		   size_t len);
int sockets_watch_look(int control);
int sockets_watch_fd(uint64_t nodeid);
void sockets_watch_end(void);

void sockets_stand(const struct sockets_open *offer);
void sockets_stand_down(uint64_t nodeid);
unsigned sockets_stand_count(void);
int sockets_stand_fd(unsigned i, struct sockets_open *offer);
void sockets_stand_end(void);

#endif
