/* SPDX-License-Identifier: MIT */
/*
 * Room agent: the program of ours inside a Linux, seen from here. Does not trust
 * it: root in Linux can be the agent. May include the rooms up to guest.
 *
 * Client of the agent in a Linux: runs a command or a shell there and shows
 * its output on the console. One session at a time for each; the calls that
 * wait are for top-level code (they run the event loop).
 */
#ifndef ISTHMUS_AGENT_H
#define ISTHMUS_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AGENT_AHEAD	64u

struct agent;
struct guest;
struct vsock;

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

/* The agent in guest, at the other end of vs: listens for its "ready". NULL:
 * no memory, or somebody listens already. */
struct agent *agent_new(struct guest *guest, struct vsock *vs);
/* Keys that were typed before a shell was there, AGENT_AHEAD of them at most: the
 * next AGENT_TERMINAL request's input begins with them. */
void agent_typed_ahead(struct agent *agent, const uint8_t *keys, size_t len);
/* Runs a request (NULL-terminated fields) to its end. */
enum agent_result agent_run(struct agent *agent, const char *const *fields,
			    enum agent_mode mode, uint32_t *status);
/* fn is called, at top level, after each turn in which an agent_run() waits: it may
 * do what ends by itself, and wait, but not use an agent. One in all. */
void agent_on_wait(void (*fn)(void));
/* Whether an agent_run() waits. */
bool agent_waits(void);
/* Sends a request whose outcome is not waited for. 0 or an errno value. */
int agent_tell(struct agent *agent, const char *const *fields, uint32_t *status);
/* The time of day is another one, or goes faster or slower, from now on. From
 * anywhere; nothing comes back. */
void agent_clock(struct agent *agent);
const char *agent_error(const struct agent *agent);

#endif
