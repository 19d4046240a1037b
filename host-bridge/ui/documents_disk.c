/* SPDX-License-Identifier: MIT */
/*
 * `disk --json`: the machine's disks and their parts, the disks that Linuxes have,
 * the volume; what was done with each, and how long it took to make it lasting.
 */
#include "host-bridge/blk/disks.h"
#include "host-bridge/files/fuse_server.h"
#include "host-bridge/fs/volume_loop.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/nbd/nbd_server.h"
#include "host-bridge/ui/documents.h"

/* Requests of a disk or part, from outside: bytes. */
static void put_stats(struct json *j, const struct block_dev *dev)
{
	const struct block_stats *s = &dev->stats;

	json_number(j, "reads", s->reads);
	json_number(j, "read_bytes", s->sectors_read * dev->sector_size);
	json_number(j, "writes", s->writes);
	json_number(j, "written_bytes", s->sectors_written * dev->sector_size);
	json_number(j, "flushes", s->flushes);
	json_number(j, "discards", s->discards);
	json_number(j, "errors", s->errors);
	json_number(j, "refused", s->refused);
}

static void put_parts(struct json *j, const struct disks_disk *d)
{
	json_begin(j, "parts", '[');
	for (unsigned i = 0; i < d->table.count; i++) {
		const struct block_dev *dev = &d->parts[i];

		json_begin(j, NULL, '{');
		json_text(j, "name", dev->name);
		json_text(j, "label", d->table.parts[i].name);
		json_number(j, "first", d->table.parts[i].first);
		json_number(j, "bytes", dev->sectors * dev->sector_size);
		json_truth(j, "writable", dev->writable);
		put_stats(j, dev);
		json_end(j, '}');
	}
	json_end(j, ']');
}

static void put_disk(struct json *j, const struct disks_disk *d)
{
	static const char *const states[] = {
		[DISK_STARTING] = "starting", [DISK_READY] = "ready",
		[DISK_STOPPING] = "stopping", [DISK_FAILED] = "failed",
	};
	const struct disk *disk = d->disk;
	const struct block_dev *dev = &disk->dev;

	json_begin(j, NULL, '{');
	json_text(j, "name", dev->name);
	json_text(j, "model", dev->model);
	json_text(j, "serial", dev->serial);
	json_text(j, "state", states[disk->state]);
	json_text(j, "why", disk->state == DISK_FAILED ? disk->why : "");
	json_number(j, "sector_size", dev->sector_size);
	json_number(j, "bytes", dev->sectors * dev->sector_size);
	json_truth(j, "writable", dev->writable);
	json_number(j, "in_flight", dev->in_flight);
	json_number(j, "depth", dev->depth);
	put_stats(j, dev);
	json_number(j, "device_errors", disk->errors);
	json_number(j, "nonsense", disk->nonsense);
	json_number(j, "hangs", disk->hangs);
	json_number(j, "resets", disk->resets);
	if (disk->wear >= 0) {
		json_number(j, "wear", (unsigned)disk->wear);
	}
	documents_latency(j, "fsync", &d->lasting);
	put_parts(j, d);
	json_end(j, '}');
}

/* Whose a disk of a Linux's is, and what was done with it. */
static void put_linux_io(struct json *j, const struct command_env *of,
			 const struct nbd_disk *disk)
{
	json_text(j, "name", disk->name);
	json_text(j, "partition", of->guest->want->name);
	json_number(j, "reads", disk->reads);
	json_number(j, "read_bytes", disk->read_bytes);
	json_number(j, "writes", disk->writes);
	json_number(j, "written_bytes", disk->written_bytes);
	json_number(j, "flushes", disk->flushes);
	json_number(j, "errors", disk->errors);
}

/* All disks of all Linuxes; whole: as `disk --json` has them. */
static void put_linux_disks(struct json *j, const struct command_env *env,
			    bool whole)
{
	const struct nbd_disk *disk;

	json_begin(j, "linux_disks", '[');
	for (unsigned i = 0; i < env->count; i++) {
		const struct command_env *of = &env->all[i];

		for (unsigned k = 0; of->disks &&
		     (disk = nbd_service_get(of->disks, k)); k++) {
			json_begin(j, NULL, '{');
			put_linux_io(j, of, disk);
			if (whole) {
				json_number(j, "bytes", disk->store->size);
				json_number(j, "users", disk->users);
				json_truth(j, "device", disk->store->device);
				documents_latency(j, "fsync", &disk->lasting);
			}
			json_end(j, '}');
		}
	}
	json_end(j, ']');
}

/** The short form for `status --json`: counts that go with time. */
void documents_io(struct json *j, const struct command_env *env)
{
	struct disks_disk *d;

	json_begin(j, "disks", '[');
	for (unsigned i = 0; (d = disks_get(i)); i++) {
		json_begin(j, NULL, '{');
		json_text(j, "name", d->disk->dev.name);
		put_stats(j, &d->disk->dev);
		json_end(j, '}');
	}
	json_end(j, ']');
	put_linux_disks(j, env, false);
}

/* Where it is, and what FSYNC of its files has taken. */
static void put_volume(struct json *j, const struct command_env *env)
{
	struct volume_disk_state state;
	const char *on = volume_loop_look(&state);

	if (!env->volume) {
		return;
	}
	json_begin(j, "volume", '{');
	json_text(j, "disk", on ? on : "");
	if (on) {
		json_truth(j, "failed", state.failed);
		json_number(j, "unwritten_blocks", state.unwritten);
	}
	if (env->files) {
		documents_latency(j, "fsync", fuse_server_lasting(env->files));
	}
	json_end(j, '}');
}

/** `disk --json`. */
void documents_disk(const struct command_env *env)
{
	struct disks_disk *d;
	struct json j;

	documents_begin(&j);
	json_begin(&j, "disks", '[');
	for (unsigned i = 0; (d = disks_get(i)); i++) {
		put_disk(&j, d);
	}
	json_end(&j, ']');
	put_linux_disks(&j, env, true);
	put_volume(&j, env);
	documents_end(&j);
}
