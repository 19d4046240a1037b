/* SPDX-License-Identifier: MIT */
/*
 * The volume on a disk at work: its memory, its part of the event loop, what is
 * said when the disk cannot be written any more. There is one.
 */
#ifndef ISTHMUS_VOLUME_LOOP_H
#define ISTHMUS_VOLUME_LOOP_H

#include "host-bridge/fs/volume_disk.h"

/* Both at top level: they wait in the loop. */
int volume_loop_open(struct block_dev *dev, struct volume **vol,
		     struct volume_turns **turns, char why[JOURNAL_WHY]);
int volume_loop_close(uint64_t ms);
/* How it is, and the name of the disk it is on; NULL: there is none. */
const char *volume_loop_look(struct volume_disk_state *state);
/* The line of `status`; empty when there is none. */
void volume_loop_describe(char *text, size_t size);
/* The same of its blocks in memory, for `disk` and `memory`. */
void volume_loop_describe_cache(char *text, size_t size);

#endif
