/* SPDX-License-Identifier: MIT */
/*
 * What the machine does now: counts that grow, looked at from time to time, so that
 * there are rates. Once a second at most, whoever asks how often.
 */
#ifndef ISTHMUS_USAGE_H
#define ISTHMUS_USAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/boot_info.h"

#define USAGE_REASONS	32u
#define USAGE_DISKS	24u

struct command_env;

struct usage_partition {
	uint64_t exits[USAGE_REASONS];
	uint64_t from, to;		/* bytes over its channel */
	uint64_t net_from, net_to;	/* .. of its network */
};

struct usage_disk {
	uint64_t read, written, flushes;	/* bytes, bytes, requests */
};

/* One look; a rate is the difference of two. */
struct usage {
	uint64_t ms;			/* host-bridge's uptime */
	uint64_t up, busy, idle;	/* of all CPUs: ms */
	uint64_t rx, tx;		/* bytes of the network card */
	struct usage_partition partition[BOOT_MAX_PARTITIONS];
	struct usage_disk disk[USAGE_DISKS];	/* the machine's, then Linuxes' */
};

/* The two looks between which rates are; of the first one all since the start. They
 * stay until the next call. */
void usage_look(const struct command_env *env, const struct usage **before,
		const struct usage **now);

/** What has come in a second, between two looks so many ms apart. */
static inline uint64_t usage_rate(uint64_t before, uint64_t now, uint64_t ms)
{
	return now > before && ms > 0 ? (now - before) * 1000 / ms : 0;
}

#endif
