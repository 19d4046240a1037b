/* SPDX-License-Identifier: MIT */
/* Sessions with agents over the network: see control.c. */
#ifndef ISTHMUS_CONTROL_H
#define ISTHMUS_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

struct guest;
struct vsock;

/* Finds a Linux by its name in the manifest, the first for "": itself, and the
 * channel to it. False: there is none of that name, or it has no channel. */
typedef bool control_find(const char *name, struct guest **guest,
			  struct vsock **vs);

struct control_status {
	uint16_t port;			/* 0: the service is off */
	unsigned sessions, most;	/* now; that there can be */
	uint64_t began, wrong, refused;	/* of all times */
};

/* From now on, on that TCP port, for who knows the key: 64 hexadecimal digits. What is
 * wrong, or not there (NULL), is said. */
void control_start(const char *port, const char *key, control_find *find);
void control_get_status(struct control_status *status);

#endif
