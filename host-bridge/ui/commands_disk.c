/* SPDX-License-Identifier: MIT */
/*
 * The command "disk": what disks there are and how they do, and raw reads and
 * writes. Whether a write may be is block.c's to say, as for everybody. What
 * disks say of themselves has been made printable by their drivers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/blk/disks.h"
#include "host-bridge/dev/dma.h"
#include "host-bridge/fs/volume_loop.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/console.h"
#include "host-bridge/ui/documents.h"

#define LINE		16u		/* bytes of a dump's line */
#define CHECK_BYTES	(64u << 10)	/* of a request */
#define CHECK_AT_ONCE	8u

static uint64_t mib(const struct block_dev *dev)
{
	return dev->sectors / 2048 * (dev->sector_size / 512);
}

static void print_disk(const struct disks_disk *d)
{
	static const char *const states[] = {
		[DISK_STARTING] = "starting anew", [DISK_READY] = "ready",
		[DISK_STOPPING] = "stopping", [DISK_FAILED] = "FAILED",
	};
	const struct disk *disk = d->disk;
	const struct block_dev *dev = &disk->dev;
	char line[160];

	disk_describe(disk, line, sizeof(line));
	printf("  %s: %s\n", dev->name, line);
	printf("    %s%s%s, %s; %u of %u under way; errors %u, nonsense %u, "
	       "hangs %u, resets %u", states[disk->state],
	       disk->state == DISK_FAILED ? ": " : "",
	       disk->state == DISK_FAILED ? disk->why : "",
	       dev->writable ? "may be written to" : "read only",
	       (unsigned)dev->in_flight, (unsigned)dev->depth,
	       (unsigned)disk->errors, (unsigned)disk->nonsense,
	       (unsigned)disk->hangs, (unsigned)disk->resets);
	if (disk->wear >= 0) {
		printf("; %d %% worn", disk->wear);
	}
	printf("\n");
}

static void print_stats(const struct block_dev *dev)
{
	const struct block_stats *s = &dev->stats;

	printf("    %" PRIu64 " reads (%" PRIu64 " sectors), %" PRIu64
	       " writes (%" PRIu64 "), %" PRIu64 " flushes, %" PRIu64
	       " discards and zeroes, %" PRIu64 " errors, %" PRIu64
	       " refused\n", s->reads, s->sectors_read, s->writes,
	       s->sectors_written, s->flushes, s->discards, s->errors,
	       s->refused);
}

static void print_parts(const struct disks_disk *d)
{
	for (unsigned i = 0; i < d->table.count; i++) {
		const struct gpt_part *p = &d->table.parts[i];
		const struct block_dev *dev = &d->parts[i];

		printf("  %s: %s part, from sector %" PRIu64 " on, %" PRIu64
		       " MiB%s%s; %s\n", dev->name, d->table.kind, p->first,
		       mib(dev), *p->name ? ", " : "", p->name,
		       dev->writable ? "may be written to" : "read only");
		print_stats(dev);
	}
}

static void list(void)
{
	struct disks_disk *d;
	char text[240];

	for (unsigned i = 0; (d = disks_get(i)); i++) {
		print_disk(d);
		print_stats(&d->disk->dev);
		print_parts(d);
	}
	if (!disks_get(0)) {
		printf("there are no disks\n");
	}
	volume_loop_describe(text, sizeof(text));
	if (text[0]) {
		printf("  the volume: %s\n", text);
	}
	volume_loop_describe_cache(text, sizeof(text));
	if (text[0]) {
		printf("  %s\n", text);
	}
}

static void on_done(struct block_req *req)
{
	req->priv = req;
}

/* Drivers end each request in bounded time. */
static void wait_for(struct block_req *req)
{
	while (req->priv != req) {
		loop_step(LOOP_FOREVER);
	}
}

/* One sector; its error. */
static int transfer(struct block_dev *dev, enum block_op op, uint64_t sector,
		    void *data)
{
	struct block_seg seg = { data, dev->sector_size };
	struct block_req req = {
		.op = op, .sector = sector, .sectors = 1, .segs = &seg,
		.seg_count = 1, .done = on_done, .flags = BLOCK_FUA,
	};

	block_submit(dev, &req);
	wait_for(&req);
	return req.error;
}

/* Lines of zeroes are left out. */
static void dump(const uint8_t *data, uint32_t len)
{
	static const uint8_t zeroes[LINE];

	for (uint32_t at = 0; at < len; at += LINE) {
		if (memcmp(data + at, zeroes, LINE) == 0) {
			continue;
		}
		printf("  %03x ", (unsigned)at);
		for (unsigned i = 0; i < LINE; i++) {
			printf(" %02x", data[at + i]);
		}
		printf("  ");
		for (unsigned i = 0; i < LINE; i++) {
			uint8_t c = data[at + i];

			putchar(c >= ' ' && c < 127 ? c : '.');
		}
		putchar('\n');
	}
}

/* "disk read", "disk write": one sector; text is what a write writes, or NULL. */
static void one_sector(struct block_dev *dev, const char *number,
		       const char *text)
{
	char *end;
	uint64_t sector = strtoull(number, &end, 0);
	const char *user = text && dev->writable ? disks_user(dev) : NULL;
	uint8_t *data;
	int error;

	if (!*number || *end) {
		printf("\"%s\" is no number\n", number);
		return;
	}
	if (user) {
		printf("%s is in use: %s has it, or some of it\n", dev->name,
		       user);
		return;
	}
	data = dma_alloc(dev->sector_size, 4096);
	if (!data) {
		printf("no memory for it\n");
		return;
	}
	if (text) {
		snprintf((char *)data, dev->sector_size, "%s", text);
	}
	error = transfer(dev, text ? BLOCK_WRITE : BLOCK_READ, sector, data);
	if (error != 0) {
		printf("sector %" PRIu64 " of %s: %s\n", sector, dev->name,
		       strerror(error));
	} else if (text) {
		printf("sector %" PRIu64 " of %s is written\n", sector,
		       dev->name);
	} else {
		dump(data, dev->sector_size);
	}
	dma_free(data, dev->sector_size);
}

/*
 * "disk check": all of it is read, some requests at a time. One that fails
 * does not say which sector is bad, nor that any of its own is: a device may
 * have joined it with its neighbours. So what lies from the first to the last
 * that failed is read again, sector by sector with nothing beside it.
 */
struct check {
	struct block_dev *dev;
	uint64_t next, end;		/* sectors; those before "next" are read */
	uint64_t failed, failed_end;	/* to be read again; 0, 0: nothing */
	uint64_t bad, first_bad;
	unsigned under_way;
	bool stop;
	struct check_req {
		struct block_req req;	/* first */
		struct block_seg seg;
		struct check *check;
	} reqs[CHECK_AT_ONCE];
};

static void check_read(struct check_req *r, uint64_t sector, uint64_t sectors)
{
	struct block_dev *dev = r->check->dev;

	r->seg.len = (uint32_t)sectors * dev->sector_size;
	r->req.sector = sector;
	r->req.sectors = (uint32_t)sectors;
	r->check->under_way++;
	block_submit(dev, &r->req);
}

static void check_next(struct check_req *r)
{
	struct check *check = r->check;
	uint64_t sectors = CHECK_BYTES / check->dev->sector_size;

	if (check->stop || check->failed_end > 0 ||
	    check->next == check->end) {
		return;
	}
	if (sectors > check->dev->max_sectors) {
		sectors = check->dev->max_sectors;
	}
	if (sectors > check->end - check->next) {
		sectors = check->end - check->next;
	}
	check->next += sectors;
	check_read(r, check->next - sectors, sectors);
}

static void check_done(struct block_req *req)
{
	struct check_req *r = (struct check_req *)req;
	struct check *check = r->check;
	uint64_t end = req->sector + req->sectors;

	check->under_way--;
	if (req->error != 0) {
		check->failed = check->failed_end == 0 ||
				req->sector < check->failed ?
				req->sector : check->failed;
		check->failed_end = end > check->failed_end ?
				    end : check->failed_end;
	}
	check_next(r);
}

static void check_wait(struct check *check)
{
	while (check->under_way > 0) {
		loop_step(LOOP_FOREVER);
		check->stop = check->stop || console_interrupted();
	}
}

/* One by one, what was read among others and failed. */
static void check_again(struct check *check)
{
	uint64_t sector = check->failed, end = check->failed_end;

	for (; sector < end && !check->stop; sector++) {
		check->failed = 0;
		check->failed_end = UINT64_MAX;		/* nothing follows */
		check_read(&check->reqs[0], sector, 1);
		check_wait(check);
		if (check->reqs[0].req.error != 0) {
			check->first_bad = check->bad == 0 ? sector :
					   check->first_bad;
			check->bad++;
		}
	}
	check->failed = check->failed_end = 0;
	if (sector < end) {
		check->next = sector;
	}
}

static void check_run(struct check *check, uint8_t *data)
{
	for (unsigned i = 0; i < CHECK_AT_ONCE; i++) {
		struct check_req *r = &check->reqs[i];

		r->check = check;
		r->seg.data = data + i * CHECK_BYTES;
		r->req = (struct block_req){
			.op = BLOCK_READ, .segs = &r->seg, .seg_count = 1,
			.done = check_done,
		};
	}
	while (check->next < check->end && !check->stop) {
		for (unsigned i = 0; i < CHECK_AT_ONCE; i++) {
			check_next(&check->reqs[i]);
		}
		check_wait(check);
		check_again(check);
	}
}

static void check(struct block_dev *dev)
{
	struct check state = { .dev = dev, .end = dev->sectors };
	uint8_t *data = dma_alloc(CHECK_AT_ONCE * CHECK_BYTES, 4096);
	uint64_t from = loop_uptime_ms();

	if (!data) {
		printf("no memory for it\n");
		return;
	}
	check_run(&state, data);
	printf("%s: %" PRIu64 " of %" PRIu64 " sectors read in %" PRIu64
	       " ms, %" PRIu64 " of them bad", dev->name, state.next,
	       dev->sectors, loop_uptime_ms() - from, state.bad);
	if (state.bad > 0) {
		printf(", the first is %" PRIu64, state.first_bad);
	}
	printf("\n");
	dma_free(data, CHECK_AT_ONCE * CHECK_BYTES);
}

static void run_disk(const struct command_env *env, int argc, char **argv,
		     const char *rest)
{
	struct block_dev *dev;

	(void)rest;
	if (argc == 1) {
		list();
		return;
	}
	if (argc == 2 && strcmp(argv[1], "--json") == 0) {
		documents_disk(env);
		return;
	}
	if (argc == 4 && strcmp(argv[1], "grow") == 0) {
		commands_vdisk_grow(env, argv[2], argv[3]);
		return;
	}
	dev = argc > 2 ? disks_find(argv[2]) : NULL;
	if (argc > 2 && !dev && strcmp(argv[1], "grow") != 0) {
		printf("there is no disk and no part \"%s\"\n", argv[2]);
	} else if (dev && strcmp(argv[1], "read") == 0 && argc == 4) {
		one_sector(dev, argv[3], NULL);
	} else if (dev && strcmp(argv[1], "write") == 0 && argc == 5) {
		one_sector(dev, argv[3], argv[4]);
	} else if (dev && strcmp(argv[1], "check") == 0 && argc == 3) {
		check(dev);
	} else {
		printf("see \"help disk\"\n");
	}
}

const struct command commands_disk[] = {
	{ "disk", "[--json|read|write|check|grow ..]", "disks, their parts, errors",
	  "  disk --json                   for programs: all of it in one line\n"
	  "  disk read NAME SECTOR         shows a sector\n"
	  "  disk write NAME SECTOR TEXT   a sector of text and zeroes, where\n"
	  "                                the manifest allows it\n"
	  "  disk check NAME               reads all of it; ctrl-c ends it\n"
	  "  disk grow NAME MIB            a disk of Linux's: see vdisk\n",
	  0, 4, run_disk, NULL },
	{ 0 }
};
