/* SPDX-License-Identifier: MIT */
/*
 * Device model of the Linux partition: its forwarded port accesses are
 * answered here. What Linux writes to its serial port is kept in a log and
 * copied to the machine's second serial line.
 */
#ifndef ISTHMUS_LINUX_IO_H
#define ISTHMUS_LINUX_IO_H

#include <stddef.h>

#include "host-bridge/guest/linux.h"

#define LINUX_LOG_SIZE	(64u << 10)

/* Registers the event handler; asked is called (from the loop) when Linux
 * wants a reset or power off. Its vCPU stays stopped then. */
void linux_io_init(uint32_t partition, void (*asked)(enum linux_request));
/* Devices as after power-on; the log goes on. */
void linux_io_reset(void);
/* Copies log bytes from position *at on (0: the oldest kept) and advances
 * it. Returns the bytes copied, 0 at the end. */
size_t linux_io_log(uint64_t *at, char *buf, size_t size);

#endif
