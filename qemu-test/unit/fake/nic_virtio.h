/* SPDX-License-Identifier: MIT */
/* A virtio network card [virtio 1.2], and how it can misbehave. */
#ifndef FAKE_NIC_VIRTIO_H
#define FAKE_NIC_VIRTIO_H

#include "nic_fixture.h"
#include "drivers/virtio_net.h"

#define REGS_COMMON	((volatile void *)0x1000)
#define REGS_DEVICE	((volatile void *)0x2000)
#define REGS_NOTIFY	((volatile void *)0x3000)
#define F_USUAL		(1ull << 0 | 1ull << 1 | 1ull << 5 | 1ull << 11 | \
			 1ull << 12 | 1ull << 16 | 1ull << 32 | 1ull << 33)

struct fake_queue {
	uint16_t size, size_max, enable, vector;
	uint64_t desc, avail, used;
	uint16_t seen, used_idx;
	bool deaf;			/* wants no word of new buffers */
	uint16_t known;			/* of avail.idx, at the last word */
};

/* The device. What is not 0 at the beginning of a test is set in setup(). */
extern struct fake_virtio {
	uint64_t features, accepted;
	uint32_t select[2];
	uint16_t queue;
	uint8_t status, mac[6];
	uint16_t mtu, config_vector;
	bool link;
	struct fake_queue queues[2];
	bool no_features_ok, reverse;
	uint8_t header[12];		/* before what comes */
} dev;

void use(unsigned queue, uint32_t id, uint32_t len);
uint16_t *word(uint64_t at);

void virtio_step(void);
bool virtio_arrive(const uint8_t *data, size_t len);
void virtio_link(bool up);

#endif
