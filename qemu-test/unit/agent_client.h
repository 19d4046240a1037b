/* SPDX-License-Identifier: MIT */
/* A client of the agent's sessions, which run for real: a socket pair in the place
 * of vsock, the session in a child process. */
#ifndef AGENT_CLIENT_H
#define AGENT_CLIENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <cmocka.h>

#include "guest/init/agent.h"

#define OUTPUT_MAX	(4u << 20)
#define NO_STATUS	0xffffffffu
#define PATIENCE_MS	20000

struct client {
	int sock;
	pid_t pid;
	char *out[2];		/* stdout, stderr */
	size_t len[2];
	uint32_t status;	/* NO_STATUS until the exit frame */
	size_t flushed;		/* bytes of stdout before a flush, or 0 */
	size_t taken;		/* of stdin, as far as it was told */
	char error[256];
};

extern int send_buffer;		/* of the session; 0: as usual */
extern rlim_t descriptors;	/* it may have; 0: as usual */
extern bool old_kernel;		/* without pidfd_open() */

void open_session(struct client *c);
void close_session(struct client *c);
void request(struct client *c, const char *text, size_t len);
void exec_session(struct client *c, const char *command);
void send_frame(struct client *c, enum agent_type type, const void *data,
		uint32_t len);
/* Takes one frame; false at the end of the stream. */
bool take_frame(struct client *c);
void take_all(struct client *c);

#endif
