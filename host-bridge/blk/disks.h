/* SPDX-License-Identifier: MIT */
/*
 * The machine's disks and their parts: found at start-up, named, and open for
 * writing as far as the manifest names them.
 */
#ifndef ISTHMUS_DISKS_H
#define ISTHMUS_DISKS_H

#include "drivers/disk.h"
#include "host-bridge/blk/block.h"
#include "host-bridge/blk/gpt.h"

struct disks_disk {
	struct disks_disk *next;
	struct disk *disk;	/* disk->dev is the block device */
	struct gpt table;
	struct block_dev parts[GPT_PARTS];	/* as in table */
	struct latency lasting;	/* the disk's: see block.h */
};

/* Finds and starts them, and waits, some seconds at most. named: what may be
 * written to, words separated by spaces (docs/manifest.md); NULL: nothing. */
void disks_init(const char *named);
/* Those that are ready, or were; NULL: no more. */
struct disks_disk *disks_get(unsigned index);
/* The one disk or part that such a word is for, or NULL. */
struct block_dev *disks_find(const char *word);
/* The same, and it may be written to from now on. For the manifest's word alone. */
struct block_dev *disks_open(const char *word);

/* Who has it, or what it is a part of, or some part of it, for himself; NULL: nobody. */
const char *disks_user(const struct block_dev *dev);
/* Has it for one user alone. NULL: it is his now; else who has it, or some of it. */
const char *disks_claim(struct block_dev *dev, const char *user);

/* For disks_pci.c: one that a driver has made, not started yet. */
void disks_add(struct disk *disk, const char *kind, unsigned number);
/* disks_pci.c: gives disks_add() all that it finds. */
void disks_probe(void);

#endif
