/* SPDX-License-Identifier: MIT */
/*
 * Calls of the volume from top-level code, which waits in the loop until what they
 * need is there: as calls of a volume in memory, of which turns is NULL.
 */
#ifndef ISTHMUS_VOLUME_CALL_H
#define ISTHMUS_VOLUME_CALL_H

#include "host-bridge/blk/cache.h"
#include "host-bridge/fs/volume.h"

struct volume_call {
	struct volume_turns *turns;
	bool changes;
	struct volume_wait wait;
};

/* Before each try: 0, or what its result is. */
int volume_call_turn(struct volume_call *call);
/* After it: whether there is to be another. */
bool volume_call_again(struct volume_call *call, int error);
/* Makes lasting all that was done before. */
int volume_call_sync(struct volume *vol, struct volume_turns *turns);

#define VOLUME_CALL(turns, changes, function) __extension__ ({ \
	struct volume_call call_ = { (turns), (changes), { 0 } }; \
	int error_; \
 \
	do { \
		error_ = volume_call_turn(&call_); \
		if (error_ == 0) { \
			error_ = (function); \
		} \
	} while (volume_call_again(&call_, error_)); \
	error_; })

/* An expression that calls one of its functions, for one that changes nothing, and
 * for one that does. */
#define VOLUME_LOOK(turns, function)	VOLUME_CALL(turns, false, function)
#define VOLUME_CHANGE(turns, function)	VOLUME_CALL(turns, true, function)

#endif
