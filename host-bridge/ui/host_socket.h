/* SPDX-License-Identifier: MIT */
/* The host's own socket under /mnt/host: host_socket.c. */
#ifndef ISTHMUS_HOST_SOCKET_H
#define ISTHMUS_HOST_SOCKET_H

struct command_env;

/* From now on it is at that path of the volume's, of *all, which must stay. Returns 0
 * or an errno value: EEXIST, something else is there. Top level. */
int host_socket_serve(const struct command_env *all, const char *path);

#endif
