/* SPDX-License-Identifier: MIT */
/*
 * What this run is to do: from struct host_info and the manifest, which
 * boot/ has checked (docs/manifest.md).
 */
#ifndef ISTHMUS_CONFIG_H
#define ISTHMUS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/host_info.h"

/* A Linux partition, as the manifest has it. */
struct config_guest {
	const char *absent;	/* why it cannot be started; NULL: it can */
	uint32_t id;
	const char *bootargs;
	const char *kernel;	/* names of modules */
	const char *initrd;	/* NULL: none wanted */
};

#define CONFIG_DISKS	8

/* A disk for it, in a file of the volume's, or a disk or part of the machine's. */
struct config_disk {
	const char *name, *file, *device;	/* one of the two; a word */
	uint64_t size;		/* bytes, if the file is not there yet */
};

struct config {
	const struct host_info *info;
	const char *exec;	/* command to run in Linux, then power off */
	bool quiet;		/* no banner */
	const char *mark;	/* see stage.h; NULL: none */
	const char *volume_disk;	/* word; NULL: the module "volume" */
	const char *writable;	/* words for disks to write to; NULL: none */
	struct config_guest guest;
	struct config_disk disks[CONFIG_DISKS];
	unsigned disk_count;
};

void config_read(const struct host_info *info, struct config *config);
/* The module of that name, or NULL. */
const struct host_module *config_module(const struct config *config,
					const char *name);

#endif
