/* SPDX-License-Identifier: MIT */
/* The hypervisor's log: see hv_log.c. */
#ifndef ISTHMUS_HV_LOG_H
#define ISTHMUS_HV_LOG_H

#include <stddef.h>
#include <stdint.h>

/* Copies up to size bytes of it from *at on (in bytes since boot; what is not kept
 * any more is skipped) and moves *at. Returns the bytes copied, 0 at the end. */
size_t hv_log_read(void *arg, uint64_t *at, char *buf, size_t size);

#endif
