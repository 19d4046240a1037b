/* SPDX-License-Identifier: MIT */
/*
 * Frames of proto/sockets.h, as a Linux sends them: cut out of its bytes, however
 * they come, each length checked by what the type may have. Pure.
 */
#include <string.h>

#include "host-bridge/sockets/sockets_frame.h"

#define HEAD	sizeof(struct sockets_head)

struct kind {
	uint32_t type;
	enum sockets_phase phase;
	uint32_t least, most, unit;	/* bytes behind the head */
};

static const struct kind kinds[] = {
	{ SOCKETS_CONTROL, SOCKETS_FIRST, 0, 0, 1 },
	{ SOCKETS_OPEN, SOCKETS_FIRST, sizeof(struct sockets_open),
	  sizeof(struct sockets_open), 1 },
	{ SOCKETS_ACCEPT, SOCKETS_FIRST, sizeof(struct sockets_accept),
	  sizeof(struct sockets_accept), 1 },
	{ SOCKETS_PASS, SOCKETS_FIRST, 0, 0, 1 },
	{ SOCKETS_TAKE, SOCKETS_FIRST, sizeof(struct sockets_token),
	  sizeof(struct sockets_token), 1 },
	{ SOCKETS_LISTENS, SOCKETS_CONTROLS, sizeof(struct sockets_node),
	  sizeof(struct sockets_node), 1 },
	{ SOCKETS_GONE, SOCKETS_CONTROLS, sizeof(struct sockets_node),
	  sizeof(struct sockets_node), 1 },
	{ SOCKETS_DATA, SOCKETS_RELAYS, 0, SOCKETS_DATA_MAX, 1 },
	{ SOCKETS_FDS, SOCKETS_RELAYS, sizeof(struct sockets_fd),
	  SOCKETS_BODY_MAX, sizeof(struct sockets_fd) },
	{ SOCKETS_END, SOCKETS_RELAYS, 0, 0, 1 },
	{ SOCKETS_NOREAD, SOCKETS_RELAYS, 0, 0, 1 },
};

/* Whether such a frame may come now. */
static bool is_good(const struct sockets_frame *f, enum sockets_phase phase)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct kind *k = &kinds[i];

		if (k->type == f->head.type) {
			return k->phase == phase && f->head.len >= k->least &&
			       f->head.len <= k->most &&
			       f->head.len % k->unit == 0 &&
			       (!f->ended || k->type == SOCKETS_NOREAD);
		}
	}
	return false;
}

/* As many bytes as there are, up to size of them in all. */
static size_t fill(struct sockets_frame *f, void *to, size_t from, size_t size,
		   const uint8_t *data, size_t len)
{
	size_t want = from + size - f->have;
	size_t n = len < want ? len : want;

	memcpy((uint8_t *)to + f->have - from, data, n);
	f->have += (uint32_t)n;
	return n;
}

/** See sockets_frame.h. *used: how many it took; all, for MORE. */
enum sockets_is sockets_frame_take(struct sockets_frame *f,
				   enum sockets_phase phase,
				   const uint8_t *data, size_t len,
				   size_t *used)
{
	size_t kept, at = 0;

	if (f->have < HEAD) {
		at = fill(f, &f->head, 0, HEAD, data, len);
		if (f->have == HEAD && !is_good(f, phase)) {
			return SOCKETS_BAD;
		}
	}
	kept = f->have < HEAD || f->head.type == SOCKETS_DATA ? 0 : f->head.len;
	if (kept > 0) {
		at += fill(f, f->body, HEAD, kept, data + at, len - at);
	}
	*used = at;
	if (f->have < HEAD + kept) {
		return SOCKETS_MORE;
	}
	f->through = f->head.type == SOCKETS_DATA ? f->head.len : 0;
	f->ended |= f->head.type == SOCKETS_END;
	return SOCKETS_FRAME;
}

/** See sockets_frame.h. */
void sockets_frame_next(struct sockets_frame *f)
{
	f->have = 0;
	f->through = 0;
}
