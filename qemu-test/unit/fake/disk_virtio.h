/* SPDX-License-Identifier: MIT */
/* A virtio block device [virtio 1.2], and how it can misbehave. */
#ifndef FAKE_DISK_VIRTIO_H
#define FAKE_DISK_VIRTIO_H

#include "disk_fixture.h"
#include "drivers/virtio_blk.h"

#define REGS_COMMON	((volatile void *)0x1000)
#define REGS_DEVICE	((volatile void *)0x2000)
#define REGS_NOTIFY	((volatile void *)0x3000)
#define F_FLUSH		(1ull << 9)
#define F_USUAL		(1ull << 2 | 1ull << 6 | F_FLUSH | 1ull << 13 | \
			 1ull << 14 | 1ull << 28 | 1ull << 32 | 1ull << 33)

/* The device. What is not 0 at the beginning of a test is set in setup(). */
extern struct fake_virtio {
	uint64_t features, accepted;
	uint32_t select[2], blk_size, discard_max;
	uint8_t status;
	uint16_t size_max, size, enable, vectors[2];
	uint64_t desc, avail, used;
	uint16_t seen, used_idx;
	uint16_t heads[256];		/* taken, not finished */
	unsigned head_count, finished, types[32], resets;
	/* How it misbehaves. */
	bool reverse, hangs, stuck_reset, short_read, no_features_ok, no_id;
	unsigned hang_next;		/* so many requests are lost */
	int hang_sector;		/* requests for it are lost */
	uint8_t answer;			/* status of the next requests */
	bool silent;			/* they are done without one */
	bool interrupt;
} dev;

void use(uint32_t id, uint32_t len);
uint16_t *word(uint64_t at);
bool fake_step(void);

#endif
