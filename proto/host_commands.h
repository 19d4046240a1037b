/* SPDX-License-Identifier: MIT */
/*
 * Commands of the host's console for programs in Linux: a vsock connection for each.
 * Linux sends the line, as it would be typed, and LF, and no more. The host answers
 * with frames of proto/agent.h: STDOUT and STDERR as it comes, at last EXIT; then it
 * ends the connection. Who ends it before has the command ended.
 */
#ifndef ISTHMUS_PROTO_HOST_COMMANDS_H
#define ISTHMUS_PROTO_HOST_COMMANDS_H

#include "proto/agent.h"

#define HOST_COMMANDS_PORT	568u		/* the host's */
#define HOST_COMMANDS_LINE	1024u		/* bytes, LF included */
/* Those that change something are for Linux's root: who has a port below it. */
#define HOST_COMMANDS_RIGHT	1024u

/* EXIT's status, beside 0. Why is in STDERR; of a command that has failed it says so
 * itself, in STDOUT. */
#define HOST_COMMANDS_FAILED	1u	/* or was ended early, or output lost */
#define HOST_COMMANDS_BUSY	75u	/* the console does another */
#define HOST_COMMANDS_REFUSED	126u	/* not among those for this Linux */
#define HOST_COMMANDS_UNKNOWN	127u

#endif
