/* SPDX-License-Identifier: MIT */
/*
 * Device model of the Linux partition: its forwarded port accesses are
 * answered here. What Linux writes to its serial port is kept in a log and
 * copied to the machine's second serial line; of several Linuxes each line with
 * the name before it.
 */
#ifndef ISTHMUS_LINUX_IO_H
#define ISTHMUS_LINUX_IO_H

#include <stddef.h>
#include <stdint.h>

#include "host-bridge/guest/linux_says.h"
#include "host-bridge/guest/pci_model.h"
#include "host-bridge/guest/uart_model.h"
#include "host-bridge/rt/config.h"
#include "host-bridge/rt/hc.h"

#define LINUX_LOG_SIZE	(64u << 10)
#define LINUX_VCPUS	8u	/* as many as a partition can have */
#define LINUX_LINE	128u

enum linux_request {		/* what Linux asked through its registers */
	LINUX_REQUEST_NONE,
	LINUX_REQUEST_RESET,
	LINUX_REQUEST_POWER_OFF,
};

/* The devices of one Linux. */
struct linux_io {
	struct linux_io *next;		/* of all Linux partitions */
	const struct config_guest *want;
	void (*asked)(void *arg, enum linux_request request);
	void (*said)(void *arg, const char *reason);
	void *arg;
	struct uart_model uart;
	struct pci_model pci;
	/* The last bytes it printed; goes on over restarts. */
	char log[LINUX_LOG_SIZE];
	uint64_t log_end;		/* bytes ever written */
	/* Of several: what the second serial line has not got yet. */
	char line[LINUX_LINE];
	unsigned line_len;
	struct linux_says says;		/* since the last start */
	/* Output to the second serial line that waits for it. */
	struct hc_ioreq waiting[LINUX_VCPUS];
	unsigned waiting_count;
	uint8_t *saved;			/* as linux_io_save() has it, always;
					 * or NULL */
};

/* Sets up *io, which must stay; asked is called (from the loop) when Linux
 * wants a reset or power off. Its vCPU stays stopped then. said: when it has
 * printed why it does not come up, once after each start at most. */
void linux_io_init(struct linux_io *io, const struct config_guest *want,
		   void (*asked)(void *arg, enum linux_request request),
		   void (*said)(void *arg, const char *reason), void *arg);
/* Devices as after power-on; the log goes on. */
void linux_io_reset(struct linux_io *io);
/* Devices as another Linux has set up its own, which are the same. */
void linux_io_copy(struct linux_io *io, const struct linux_io *of);
/* What Linux has set up in them, in LINUX_SAVE_IO bytes, and as that says, which may
 * be anything. */
void linux_io_save(const struct linux_io *io, uint8_t saved[]);
void linux_io_restore(struct linux_io *io, const uint8_t saved[]);
/* Copies log bytes from position *at on (0: the oldest kept) and advances
 * it. Returns the bytes copied, 0 at the end. A log_view_read; arg is a
 * struct linux_io. */
size_t linux_io_log(void *arg, uint64_t *at, char *buf, size_t size);

#endif
