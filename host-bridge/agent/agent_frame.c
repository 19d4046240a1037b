/* SPDX-License-Identifier: MIT */
/*
 * Encoding and decoding of agent frames; the peer (Linux) is not trusted. Pure:
 * no I/O, no state but the decoder. Integers are little-endian, as this
 * processor has them. The other end is guest/init/agent_proto.c.
 */
#include <stdio.h>
#include <string.h>

#include "host-bridge/agent/agent_frame.h"

/**
 * Encodes a request. Fields must not contain NUL, which separates them; the
 * last is not followed by one. Returns the bytes written, or 0 when they do
 * not fit.
 */
size_t agent_request(uint8_t *buf, size_t size, const char *const *fields)
{
	size_t at = 4;
	uint32_t len;

	for (size_t i = 0; fields[i]; i++) {
		size_t n = strlen(fields[i]);

		if (at + n + 1 > size) {
			return 0;
		}
		if (i > 0) {
			buf[at++] = 0;
		}
		memcpy(buf + at, fields[i], n);
		at += n;
	}
	len = (uint32_t)(at - 4);
	memcpy(buf, &len, 4);
	return at;
}

/**
 * What follows on the console is len bytes of a command's output ('o', 'e') or
 * its status in decimal ('x'), not the console's own text. The mark is what
 * Linux cannot know (stage.h): it makes the head ours. The bytes that follow are
 * passed as they are, since whoever reads knows how many there are.
 */
size_t agent_tool_frame(char head[AGENT_TOOL_HEAD], const char *mark, char type,
			size_t len)
{
	return (size_t)snprintf(head, AGENT_TOOL_HEAD, "%s%c%04x", mark, type,
				(unsigned)len);
}

/* A frame is complete. For a stream's nothing is left to do; EXIT must be four
 * bytes, any 32-bit status; ERROR is text, shown to the user. */
static int end_of_text(struct agent_decoder *dec,
		       const struct agent_sink *sink)
{
	uint32_t status;

	if (dec->header[0] == AGENT_ERROR) {
		/* AGENT_TEXT_MAX + 1 bytes: begin_frame() has bounded the
		 * length. */
		dec->text[dec->text_len] = '\0';
		sink->failed(sink->arg, dec->text);
	} else if (dec->header[0] == AGENT_EXIT) {
		if (dec->text_len != sizeof(status)) {
			return -1;
		}
		memcpy(&status, dec->text, sizeof(status));
		sink->exited(sink->arg, status);
	} else if (dec->header[0] == AGENT_FLUSH) {
		sink->flushed(sink->arg);
	}
	return 0;
}

/* The header is complete: is this a frame an agent may send us? Streams may
 * have any length, since nothing of them is kept; EXIT and ERROR are collected
 * and must fit; so must TAKEN's number, which who sends little input need not know;
 * FLUSH has nothing. The others go the other way only. */
static int begin_frame(struct agent_decoder *dec)
{
	memcpy(&dec->left, dec->header + 1, 4);
	dec->text_len = 0;
	switch (dec->header[0]) {
	case AGENT_STDOUT:
	case AGENT_STDERR:
		return 0;
	case AGENT_EXIT:
	case AGENT_ERROR:
		return dec->left <= AGENT_TEXT_MAX ? 0 : -1;
	case AGENT_TAKEN:
		return dec->left == 4 ? 0 : -1;
	case AGENT_FLUSH:
		return dec->left == 0 ? 0 : -1;
	default:
		return -1;
	}
}

/* Some bytes of the frame, at most what is left of it; begin_frame() has
 * bounded what is kept. data stays the caller's. */
static void payload(struct agent_decoder *dec, const struct agent_sink *sink,
		    const uint8_t *data, uint32_t len)
{
	enum agent_type type = dec->header[0];

	if (type == AGENT_STDOUT || type == AGENT_STDERR) {
		sink->output(sink->arg, type, data, len);
	} else {
		memcpy(dec->text + dec->text_len, data, len);
		dec->text_len += len;
	}
}

/**
 * Decodes what arrived, in pieces of any size; calls the sink for what is
 * complete. After -1 (unknown type, impossible length) the connection is of
 * no more use. The bytes are the peer's and may be anything.
 */
int agent_decode(struct agent_decoder *dec, const struct agent_sink *sink,
		 const void *data, size_t len)
{
	const uint8_t *at = data;
	const uint8_t *end = at + len;

	while (at < end) {
		size_t part = (size_t)(end - at);

		if (dec->header_len < AGENT_HEADER) {
			dec->header[dec->header_len++] = *at++;
			if (dec->header_len < AGENT_HEADER) {
				continue;
			}
			if (begin_frame(dec) != 0) {
				return -1;
			}
		} else {
			part = part < dec->left ? part : dec->left;
			payload(dec, sink, at, (uint32_t)part);
			at += part;
			dec->left -= (uint32_t)part;
		}
		/* Also at once after a header of length 0. */
		if (dec->left == 0) {
			dec->header_len = 0;
			if (end_of_text(dec, sink) != 0) {
				return -1;
			}
		}
	}
	return 0;
}
