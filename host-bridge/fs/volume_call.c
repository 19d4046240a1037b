/* SPDX-License-Identifier: MIT */
/* Calls of the volume that wait in the loop. The disk's driver sees to it that none
 * waits for ever. */
#include <errno.h>

#include "host-bridge/fs/volume_call.h"
#include "host-bridge/loop/loop.h"

static void on_ready(struct volume_wait *wait)
{
	(void)wait;
}

/** See volume_call.h. */
int volume_call_turn(struct volume_call *call)
{
	if (call->turns == NULL) {
		return 0;
	}
	call->wait.ready = on_ready;
	if (call->changes) {
		return call->turns->begin(call->turns, &call->wait);
	}
	call->turns->look(call->turns, &call->wait);
	return 0;
}

/** See volume_call.h. */
bool volume_call_again(struct volume_call *call, int error)
{
	if (call->turns != NULL && error == EAGAIN) {
		loop_step(LOOP_FOREVER);
		return true;
	}
	if (call->turns != NULL) {
		call->turns->end(call->turns, &call->wait);
	}
	return false;
}

/** See volume_call.h. Returns 0 or EIO. */
int volume_call_sync(struct volume *vol, struct volume_turns *turns)
{
	struct volume_call call = { .turns = turns };
	int error;

	do {
		error = volume_call_turn(&call);
		if (error == 0) {
			error = turns != NULL
				? turns->sync(turns, &call.wait)
				: volume_flush(vol);
		}
	} while (volume_call_again(&call, error));
	return error;
}
