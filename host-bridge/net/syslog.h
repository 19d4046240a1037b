/* SPDX-License-Identifier: MIT */
/* The machine's log, to somebody on the network: see syslog.c. */
#ifndef ISTHMUS_SYSLOG_H
#define ISTHMUS_SYSLOG_H

#include <stddef.h>
#include <stdint.h>

/* The hypervisor's log, as hv_log_read() has it. */
typedef size_t (*syslog_read)(void *arg, uint64_t *at, char *buf, size_t size);

/* From now on, and from the beginning, to "ADDRESS" or "ADDRESS PORT"; once the stack
 * has a card. What is wrong with the address is said. */
void syslog_start(const char *where, syslog_read read);

struct syslog_status {
	uint64_t sent, lost;	/* lines */
};

void syslog_get_status(struct syslog_status *status);

#endif
