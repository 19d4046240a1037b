/* SPDX-License-Identifier: MIT */
/*
 * Requests in flight, time limits, starts and failures of a disk: see disk.h.
 * No locks: everything runs in the loop's handlers, but for submit(), which may
 * run at top level, never within a handler's work on the same disk.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "drivers/disk.h"

#define TICK_MS		100u		/* time limits are looked at */
#define STEP_MS		3u		/* a start goes on */

static void on_timer(struct loop_timer *timer);

static struct disk *disk_of(struct loop_timer *timer)
{
	return (struct disk *)((char *)timer - offsetof(struct disk, timer));
}

static void set_timer(struct disk *disk)
{
	bool steps = disk->state == DISK_STARTING ||
		     disk->state == DISK_STOPPING;

	if (!disk->timer.deadline && (steps || disk->taken)) {
		loop_timer_set(&disk->timer, steps ? STEP_MS :
			       disk->state == DISK_FAILED ? 1 : TICK_MS,
			       on_timer);
	}
}

/** The time of a tag's request begins now. */
void disk_again(struct disk *disk, unsigned tag)
{
	struct disk_cmd *cmd = &disk->cmds[tag];

	cmd->deadline = loop_uptime_ms() +
			(cmd->req->op == BLOCK_READ ||
			 cmd->req->op == BLOCK_WRITE ? DISK_REQUEST_MS :
			 DISK_LONG_MS);
}

static void give(struct disk *disk, unsigned tag, uint32_t done)
{
	struct disk_cmd *cmd = &disk->cmds[tag];

	disk->given |= 1ull << tag;
	disk_again(disk, tag);
	cmd->done = done;
	cmd->piece = cmd->req->sectors - done;
	disk->ops->give(disk, tag);
}

/* block.c has checked the request, and that there are no more than depth. Those
 * for a disk that has failed are ended by the timer: never from within here. */
static void submit(struct block_dev *dev, struct block_req *req)
{
	struct disk *disk = (struct disk *)dev;
	unsigned tag = (unsigned)__builtin_ctzll(~disk->taken);

	disk->taken |= 1ull << tag;
	disk->cmds[tag] = (struct disk_cmd) { .req = req };
	if (disk->state == DISK_READY) {
		give(disk, tag, 0);
	}
	set_timer(disk);
}

static const struct block_ops disk_block_ops = { .submit = submit };

/* A tag is free again; its requester is told when the driver is done. */
static void end(struct disk *disk, unsigned tag, int error)
{
	struct block_req *req = disk->cmds[tag].req;

	disk->taken &= ~(1ull << tag);
	disk->given &= ~(1ull << tag);
	req->error = error;
	req->next = NULL;
	*disk->ended_tail = req;
	disk->ended_tail = &req->next;
}

/* Whoever is told may submit more. */
static void tell(struct disk *disk)
{
	while (disk->ended) {
		struct block_req *req = disk->ended;

		disk->ended = req->next;
		if (!disk->ended) {
			disk->ended_tail = &disk->ended;
		}
		block_done(&disk->dev, req, req->error);
	}
}

static void end_all(struct disk *disk)
{
	for (unsigned tag = 0; tag < DISK_TAGS; tag++) {
		if (disk->taken >> tag & 1) {
			end(disk, tag, EIO);
		}
	}
}

/* Until the device is stopped, requests in memory that it may reach are not
 * ended. */
static void stop(struct disk *disk)
{
	if (!disk->ops->stop(disk, loop_uptime_ms() >= disk->step_deadline)) {
		return;
	}
	disk->state = DISK_FAILED;
	end_all(disk);
}

static void fail(struct disk *disk, const char *why)
{
	disk->state = DISK_STOPPING;
	disk->why = why;
	disk_step(disk, 0, DISK_STOP_MS);
	stop(disk);
}

/** Begins a start; the requests that the device had are given to it again. */
void disk_start(struct disk *disk)
{
	disk->state = DISK_STARTING;
	disk->given = 0;
	disk_step(disk, 0, DISK_START_MS);
	loop_timer_cancel(&disk->timer);
	set_timer(disk);
}

/** The driver goes on to another step of the start, which may take so long. */
void disk_step(struct disk *disk, unsigned step, unsigned ms)
{
	disk->step = step;
	disk->step_deadline = loop_uptime_ms() + ms;
}

/* The device hangs, or says itself that it is lost. */
static void restart(struct disk *disk)
{
	if (disk->struck) {
		fail(disk, "it hung again after a reset");
		return;
	}
	disk->struck = true;
	disk->resets++;
	disk_start(disk);
}

static void go_on(struct disk *disk)
{
	int error = disk->ops->begin(disk);

	if (error == 0) {
		disk->state = DISK_READY;
		for (unsigned tag = 0; tag < DISK_TAGS; tag++) {
			if (!(disk->taken >> tag & 1)) {
				continue;
			}
			if (disk->cmds[tag].given_up) {
				end(disk, tag, EIO);
			} else {
				give(disk, tag, 0);
			}
		}
	} else if (error != EAGAIN) {
		fail(disk, disk->why ? disk->why : "it could not be started");
	} else if (loop_uptime_ms() >= disk->step_deadline) {
		fail(disk, "it does not answer");
	}
}

/** Serves what the device has done; harmless when there was nothing. A start
 * goes on by the timer only: its steps have a shortest time, too. */
void disk_interrupt(struct disk *disk)
{
	if (disk->state == DISK_READY && !disk->ops->look(disk)) {
		restart(disk);
	}
	set_timer(disk);
	tell(disk);
}

/* Requests whose time is over. The second time a request is given up: its end
 * is told after the reset, when the device cannot reach its memory any more. */
static bool anything_late(struct disk *disk)
{
	uint64_t now = loop_uptime_ms();
	bool late = false;

	for (unsigned tag = 0; tag < DISK_TAGS; tag++) {
		struct disk_cmd *cmd = &disk->cmds[tag];

		if (!(disk->given >> tag & 1) || now < cmd->deadline) {
			continue;
		}
		late = true;
		disk->hangs++;
		cmd->given_up = cmd->hung;
		cmd->hung = true;
	}
	return late;
}

static void on_timer(struct loop_timer *timer)
{
	struct disk *disk = disk_of(timer);

	if (disk->state == DISK_STARTING) {
		go_on(disk);
	} else if (disk->state == DISK_STOPPING) {
		stop(disk);
	} else if (disk->state == DISK_FAILED) {
		end_all(disk);
	} else if (!disk->ops->look(disk) || anything_late(disk)) {
		restart(disk);
	}
	set_timer(disk);
	tell(disk);
}

/** See disk.h. A tag that the device does not have is nonsense, and NULL. */
struct block_req *disk_given(struct disk *disk, uint32_t tag)
{
	if (tag >= DISK_TAGS || !(disk->given >> tag & 1)) {
		disk->nonsense++;
		return NULL;
	}
	return disk->cmds[tag].req;
}

/** To be called by the driver's look only; the requester hears of it when that
 * has returned. A tag that the device does not have changes nothing. */
void disk_end(struct disk *disk, uint32_t tag, int error)
{
	struct disk_cmd *cmd = &disk->cmds[tag % DISK_TAGS];

	if (!disk_given(disk, tag)) {
		return;
	}
	disk->struck = false;
	if (error == 0 && cmd->done + cmd->piece < cmd->req->sectors) {
		give(disk, tag, cmd->done + cmd->piece);
		return;
	}
	disk->errors += error != 0;
	end(disk, tag, error);
}

/** Copies what is printable; the rest, and what is not ASCII, becomes '?'. */
void disk_text(char *to, size_t size, const void *from, size_t len)
{
	const unsigned char *text = from;
	size_t n = 0;

	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == 0)) {
		len--;
	}
	while (len > 0 && *text == ' ') {
		text++;
		len--;
	}
	for (; n < len && n < size - 1 && text[n]; n++) {
		to[n] = text[n] >= ' ' && text[n] < 127 ? (char)text[n] : '?';
	}
	to[n] = 0;
}

/** "QEMU HARDDISK, serial 1, 64 MiB in sectors of 512, flush, 32 at a time" */
void disk_describe(const struct disk *disk, char *text, size_t size)
{
	static const struct { unsigned bit; const char *word; } words[] = {
		{ BLOCK_HAS_FLUSH, ", flush" }, { BLOCK_HAS_FUA, ", FUA" },
		{ BLOCK_HAS_DISCARD, ", discard" },
		{ BLOCK_HAS_ZERO, ", write zeroes" },
		{ BLOCK_READ_ONLY, ", read only" },
		{ BLOCK_ROTATIONAL, ", rotational" },
	};
	const struct block_dev *dev = &disk->dev;
	uint64_t mib = dev->sectors / 2048 * (dev->sector_size / 512);
	int n = snprintf(text, size, "%s%s%s, %llu MiB in sectors of %u",
			 dev->model, *dev->serial ? ", serial " : "",
			 dev->serial, (unsigned long long)mib,
			 (unsigned)dev->sector_size);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (n > 0 && (size_t)n < size && dev->features & words[i].bit) {
			n += snprintf(text + n, size - (size_t)n, "%s",
				      words[i].word);
		}
	}
	if (n > 0 && (size_t)n < size) {
		snprintf(text + n, size - (size_t)n, ", %u at a time",
			 (unsigned)dev->depth);
	}
}

/** Before disk_start(); what the driver has set in dev stays. */
void disk_init(struct disk *disk, const struct disk_ops *ops)
{
	disk->ops = ops;
	disk->wear = -1;
	disk->dev.ops = &disk_block_ops;
	disk->ended_tail = &disk->ended;
}
