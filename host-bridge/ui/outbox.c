/* SPDX-License-Identifier: MIT */
/* Frames that wait to be sent: see outbox.h. */
#include <stdlib.h>
#include <string.h>

#include "host-bridge/ui/outbox.h"

#define SIZE_FIRST	4096u

/* Room for len bytes more, behind len. */
static bool make_room(struct outbox *o, size_t len)
{
	size_t size = o->size ? o->size : SIZE_FIRST;
	uint8_t *bytes;

	/* What has gone is left behind: rarely, and never more than is kept. */
	if (o->at > o->size / 2) {
		memmove(o->bytes, o->bytes + o->at, o->len - o->at);
		o->len -= o->at;
		o->open = o->open && o->last >= o->at;
		o->last -= o->open ? o->at : 0;
		o->at = 0;
	}
	while (size < o->len + len) {
		size *= 2;
	}
	if (size == o->size) {
		return true;
	}
	bytes = realloc(o->bytes, size);
	if (bytes) {
		o->bytes = bytes;
		o->size = size;
	}
	return bytes != NULL;
}

/* The bytes of the last frame that may be added to it: it is output, whose head has
 * not gone yet. */
static size_t room_in_last(const struct outbox *o, enum agent_type type)
{
	size_t has = o->len - o->last - AGENT_HEADER;

	return o->open && type == AGENT_STDOUT && o->at <= o->last &&
	       has < OUTBOX_FRAME ? OUTBOX_FRAME - has : 0;
}

static void add(struct outbox *o, const void *data, size_t len)
{
	memcpy(o->bytes + o->len, data, len);
	o->len += len;
}

/**
 * One frame more, or, of output, as many as it takes. What is not STDOUT is short,
 * and always has room, but for memory.
 */
void outbox_frame(struct outbox *o, enum agent_type type, const void *data,
		  size_t len)
{
	const uint8_t *from = data;

	do {
		size_t room = room_in_last(o, type);
		size_t n = room ? room : OUTBOX_FRAME;

		n = n < len ? n : len;
		if ((type == AGENT_STDOUT && o->len - o->at + n > OUTBOX_MAX) ||
		    !make_room(o, AGENT_HEADER + n)) {
			o->lost = true;
			return;
		}
		if (!room) {
			uint8_t header[AGENT_HEADER];

			o->last = o->len;
			o->open = type == AGENT_STDOUT;
			agent_frame_header(header, type, (uint32_t)n);
			add(o, header, sizeof(header));
		} else {
			agent_frame_header(o->bytes + o->last, type,
				(uint32_t)(o->len - o->last - AGENT_HEADER + n));
		}
		add(o, from, n);
		from += n;
		len -= n;
	} while (len > 0);
}

/** See outbox.h. */
size_t outbox_rest(const struct outbox *o, const uint8_t **data)
{
	*data = o->bytes + o->at;
	return o->len - o->at;
}

/** The first len bytes of what waits have gone. */
void outbox_sent(struct outbox *o, size_t len)
{
	o->at += len;
	if (o->at == o->len) {
		o->at = o->len = 0;
		o->open = false;
	}
}

/** All frames are whole ones; none may be added. */
void outbox_text(struct outbox *o)
{
	size_t to = o->at;

	for (size_t at = o->at, len; at < o->len; at += AGENT_HEADER + len) {
		const uint8_t type = o->bytes[at];
		uint32_t length;

		memcpy(&length, o->bytes + at + 1, sizeof(length));
		len = length;
		if (type != AGENT_EXIT) {
			memmove(o->bytes + to, o->bytes + at + AGENT_HEADER, len);
			to += len;
		}
	}
	o->len = to;
	o->open = false;
}

/** It is empty again. */
void outbox_free(struct outbox *o)
{
	free(o->bytes);
	*o = (struct outbox){ 0 };
}
