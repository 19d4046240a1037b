/* SPDX-License-Identifier: MIT */
/*
 * The list of disks. A disk that has nothing behind it is forgotten; one that
 * cannot be used is named, once, with the reason, and the rest goes on.
 *
 * What may be written to is decided here, once, before anybody has a disk, by
 * the manifest's words; block.c holds all requests to it. A word that is not for
 * exactly one disk or part opens none: a foreign disk may say of itself what it
 * likes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/blk/disks.h"
#include "host-bridge/rt/notice.h"

#define START_MS	10000u		/* the others are waited for */
#define NAMED_MAX	256u
#define ID_TEXT		37u

static struct disks_disk *first, **end = &first;
static struct loop_timer told;

/** See disks.h. Out of memory, it is left out. */
void disks_add(struct disk *disk, const char *kind, unsigned number)
{
	struct disks_disk *d = calloc(1, sizeof(*d));

	if (!d) {
		notice("isthmus: no memory for disk %s%u", kind, number);
		return;
	}
	snprintf(disk->dev.name, sizeof(disk->dev.name), "%s%u", kind, number);
	d->disk = disk;
	*end = d;
	end = &d->next;
	disk_start(disk);
}

/** See disks.h. In the order in which they were found. */
struct disks_disk *disks_get(unsigned index)
{
	struct disks_disk *d = first;

	while (d && index-- > 0) {
		d = d->next;
	}
	return d;
}

static bool settled(void)
{
	for (struct disks_disk *d = first; d; d = d->next) {
		if (d->disk->state != DISK_READY &&
		    d->disk->state != DISK_FAILED) {
			return false;
		}
	}
	return true;
}

static void nothing(struct loop_timer *timer)
{
	(void)timer;
}

static void wake(void)
{
	loop_again(LOOP_EVENT_BLOCKS);
}

/* What block.c has done with by itself is told in the loop; the wait after that is
 * a short one: whoever waits at top level may have been told. */
static void on_finished(void *arg)
{
	(void)arg;
	for (struct disks_disk *d = first; d; d = d->next) {
		block_run(&d->disk->dev);
	}
	loop_timer_set(&told, 1, nothing);
}

/* Takes those off the list that are of no use. */
static void keep_ready(void)
{
	struct disks_disk **at = &first;

	while (*at) {
		struct disks_disk *d = *at;
		const struct disk *disk = d->disk;
		char line[160];

		if (disk->state == DISK_READY) {
			disk_describe(disk, line, sizeof(line));
			notice("isthmus: disk %s: %s", disk->dev.name, line);
			block_init(&d->disk->dev);
			d->disk->dev.lasting = &d->lasting;
			at = &d->next;
			continue;
		}
		if (!disk->absent) {
			notice("isthmus: disk %s is of no use: %s",
			       disk->dev.name, disk->state == DISK_FAILED ?
			       disk->why : "it takes too long to start");
		}
		/* The driver still has the disk. */
		*at = d->next;
		free(d);
	}
	end = at;
}

static void read_table(struct disks_disk *d)
{
	struct block_dev *dev = &d->disk->dev;
	struct gpt *table = &d->table;

	if (gpt_read(dev, table) != 0) {
		table->count = 0;
	}
	if (table->note) {
		notice("isthmus: disk %s: %s", dev->name, table->note);
	}
	for (unsigned i = 0; i < table->count; i++) {
		struct block_dev *part = &d->parts[i];

		block_part(part, dev, table->parts[i].first,
			   table->parts[i].sectors);
		snprintf(part->name, sizeof(part->name), "%.10sp%u", dev->name,
			 table->parts[i].number);
	}
}

/* A GUID as people write it: the first three numbers are stored with their lowest
 * byte first [UEFI 2.10 "EFI GUID"]. */
static void id_text(const uint8_t *id, char *text)
{
	static const uint8_t order[] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11,
					 12, 13, 14, 15 };

	for (unsigned i = 0; i < 16; i++) {
		bool dash = i == 4 || i == 6 || i == 8 || i == 10;

		text += sprintf(text, "%s%02x", dash ? "-" : "",
				id[order[i]]);
	}
}

static const char *after(const char *word, const char *kind)
{
	size_t len = strlen(kind);

	return strncmp(word, kind, len) == 0 ? word + len : NULL;
}

static bool is_part(const struct block_dev *dev, const struct gpt_part *part,
		    const char *word)
{
	const char *label = after(word, "label:"), *id = after(word, "id:");
	char text[ID_TEXT];

	id_text(part->id, text);
	return strcmp(word, dev->name) == 0 ||
	       (label && *label && strcmp(label, part->name) == 0) ||
	       (id && strcmp(id, text) == 0);
}

static bool is_disk(const struct block_dev *dev, const char *word)
{
	const char *serial = after(word, "serial:");

	return strcmp(word, dev->name) == 0 ||
	       (serial && *serial && strcmp(serial, dev->serial) == 0);
}

/* The first that the word is for, and how many there are. */
static struct block_dev *search(const char *word, unsigned *count)
{
	struct block_dev *found = NULL;

	*count = 0;
	for (struct disks_disk *d = first; d; d = d->next) {
		if (is_disk(&d->disk->dev, word) && (*count)++ == 0) {
			found = &d->disk->dev;
		}
		for (unsigned i = 0; i < d->table.count; i++) {
			if (is_part(&d->parts[i], &d->table.parts[i], word) &&
			    (*count)++ == 0) {
				found = &d->parts[i];
			}
		}
	}
	return found;
}

/** See disks.h. NULL too if several are. */
struct block_dev *disks_find(const char *word)
{
	unsigned count;
	struct block_dev *dev = search(word, &count);

	return count == 1 ? dev : NULL;
}

/** See disks.h. */
struct block_dev *disks_open(const char *word)
{
	struct block_dev *dev = disks_find(word);

	if (dev) {
		block_open_write(dev);
	}
	return dev;
}

/** See disks.h. */
const char *disks_user(const struct block_dev *dev)
{
	for (struct disks_disk *d = first; d; d = d->next) {
		struct block_dev *whole = &d->disk->dev;

		if (dev != whole && dev->disk != whole) {
			continue;
		}
		if (whole->user || dev->user) {
			return whole->user ? whole->user : dev->user;
		}
		for (unsigned i = 0; dev == whole && i < d->table.count; i++) {
			if (d->parts[i].user) {
				return d->parts[i].user;
			}
		}
	}
	return NULL;
}

/** See disks.h. */
const char *disks_claim(struct block_dev *dev, const char *user)
{
	const char *other = disks_user(dev);

	dev->user = other ? dev->user : user;
	return other;
}

static void open_named(const char *named)
{
	char words[NAMED_MAX], *save = NULL;

	snprintf(words, sizeof(words), "%s", named);
	for (char *word = strtok_r(words, " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		unsigned count;
		struct block_dev *dev = search(word, &count);

		if (count == 1) {
			block_open_write(dev);
		} else {
			notice("isthmus: the manifest names disk \"%s\", which "
			       "%s; none is written to", word, count ?
			       "several are" : "is not there");
		}
	}
}

/**
 * See disks.h. At top level, after pci_init() and dma_init(). Each disk gets one
 * line.
 */
void disks_init(const char *named)
{
	uint64_t until = loop_uptime_ms() + START_MS;

	disks_probe();
	/* Disks that start have timers. */
	while (!settled() && loop_uptime_ms() < until) {
		loop_step(LOOP_FOREVER);
	}
	keep_ready();
	loop_on_event(LOOP_EVENT_BLOCKS, on_finished, NULL);
	block_on_finished(wake);
	for (struct disks_disk *d = first; d; d = d->next) {
		read_table(d);
	}
	open_named(named ? named : "");
}
