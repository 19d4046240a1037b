/* SPDX-License-Identifier: MIT */
/*
 * The volume for Linux: the 9P server on vsock port VSOCK_PORT_9P.
 */
#ifndef ISTHMUS_P9_SERVICE_H
#define ISTHMUS_P9_SERVICE_H

struct volume;
struct vsock;

/* Serves vol from now on. Returns 0, EADDRINUSE or ENOMEM. */
int p9_service_start(struct vsock *vs, struct volume *vol);

#endif
