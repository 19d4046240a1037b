/* SPDX-License-Identifier: MIT */
/*
 * Frames of proto/agent.h that wait to be sent: bytes in memory, of one command's
 * output. Output that comes in small pieces becomes few frames.
 */
#ifndef ISTHMUS_OUTBOX_H
#define ISTHMUS_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/agent.h"

/* So much of STDOUT may wait; what is more is lost. */
#define OUTBOX_MAX	(512u << 10)
#define OUTBOX_FRAME	16384u		/* the longest payload that is made */

/* All 0 is an empty one. */
struct outbox {
	uint8_t *bytes;
	size_t at, len, size;		/* those from at to len wait */
	size_t last;			/* where the last frame begins, .. */
	bool open;			/* .. if it may become longer */
	bool lost;			/* some was, for want of room or memory */
};

void outbox_frame(struct outbox *o, enum agent_type type, const void *data,
		  size_t len);
/* What waits; returns how much. */
size_t outbox_rest(const struct outbox *o, const uint8_t **data);
void outbox_sent(struct outbox *o, size_t len);
/* What waits is from now on only the text of output, STDOUT and STDERR alike. */
void outbox_text(struct outbox *o);
void outbox_free(struct outbox *o);

#endif
