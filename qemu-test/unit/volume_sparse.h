/* SPDX-License-Identifier: MIT */
/* For tests: a volume on a disk that is a sparse file, "image" in a folder of its
 * own, which mke2fs makes and e2fsck judges. There is one at a time. */
#ifndef ISTHMUS_VOLUME_SPARSE_H
#define ISTHMUS_VOLUME_SPARSE_H

#include <string.h>

#include "host-bridge/fs/volume_disk.h"

#define NAME(s)		(s), strlen(s)

extern struct volume_disk *sparse_disk;
extern struct volume *sparse_vol;
extern uint64_t sparse_requests;	/* of the disk, so far */
extern uint32_t sparse_sector;		/* from the next opening on */

/* Runs a shell command in the folder, with $size; its exit status. */
int sparse_shell(const char *command, const char *size);
/* Opens the image with so much memory for its blocks. Returns 0, or why ends a
 * sentence about what is in the way; then it is closed. */
int sparse_open(size_t memory, char why[JOURNAL_WHY]);
uint64_t sparse_size(void);		/* of the image, bytes */
/* Until it is not EAGAIN: a function that changes the volume, or one that only looks.
 * Both return what that has returned. */
int sparse_change(int (*op)(void));
int sparse_look(int (*op)(void));
void sparse_sync(void);
/* A second passes; all that is due is done. */
void sparse_tick(uint32_t seconds);
uint64_t sparse_used(void);		/* bytes that the image takes */
void sparse_close(void);
/* Removes the folder. */
void sparse_end(void);

#endif
