/* SPDX-License-Identifier: MIT */
/*
 * The agent's parts: protocol parsing (agent_proto.c, pure), sessions
 * (agent_session.c), their commands (agent_start.c) as a user (user.c),
 * watching files (agent_watch.c), what a template and its
 * children need (agent_fork.c), the 9P server (agent_9p*.c), the report to the host
 * (agent_ready.c), the time of day (agent_clock.c), the listeners (agent.c).
 * What they speak is in proto/agent.h; a client is the host.
 */
#ifndef GUEST_AGENT_H
#define GUEST_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <sys/types.h>

#include "proto/agent.h"

#define AGENT_REQUEST_MAX	65536u	/* bytes of a request */
#define AGENT_PAYLOAD_MAX	65536u	/* bytes of a frame's payload */
#define AGENT_NAME_MAX		64u	/* of a host name [hostname(7)] */
#define AGENT_DISTRO_MAX	31u	/* of a distribution's */
#define AGENT_WORDS_MAX		160u	/* of an error */

enum agent_verb {
	AGENT_VERB_BAD,
	AGENT_VERB_PING,
	AGENT_VERB_EXEC,
	AGENT_VERB_WATCH,
	AGENT_VERB_SHELL,
	AGENT_VERB_POWEROFF,
	AGENT_VERB_REBOOT,
	AGENT_VERB_FREEZE,
	AGENT_VERB_FORK,
	AGENT_VERB_MOUNT,
};

struct agent_request {
	enum agent_verb verb;
	const char *command;	/* EXEC, or WATCH's path: in the request */
	const char *name, *seed, *net;	/* FORK: there too */
	/* EXEC, SHELL: there too; NULL: not said. */
	const char *user, *dir, *distro;
	const char *env[AGENT_ENV_MAX];
	unsigned env_count;
	bool tty;		/* SHELL; EXEC if it says so; then: */
	uint16_t rows, cols;
	const char *error;	/* BAD: what is wrong, for the client */
	char words[AGENT_WORDS_MAX];	/* some of them are here */
};

/* Collects frames of the host from a byte stream. */
struct agent_parser {
	size_t have;		/* bytes in buf */
	uint8_t buf[AGENT_HEADER + AGENT_PAYLOAD_MAX];
};

struct agent_frame {
	uint8_t type;
	uint32_t length;
	const uint8_t *payload;
};

enum agent_parse {
	AGENT_PARSE_MORE,	/* no whole frame yet */
	AGENT_PARSE_FRAME,
	AGENT_PARSE_BAD,	/* not this protocol: give the client up */
};

uint32_t agent_get_le32(const uint8_t *p);
uint16_t agent_get_le16(const uint8_t *p);
void agent_put_le32(uint8_t *p, uint32_t v);
void agent_parse_request(char *text, size_t len, struct agent_request *req);
enum agent_parse agent_parse_frame(const struct agent_parser *parser,
				   struct agent_frame *frame);
size_t agent_parser_room(struct agent_parser *parser, uint8_t **where);
void agent_parser_drop(struct agent_parser *parser,
		       const struct agent_frame *frame);

/* The report to the host that this is ready. */
struct agent_ready {
	struct sockaddr_storage host;
	socklen_t len;
	int sock;		/* -1: not connected */
	bool said;
	bool done;		/* the host has answered */
	bool complained;	/* on the log */
};

void agent_ready_init(struct agent_ready *r, const void *host, socklen_t len);
int agent_ready_poll(const struct agent_ready *r, struct pollfd *p);
void agent_ready_step(struct agent_ready *r, const struct pollfd *p);

/* A command that runs. */
struct agent_child {
	pid_t pid;
	int in, out, err;	/* ours of its streams; -1: none */
};

bool agent_start(const struct agent_request *req, int sock,
		 struct agent_child *child, char words[AGENT_WORDS_MAX]);

bool agent_read_full(int fd, void *buf, size_t len);
bool agent_write_full(int fd, const void *buf, size_t len);
void agent_session(int sock);
int agent_watch(const char *path);

#define AGENT_CLOCK_MS	50	/* between two looks while the clock is put right */

struct agent_clock {
	int64_t behind_ns;	/* at the last look */
	bool follows;		/* the next one is AGENT_CLOCK_MS later */
};

bool agent_clock_ask(struct agent_clock *c, int64_t behind_ns,
		     const struct timex *now, struct timex *ask);
void agent_clock_soon(void);
int agent_clock_step(void);

int agent_freeze(void);
int agent_fork(const char *name, const char *seed, const char *net);
int agent_mount(void);
void agent_9p_serve(int sock, const char *root);

#endif
