/* SPDX-License-Identifier: MIT */
/*
 * A volume on a disk: cache, journal and file system put together. All that may
 * wait returns EAGAIN, and is called again when something has happened.
 */
#ifndef ISTHMUS_VOLUME_DISK_H
#define ISTHMUS_VOLUME_DISK_H

#include "host-bridge/fs/jbd2/jbd2.h"
#include "host-bridge/fs/volume.h"

struct volume_disk;

struct volume_disk_state {
	bool failed;			/* nothing can be changed any more */
	uint32_t block_size;
	struct cache_stats cache;
	uint64_t unwritten;		/* blocks that were, of which the disk
					 * does not know, or could not be told */
};

/* What to call before functions of the volume; it ends with the disk. */
struct volume_turns *volume_disk_turns(struct volume_disk *disk);
/* Before it is opened, when another program had it: files without a name stay until
 * volume_end_orphans(); settle() is told which transaction, by its number in the
 * journal, is the first that is not there, as long as that can be found out again:
 * before the journal is emptied. Not called when it is empty. */
void volume_disk_follow(struct volume_disk *d,
			void (*settle)(uint32_t first_lost));
/* fn(): once, when nothing can be written any more. */
void volume_disk_on_failure(struct volume_disk *disk, void (*fn)(void));
int volume_disk_new(struct block_dev *dev, void *memory, size_t bytes,
		    struct volume_disk **out);
int volume_disk_open(struct volume_disk *disk, struct volume **out,
		     char why[JOURNAL_WHY]);
void volume_disk_look(struct volume_disk *disk, struct volume_wait *wait);
int volume_disk_begin(struct volume_disk *disk, struct volume_wait *wait);
int volume_disk_sync(struct volume_disk *disk, struct volume_wait *wait);
void volume_disk_end(struct volume_disk *disk, struct volume_wait *wait);
void volume_disk_tick(struct volume_disk *disk, uint32_t seconds);
void volume_disk_look_at(const struct volume_disk *disk,
			 struct volume_disk_state *state);
bool volume_disk_due(const struct volume_disk *disk);
bool volume_disk_run(struct volume_disk *disk);
int volume_disk_close(struct volume_disk *disk, struct volume_wait *wait);
void volume_disk_free(struct volume_disk *disk);

#endif
