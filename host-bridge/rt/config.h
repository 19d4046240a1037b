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

#include "abi/host_info.h"

struct config {
	const struct host_info *info;
	const char *exec;	/* command to run in Linux, then power off */
	bool quiet;		/* no banner */
	const char *no_linux;	/* why none can be started; NULL: one can */
	uint32_t linux_id;
	const char *bootargs;
	const char *kernel;	/* names of modules */
	const char *initrd;	/* NULL: none wanted */
};

void config_read(const struct host_info *info, struct config *config);
/* The module of that name, or NULL. */
const struct host_module *config_module(const struct config *config,
					const char *name);

#endif
