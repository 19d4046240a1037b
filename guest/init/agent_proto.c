/* SPDX-License-Identifier: MIT */
/*
 * The agent's control protocol as pure functions: no I/O, no state but what
 * is passed in. Everything in the buffers comes from the peer and is
 * believed only after a check.
 */
#include <stdlib.h>
#include <string.h>

#include "agent.h"

/** Little-endian fields at any alignment. */
uint32_t agent_get_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

uint16_t agent_get_le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

void agent_put_le32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++) {
		p[i] = (uint8_t)(v >> (8 * i));
	}
}

/* The field after this one, or NULL if it was the last. Ends are safe: the
 * buffer has a NUL of ours at end. */
static char *next_field(char *field, const char *end)
{
	char *next = field + strlen(field) + 1;

	return next <= end ? next : NULL;
}

/* A decimal number of 1..65535 and nothing else; 0 if it is not one. */
static uint16_t parse_size(const char *text)
{
	char *end;
	unsigned long v;

	if (!text || text[0] < '0' || text[0] > '9') {
		return 0;
	}
	v = strtoul(text, &end, 10);
	return *end == '\0' && v <= UINT16_MAX ? (uint16_t)v : 0;
}

/* The arguments of a verb, NULL when they are missing: sets verb, or error. */
static void parse_shell(const char *rows, const char *cols,
			struct agent_request *req)
{
	req->rows = parse_size(rows);
	req->cols = parse_size(cols);
	if (req->rows == 0 || req->cols == 0) {
		req->error = "shell: rows and columns must be 1 to 65535";
	} else {
		req->verb = AGENT_VERB_SHELL;
	}
}

static void parse_shutdown(const char *how, struct agent_request *req)
{
	if (how && strcmp(how, "poweroff") == 0) {
		req->verb = AGENT_VERB_POWEROFF;
	} else if (how && strcmp(how, "reboot") == 0) {
		req->verb = AGENT_VERB_REBOOT;
	} else {
		req->error = "shutdown: poweroff or reboot expected";
	}
}

/* A child's name and what it has for itself, in the form that the host gives
 * it. */
static void parse_fork(const char *name, const char *seed, const char *net,
		       struct agent_request *req)
{
	req->name = name;
	req->seed = seed;
	req->net = net;
	if (!name || !name[0] || strlen(name) > AGENT_NAME_MAX || !seed ||
	    strlen(seed) != AGENT_SEED ||
	    strspn(seed, "0123456789abcdef") != AGENT_SEED || !net) {
		req->error = "fork: a name, a seed and a network expected";
	} else {
		req->verb = AGENT_VERB_FORK;
	}
}

/**
 * Takes a request apart. text has len bytes and a NUL of ours behind them;
 * req->command points into it. A request that is not understood has the verb
 * AGENT_VERB_BAD and the reason in req->error, static text. An empty field is a
 * field; a command may be empty.
 */
void agent_parse_request(char *text, size_t len, struct agent_request *req)
{
	const char *end = text + len;
	char *first = next_field(text, end);
	char *second = first ? next_field(first, end) : NULL;
	char *third = second ? next_field(second, end) : NULL;
	char *fourth = third ? next_field(third, end) : NULL;

	*req = (struct agent_request){ .verb = AGENT_VERB_BAD };
	if (fourth) {
		req->error = "too many fields in the request";
	} else if (strcmp(text, "fork") == 0) {
		parse_fork(first, second, third, req);
	} else if (!third && strcmp(text, "shell") == 0) {
		parse_shell(first, second, req);
	} else if (second) {
		req->error = "too many fields in the request";
	} else if (strcmp(text, "shutdown") == 0) {
		parse_shutdown(first, req);
	} else if (strcmp(text, "exec") == 0) {
		req->command = first;
		req->verb = first ? AGENT_VERB_EXEC : AGENT_VERB_BAD;
		req->error = first ? NULL : "exec: a command expected";
	} else if (strcmp(text, "watch") == 0) {
		req->command = first;
		req->verb = first ? AGENT_VERB_WATCH : AGENT_VERB_BAD;
		req->error = first ? NULL : "watch: a path expected";
	} else if (!first && strcmp(text, "ping") == 0) {
		req->verb = AGENT_VERB_PING;
	} else if (!first && strcmp(text, "freeze") == 0) {
		req->verb = AGENT_VERB_FREEZE;
	} else if (!first && strcmp(text, "mount") == 0) {
		req->verb = AGENT_VERB_MOUNT;
	} else {
		req->error = "unknown request";
	}
}

/**
 * Looks for a whole frame at the start of what has been collected. On
 * AGENT_PARSE_FRAME *frame describes it; it stays until agent_parser_drop().
 * Only frames a host may send are accepted, of a length that the buffer holds:
 * so AGENT_PARSE_MORE always comes to an end.
 */
enum agent_parse agent_parse_frame(const struct agent_parser *parser,
				   struct agent_frame *frame)
{
	if (parser->have < AGENT_HEADER) {
		return AGENT_PARSE_MORE;
	}
	frame->type = parser->buf[0];
	frame->length = agent_get_le32(parser->buf + 1);
	frame->payload = parser->buf + AGENT_HEADER;
	if (frame->length > AGENT_PAYLOAD_MAX ||
	    (frame->type != AGENT_STDIN && frame->type != AGENT_WINDOW) ||
	    (frame->type == AGENT_WINDOW && frame->length != 4)) {
		return AGENT_PARSE_BAD;
	}
	return parser->have - AGENT_HEADER < frame->length ?
		AGENT_PARSE_MORE : AGENT_PARSE_FRAME;
}

/**
 * Where the next received bytes belong, and how many fit. Never 0 after
 * AGENT_PARSE_MORE; may be 0 while a whole frame waits to be used. The caller
 * adds what it stored to parser->have.
 */
size_t agent_parser_room(struct agent_parser *parser, uint8_t **where)
{
	*where = parser->buf + parser->have;
	return sizeof(parser->buf) - parser->have;
}

/**
 * Removes a frame that agent_parse_frame() has found and that was used. Bytes
 * behind it move to the front.
 */
void agent_parser_drop(struct agent_parser *parser,
		       const struct agent_frame *frame)
{
	size_t used = AGENT_HEADER + frame->length;

	parser->have -= used;
	memmove(parser->buf, parser->buf + used, parser->have);
}
