/* SPDX-License-Identifier: MIT */
/*
 * Client of the agent in Linux: runs a command or a shell there and shows
 * its output on the console. One session at a time; the calls that wait are
 * for top-level code (they run the event loop).
 */
#ifndef ISTHMUS_AGENT_H
#define ISTHMUS_AGENT_H

#include <stddef.h>
#include <stdint.h>

#include "host-bridge/vsock/vsock.h"

enum agent_result {
	AGENT_EXITED,		/* *status is valid */
	AGENT_DETACHED,		/* the user left it */
	AGENT_FAILED,		/* agent_error() says why */
};

/* How output is shown. */
enum agent_mode {
	AGENT_PLAIN,		/* text; ctrl-c ends the command */
	AGENT_FRAMES,		/* frames for the tool on the build machine */
	AGENT_TERMINAL,		/* raw both ways; ctrl-] detaches */
};

/* Listens for Linux's "ready". Returns 0 or an errno value. */
int agent_init(struct vsock *vs);
/* Runs a request (NULL-terminated fields) to its end. */
enum agent_result agent_run(const char *const *fields, enum agent_mode mode,
			    uint32_t *status);
/* Sends a request whose outcome is not waited for. 0 or an errno value. */
int agent_tell(const char *const *fields);
const char *agent_error(void);

#endif
