/* SPDX-License-Identifier: MIT */
/*
 * The agent's control protocol as pure functions: no I/O, no state but what
 * is passed in. Everything in the buffers comes from the peer and is
 * believed only after a check.
 */
#include <stdio.h>
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
		req->tty = true;
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

/* What follows the fixed fields of exec and shell, key by key. Each returns NULL,
 * or what is wrong with the value. */

static const char *take_user(char *value, struct agent_request *req)
{
	req->user = value;
	return value[0] ? NULL : "a user expected";
}

static const char *take_dir(char *value, struct agent_request *req)
{
	req->dir = value;
	return value[0] == '/' ? NULL : "an absolute path expected";
}

/* A name as shells have them. [POSIX "Environment Variable Definition"] */
static const char *take_env(char *value, struct agent_request *req)
{
	static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz_0123456789";
	size_t len = strspn(value, first);

	if (len == 0 || value[len] != '=' ||
	    (value[0] >= '0' && value[0] <= '9')) {
		return "NAME=VALUE expected";
	}
	if (req->env_count == AGENT_ENV_MAX) {
		return "there are too many";
	}
	req->env[req->env_count++] = value;
	return NULL;
}

static const char *take_tty(char *value, struct agent_request *req)
{
	char *cols = strchr(value, 'x');

	if (cols) {
		*cols++ = '\0';
	}
	if (req->verb == AGENT_VERB_SHELL) {
		return "a shell has one";
	}
	req->tty = true;
	req->rows = parse_size(value);
	req->cols = parse_size(cols);
	return req->rows && req->cols ? NULL :
	       "ROWSxCOLS expected, each 1 to 65535";
}

static const char *take_distro(char *value, struct agent_request *req)
{
	size_t len = strlen(value);

	req->distro = value;
	return strcmp(value, "-") == 0 ||
	       (len <= AGENT_DISTRO_MAX && value[0] >= 'a' &&
		value[0] <= 'z' && len == strspn(value,
			"abcdefghijklmnopqrstuvwxyz0123456789.-")) ?
	       NULL : "the name of a distribution expected";
}

static const struct {
	const char *key;
	const char *(*take)(char *value, struct agent_request *req);
} options[] = {
	{ "user", take_user }, { "dir", take_dir }, { "env", take_env },
	{ "tty", take_tty }, { "distro", take_distro },
};

#define OPTIONS	(sizeof(options) / sizeof(options[0]))

/* The request is a bad one; of the key, which is anybody's, what can be shown. */
static void refuse_option(struct agent_request *req, const char *key, size_t len,
			  const char *why)
{
	char shown[33];
	size_t n = 0;

	for (; n < len && n < sizeof(shown) - 1; n++) {
		shown[n] = key[n] >= ' ' && key[n] <= '~' ? key[n] : '?';
	}
	shown[n] = '\0';
	snprintf(req->words, sizeof(req->words), "%s: %s", shown, why);
	req->error = req->words;
	req->verb = AGENT_VERB_BAD;
}

/* Of a request whose verb is known; NULL: there are none. */
static void parse_options(char *field, const char *end,
			  struct agent_request *req)
{
	unsigned seen = 0;
	char *next;

	for (; field && !req->error; field = next) {
		size_t len = strcspn(field, "="), i = 0;
		const char *why = "there is no such option";

		next = next_field(field, end);	/* before it is cut up */
		while (i < OPTIONS && (strlen(options[i].key) != len ||
				       memcmp(options[i].key, field, len) != 0)) {
			i++;
		}
		if (i < OPTIONS) {
			why = field[len] == '\0' ? "it has no value" :
			      seen & 1u << i ? "it is there twice" :
			      options[i].take(field + len + 1, req);
			seen |= options[i].take == take_env ? 0 : 1u << i;
		}
		if (why) {
			refuse_option(req, field, len, why);
		}
	}
}

/* The requests that have no options; each takes as many fields as it does. */
static void parse_plain(const char *verb, const char *const field[4],
			struct agent_request *req)
{
	const char *first = field[0];

	if (field[3] || (field[1] && strcmp(verb, "fork") != 0)) {
		req->error = "too many fields in the request";
	} else if (strcmp(verb, "fork") == 0) {
		parse_fork(first, field[1], field[2], req);
	} else if (strcmp(verb, "shutdown") == 0) {
		parse_shutdown(first, req);
	} else if (strcmp(verb, "watch") == 0) {
		req->command = first;
		req->verb = first ? AGENT_VERB_WATCH : AGENT_VERB_BAD;
		req->error = first ? NULL : "watch: a path expected";
	} else if (!first && strcmp(verb, "ping") == 0) {
		req->verb = AGENT_VERB_PING;
	} else if (!first && strcmp(verb, "freeze") == 0) {
		req->verb = AGENT_VERB_FREEZE;
	} else if (!first && strcmp(verb, "mount") == 0) {
		req->verb = AGENT_VERB_MOUNT;
	} else {
		req->error = "unknown request";
	}
}

/**
 * Takes a request apart. text has len bytes and a NUL of ours behind them;
 * what *req says points into it. A request that is not understood has the verb
 * AGENT_VERB_BAD and the reason in req->error, static text or req->words. An empty
 * field is a field; a command may be empty.
 */
void agent_parse_request(char *text, size_t len, struct agent_request *req)
{
	const char *end = text + len;
	char *field[4] = { next_field(text, end) };

	for (int i = 1; i < 4; i++) {
		field[i] = field[i - 1] ? next_field(field[i - 1], end) : NULL;
	}
	memset(req, 0, sizeof(*req));
	req->verb = AGENT_VERB_BAD;
	if (strcmp(text, "shell") == 0) {
		parse_shell(field[0], field[1], req);
		parse_options(field[2], end, req);
	} else if (strcmp(text, "exec") == 0) {
		req->command = field[0];
		req->verb = field[0] ? AGENT_VERB_EXEC : AGENT_VERB_BAD;
		req->error = field[0] ? NULL : "exec: a command expected";
		parse_options(field[1], end, req);
	} else {
		parse_plain(text, (const char *const *)field, req);
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
	    (frame->type != AGENT_STDIN && frame->type != AGENT_WINDOW &&
	     frame->type != AGENT_SIGNAL) ||
	    (frame->type == AGENT_WINDOW && frame->length != 4) ||
	    (frame->type == AGENT_SIGNAL && frame->length != 1)) {
		return AGENT_PARSE_BAD;
	}
	if (parser->have - AGENT_HEADER < frame->length) {
		return AGENT_PARSE_MORE;
	}
	return frame->type == AGENT_SIGNAL &&
	       !agent_signal_known(frame->payload[0]) ?
		AGENT_PARSE_BAD : AGENT_PARSE_FRAME;
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
