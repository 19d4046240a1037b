/* SPDX-License-Identifier: MIT */
/* What a partition's memory holds at its start: kernel, initrd, tables. */
#ifndef ISTHMUS_LINUX_LOAD_H
#define ISTHMUS_LINUX_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "host-bridge/guest/linux_image.h"
#include "host-bridge/rt/config.h"
#include "host-bridge/rt/stage.h"

/* Everything into Linux's memory, words before the manifest's on a Linux's command
 * line or NULL; *layout tells where. False, with a message: some memory may have
 * moved already, and the caller takes it back. */
bool linux_load(const struct config *config, const struct config_guest *want,
		const char *words, struct linux_layout *layout);
/* Copies data to its memory at gpa (page aligned), which ends at ram_end. HC_OK
 * or a status. */
int64_t linux_load_data(const struct config_guest *want, uint64_t gpa,
			uint64_t ram_end, const uint8_t *data, uint64_t size);
/* A hypercall's status in words. */
const char *linux_load_status(int64_t status);
/* A failure in a stage; of several Linuxes it is said whose. */
__attribute__((format(printf, 3, 4)))
void linux_load_failed(const struct config_guest *want, enum stage stage,
		       const char *fmt, ...);

#endif
