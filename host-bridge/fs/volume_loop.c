/* SPDX-License-Identifier: MIT */
/*
 * The volume on a disk in the event loop. What the disk brings about is told by the
 * block device, from the loop; here is what is due besides: rounds of the journal,
 * what has been dirty for some seconds. Between two functions of the volume, always:
 * work runs when none does.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host-bridge/dev/dma.h"
#include "host-bridge/fs/volume_loop.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/legacy.h"
#include "host-bridge/rt/notice.h"

#define TICK_MS		1000u
#define MEMORY_LEAST	(256u << 10)
#define PAGE		4096u

static struct volume_disk *disk;
static struct loop_work work;
static struct loop_timer tick;
static char name[16];
static bool opened;

static bool work_due(struct loop_work *w)
{
	(void)w;
	return disk != NULL && volume_disk_due(disk);
}

/* Who waits may have been told that he need not. */
static bool work_do(struct loop_work *w, uint64_t until)
{
	(void)until;
	if (work_due(w) && volume_disk_run(disk)) {
		loop_turn();
	}
	return false;
}

static void on_tick(struct loop_timer *timer)
{
	volume_disk_tick(disk, (uint32_t)(loop_uptime_ms() / 1000));
	loop_timer_set(timer, TICK_MS, on_tick);
}

static void on_failure(void)
{
	notice("isthmus: the volume's disk %s cannot be written: nothing on the "
	       "volume can be changed from now on, and what was not made lasting "
	       "is lost", name);
}

/* Three quarters of what the drivers have left of the memory that devices reach,
 * or as much of it as is in one piece. */
static void *take_memory(size_t *bytes)
{
	size_t want = dma_room() / 4 * 3 / PAGE * PAGE;
	void *memory = NULL;

	while (want >= MEMORY_LEAST && memory == NULL) {
		memory = dma_alloc(want, PAGE);
		*bytes = want;
		want = want / 2 / PAGE * PAGE;
	}
	return memory;
}

/**
 * Opens the volume on a disk. Returns 0, or why not as the end of a sentence.
 */
int volume_loop_open(struct block_dev *dev, struct volume **vol,
		     struct volume_turns **turns, char why[JOURNAL_WHY])
{
	size_t bytes = 0;
	void *memory = take_memory(&bytes);
	int error = memory == NULL ? ENOMEM
		    : volume_disk_new(dev, memory, bytes, &disk);

	why[0] = '\0';
	if (error != 0) {
		dma_free(memory, bytes);
		snprintf(why, JOURNAL_WHY, "%s", strerror(error));
		return error;
	}
	snprintf(name, sizeof(name), "%s", dev->name);
	volume_disk_on_failure(disk, on_failure);
	if (legacy_lives() > 0) {
		volume_disk_follow(disk, legacy_settle);
	}
	work = (struct loop_work){
		.fn = work_do, .due = work_due,
	};
	loop_work_add(&work);
	while ((error = volume_disk_open(disk, vol, why)) == EAGAIN) {
		loop_step(LOOP_FOREVER);
	}
	if (error != 0) {
		if (why[0] == '\0') {
			snprintf(why, JOURNAL_WHY, "%s", strerror(error));
		}
		/* Reads may be under way: it keeps its memory. */
		disk = NULL;
		return error;
	}
	opened = true;
	*turns = volume_disk_turns(disk);
	loop_timer_set(&tick, TICK_MS, on_tick);
	return 0;
}

static void on_ready(struct volume_wait *wait)
{
	(void)wait;
}

/** See volume_loop.h. */
const char *volume_loop_look(struct volume_disk_state *state)
{
	if (!opened) {
		return NULL;
	}
	volume_disk_look_at(disk, state);
	return name;
}

/** See volume_loop.h. */
void volume_loop_describe(char *text, size_t size)
{
	struct volume_disk_state state;

	text[0] = '\0';
	if (!volume_loop_look(&state)) {
		return;
	}
	snprintf(text, size, "on disk %s%s, %llu blocks not written yet", name,
		 state.failed ? ", READ ONLY: it could not be written" : "",
		 (unsigned long long)state.unwritten);
}

/** See volume_loop.h. */
void volume_loop_describe_cache(char *text, size_t size)
{
	struct volume_disk_state state;
	const struct cache_stats *c = &state.cache;

	text[0] = '\0';
	if (!volume_loop_look(&state)) {
		return;
	}
	snprintf(text, size, "the volume's blocks in memory: at most %llu KiB, "
		 "%llu KiB dirty, %llu KiB the journal's; %llu hits, %llu "
		 "misses, %llu read ahead, %llu written, %llu failed",
		 (unsigned long long)c->frames * state.block_size >> 10,
		 (unsigned long long)c->dirty * state.block_size >> 10,
		 (unsigned long long)c->held * state.block_size >> 10,
		 (unsigned long long)c->hits, (unsigned long long)c->misses,
		 (unsigned long long)c->ahead, (unsigned long long)c->written,
		 (unsigned long long)c->failed);
}

static int close_in(uint64_t ms)
{
	static struct volume_wait wait = { .ready = on_ready };
	uint64_t until = loop_now() + loop_ms_to_ticks(ms);
	int error;

	while ((error = volume_disk_close(disk, &wait)) == EAGAIN) {
		if (loop_now() >= until) {
			return ETIMEDOUT;
		}
		loop_step(until);
	}
	return error;
}

/**
 * Closes it, so that all is on the disk. Returns 0, EIO, or ETIMEDOUT when that
 * takes longer, and then has said what is not; nobody may use it any more.
 */
int volume_loop_close(uint64_t ms)
{
	struct volume_disk_state state;
	int error;

	loop_timer_cancel(&tick);
	error = close_in(ms);
	if (error != 0) {
		volume_disk_look_at(disk, &state);
		notice("isthmus: disk %s: the volume on it could not be closed: "
		       "%s; what was written and not made lasting is lost, up "
		       "to %llu blocks", name, strerror(error),
		       (unsigned long long)state.unwritten);
	}
	opened = false;
	return error;
}
