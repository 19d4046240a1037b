/* SPDX-License-Identifier: MIT */
/*
 * Frames of the agent's control protocol, as the host partition speaks it:
 * one request, then frames both ways. Pure.
 */
#ifndef ISTHMUS_AGENT_FRAME_H
#define ISTHMUS_AGENT_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "proto/agent.h"

#define AGENT_TEXT_MAX	200u
#define AGENT_TOOL_HEAD	32u	/* room for the head of a frame to the tool */

/* Of zeroes for the first byte of a connection. */
struct agent_decoder {
	uint8_t header[AGENT_HEADER];
	unsigned header_len;
	uint32_t left;		/* payload bytes of this frame to come */
	char text[AGENT_TEXT_MAX + 1];	/* of EXIT and ERROR frames */
	unsigned text_len;
};

/* What a decoder found; a stream's payload comes in pieces. */
struct agent_sink {
	void (*output)(void *arg, enum agent_type type, const void *data,
		       size_t len);
	void (*exited)(void *arg, uint32_t status);
	void (*failed)(void *arg, const char *text);
	/* What output() got until now is of no more use. */
	void (*flushed)(void *arg);
	void *arg;
};

/* Takes len bytes as they came. Returns 0, or -1 when the peer does not
 * speak the protocol: nothing more can be decoded then. */
int agent_decode(struct agent_decoder *dec, const struct agent_sink *sink,
		 const void *data, size_t len);
/* Writes the head of a frame for the tool on the build machine: mark, type, four
 * hexadecimal digits of len (at most 0xffff). Returns its characters. */
size_t agent_tool_frame(char head[AGENT_TOOL_HEAD], const char *mark, char type,
			size_t len);
/* Writes a request of fields (NULL-terminated list) to buf: length, fields
 * separated by NUL. Returns its bytes, 0 when buf is too small. */
size_t agent_request(uint8_t *buf, size_t size, const char *const *fields);

#endif
