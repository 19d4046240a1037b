/* SPDX-License-Identifier: MIT */
/*
 * What the drivers of disks have in common: the requests that a device works
 * at, by the number (tag) by which it knows them; how long it may take; and what
 * becomes of one that hangs.
 *
 * Nobody waits here. A device is started in steps, which the loop's timer calls;
 * requests that come meanwhile wait for it. One that does not answer in time is
 * started anew and gets its requests again; if it then hangs before it has
 * finished anything, it has failed: it can reach memory no more, and all its
 * requests, and those to come, end with EIO. A request that hung twice ends
 * with EIO whatever else the device does.
 *
 * What a device says is checked by its driver; what cannot be is counted
 * (nonsense) and not believed.
 */
#ifndef ISTHMUS_DISK_H
#define ISTHMUS_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host-bridge/blk/block.h"
#include "host-bridge/loop/loop.h"

#define DISK_TAGS	64u
#define DISK_NO_TAG	DISK_TAGS

/* How long a request may take, and a step of a start. A disk that must spin up
 * may take half a minute [ATA/ATAPI-6 "Power-Up In Standby feature set"]. */
#define DISK_REQUEST_MS	10000u
#define DISK_LONG_MS	60000u		/* discard, write zeroes, flush */
#define DISK_START_MS	30000u
#define DISK_STOP_MS	1000u

enum disk_state { DISK_STARTING, DISK_READY, DISK_STOPPING, DISK_FAILED };

struct disk;

struct disk_ops {
	/* A step of a start, the first one with disk->step == 0: 0 when the
	 * device is ready for requests, EAGAIN when it is to be called again,
	 * else it has failed. */
	int (*begin)(struct disk *disk);
	/* Gives the device the request of a tag, from the sector "done" of it
	 * on; "piece" becomes how many sectors, if not all. The rest comes
	 * when they are done, under the same tag. */
	void (*give)(struct disk *disk, unsigned tag);
	/* Looks for what the device has finished: disk_end() for each. False:
	 * it is in a state from which only a start leads out. */
	bool (*look)(struct disk *disk);
	/* It is to reach memory no more: true when that is so. It is asked
	 * again until then, and at last in a way that cannot fail. */
	bool (*stop)(struct disk *disk, bool at_last);
};

struct disk_cmd {
	struct block_req *req;
	uint64_t deadline;		/* in loop_uptime_ms() */
	uint32_t done, piece;		/* sectors of it */
	bool hung;			/* once already */
	bool given_up;			/* twice: EIO, once it is reset */
};

struct disk {
	struct block_dev dev;		/* first: is the driver's object, too */
	const struct disk_ops *ops;
	enum disk_state state;
	const char *why;		/* it has failed */
	bool absent;			/* for there is no disk */
	unsigned step;			/* of a start: the driver's */
	uint64_t step_deadline;
	bool struck;			/* started anew, nothing finished since */
	uint64_t taken, given;		/* tags: in use; the device has them */
	struct disk_cmd cmds[DISK_TAGS];
	struct block_req *ended, **ended_tail;
	struct loop_timer timer;
	/* Counters. */
	uint32_t errors;		/* that the device told of */
	uint32_t nonsense;		/* what it said was not possible */
	uint32_t hangs, resets;
	int wear;			/* per cent of its life used; -1: unknown */
};

/* For a driver, once dev.depth (at most DISK_TAGS) is known or guessed. */
void disk_init(struct disk *disk, const struct disk_ops *ops);
void disk_start(struct disk *disk);
/* An interrupt. */
void disk_interrupt(struct disk *disk);
/* The request of a tag is done, as the device says: 0 or an errno value. */
void disk_end(struct disk *disk, uint32_t tag, int error);
/* The request of a tag that the device has; NULL: it has none of that. */
struct block_req *disk_given(struct disk *disk, uint32_t tag);
/* The time of a request, or of a step of a start, begins now. */
void disk_again(struct disk *disk, unsigned tag);
void disk_step(struct disk *disk, unsigned step, unsigned ms);
/* One line: model, size, features. */
void disk_describe(const struct disk *disk, char *text, size_t size);
/* A text of a device's: printable characters, without spaces around. */
void disk_text(char *to, size_t size, const void *from, size_t len);

static inline uint64_t disk_bytes(const struct disk *disk,
				  const struct block_req *req)
{
	return (uint64_t)req->sectors * disk->dev.sector_size;
}

#endif
