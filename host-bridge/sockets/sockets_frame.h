/* SPDX-License-Identifier: MIT */
/* Frames of proto/sockets.h from a Linux's bytes: sockets_frame.c. */
#ifndef ISTHMUS_SOCKETS_FRAME_H
#define ISTHMUS_SOCKETS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/sockets.h"

#define SOCKETS_BODY_MAX	(SOCKETS_FDS_MAX * sizeof(struct sockets_fd))

/* What a connection is, by which it is said what may come. OWN: as RELAYS, to the host
 * itself. */
enum sockets_phase {
	SOCKETS_FIRST, SOCKETS_CONTROLS, SOCKETS_RELAYS, SOCKETS_OWN,
};

enum sockets_is { SOCKETS_MORE, SOCKETS_FRAME, SOCKETS_BAD };

struct sockets_frame {
	struct sockets_head head;
	_Alignas(8) uint8_t body[SOCKETS_BODY_MAX];
	uint32_t have;		/* of head and body */
	uint32_t through;	/* DATA: bytes behind the head, not kept */
	bool ended;		/* END was there */
};

/* Takes bytes up to the end of a frame that is kept, of DATA its head. After
 * SOCKETS_FRAME sockets_frame_next() is due, when what it says was done and, of
 * DATA, its bytes are gone. */
enum sockets_is sockets_frame_take(struct sockets_frame *f,
				   enum sockets_phase phase,
				   const uint8_t *data, size_t len,
				   size_t *used);
void sockets_frame_next(struct sockets_frame *f);

#endif
