/* SPDX-License-Identifier: MIT */
/*
 * The agent's parts: protocol parsing (agent_proto.c, pure), sessions
 * (agent_session.c), the 9P server (agent_9p*.c), the report to the host
 * (agent_ready.c), the listeners (agent.c).
 *
 * Control protocol, one connection a session, all integers little-endian:
 *   client, once:  u32 length, then fields separated by NUL bytes:
 *     "ping" | "exec\0COMMAND" | "shell\0ROWS\0COLS" |
 *     "shutdown\0poweroff" | "shutdown\0reboot"
 *   then both ways, frames: u8 type, u32 length, payload.
 * The session ends with one frame of type EXIT or ERROR from the agent. A
 * client that closes the connection has gone: its command gets SIGHUP.
 */
#ifndef GUEST_AGENT_H
#define GUEST_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <sys/socket.h>

#define AGENT_PORT		1023u	/* control */
#define AGENT_PORT_9P		1022u	/* Linux's files, 9P2000.L */
#define AGENT_HOST_READY_PORT	1024u	/* the host's: gets "ready\n" */

#define AGENT_REQUEST_MAX	65536u	/* bytes of a request */
#define AGENT_PAYLOAD_MAX	65536u	/* bytes of a frame's payload */
#define AGENT_FRAME_HEADER	5u

enum agent_frame_type {
	AGENT_STDOUT = 1,	/* agent to host */
	AGENT_STDERR = 2,	/* agent to host */
	AGENT_STDIN = 3,	/* host to agent; empty: end of file */
	AGENT_EXIT = 4,		/* u32: exit code, or 128 + signal */
	AGENT_WINDOW = 5,	/* host to agent: u16 rows, u16 columns */
	AGENT_ERROR = 6,	/* text: the request failed before it began */
};

enum agent_verb {
	AGENT_VERB_BAD,
	AGENT_VERB_PING,
	AGENT_VERB_EXEC,
	AGENT_VERB_SHELL,
	AGENT_VERB_POWEROFF,
	AGENT_VERB_REBOOT,
};

struct agent_request {
	enum agent_verb verb;
	const char *command;	/* EXEC: inside the request's buffer */
	uint16_t rows, cols;	/* SHELL */
	const char *error;	/* BAD: what is wrong, for the client */
};

/* Collects frames of the host from a byte stream. */
struct agent_parser {
	size_t have;		/* bytes in buf */
	uint8_t buf[AGENT_FRAME_HEADER + AGENT_PAYLOAD_MAX];
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
void agent_frame_header(uint8_t *out, enum agent_frame_type type,
			uint32_t length);
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
	bool complained;	/* on the log, since it was last said */
};

void agent_ready_init(struct agent_ready *r, const void *host, socklen_t len);
int agent_ready_poll(const struct agent_ready *r, struct pollfd *p);
void agent_ready_step(struct agent_ready *r, const struct pollfd *p);

bool agent_read_full(int fd, void *buf, size_t len);
bool agent_write_full(int fd, const void *buf, size_t len);
void agent_session(int sock);
void agent_9p_serve(int sock, const char *root);

#endif
