/* SPDX-License-Identifier: MIT */
/*
 * Where another program may follow this one, a change is answered when it is lasting:
 * what the volume has in memory goes with this program, and Linux does not do again
 * what was answered. Changes go to the disk together, in rounds of the journal, so
 * that many that come at once wait for the same. [docs/restart.md]
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/files/fuse_legacy.h"
#include "host-bridge/files/linux_errno.h"
#include "host-bridge/rt/container.h"

/* volume_wait.ready */
static void on_ready(struct volume_wait *wait)
{
	CONTAINER(wait, struct fuse_server, lasting_wait)->lasting_due = true;
}

/** Whether it is so with a new server. */
void fuse_lasting_begin(struct fuse_server *server)
{
	server->leaves = legacy_on() && server->turns != NULL &&
			 volume_transaction(server->vol) != 0;
	server->lasting_wait.ready = on_ready;
}

/** The round that must be lasting before a request is answered; 0: none. */
uint64_t fuse_lasting_round(const struct fuse_request *r, int error)
{
	return r->session->server->leaves && r->changed && error == 0
	       ? volume_running(r->vol) : 0;
}

/** Where its reply waits for that. */
struct fuse_later_reply **fuse_lasting_list(struct fuse_server *server)
{
	server->lasting_due = true;
	return &server->lasting_first;
}

/* It is not, and will not be. */
static void make_error(struct fuse_later_reply *waiting, int error)
{
	struct fuse_out_header header;

	memcpy(&header, waiting->bytes, sizeof(header));
	header.len = sizeof(header);
	header.error = -linux_errno(error);
	memcpy(waiting->bytes, &header, sizeof(header));
	waiting->len = sizeof(header);
}

/** Sends those replies whose changes are lasting, in their order; asks for the
 * others to become so. */
void fuse_lasting_go_on(struct fuse_server *server)
{
	struct fuse_later_reply *first;

	server->lasting_due = false;
	while ((first = server->lasting_first) != NULL) {
		int error;

		server->lasting_wait.number = first->round;
		error = server->turns->sync(server->turns,
					    &server->lasting_wait);
		if (error == EAGAIN) {
			return;
		}
		if (error != 0) {
			make_error(first, error);
		}
		first->round = 0;
		fuse_later_send(first);
	}
	server->turns->end(server->turns, &server->lasting_wait);
}
