/* SPDX-License-Identifier: MIT */
/*
 * The channel driver in a fake kernel, and a host partition on the other end of
 * its channel, which the test can make as hostile as it likes: `host_ring` is
 * its end of the ring, `host_table` the state table, and all of it is ordinary
 * memory. The host does nothing by itself but follow the state table.
 */
#ifndef DRIVER_FIXTURE_H
#define DRIVER_FIXTURE_H

#include "guest/driver/isthmus.h"
#include "proto/nbd.h"
#include "proto/net_channel.h"

#define HOST_SECTION	(RING_HEADER_SIZE + RING_DATA_MIN)
#define HOST_CREDIT	0x100000u
#define PORT_MOUNT	600u		/* of the first mount */

static u32 *host_table;
static struct ring host_ring;
static bool host_polite = true;		/* follows the state table */
static bool host_disks;			/* sees what is for disks */
static bool host_net;			/* and for the network */
static u8 host_payload[RING_PAYLOAD_MAX];	/* of the last packet taken */
static unsigned int host_doorbells;
static unsigned int host_inits;		/* of its ring */

static inline u32 *host_word(unsigned int n)
{
	return &host_table[CHANNEL_ST_STATE(n)];
}

/* A step of the host's by the rules of docs/channel.md. False: none to take. */
static inline bool host_step(void)
{
	u32 own = *host_word(0), peer = *host_word(1), next = own;

	if (own == CHANNEL_STATE_DOWN && peer != CHANNEL_STATE_READY) {
		ring_init(&host_ring, fake.region +
			  CHANNEL_OUTPUT_OFFSET(0, HOST_SECTION),
			  fake.region + CHANNEL_OUTPUT_OFFSET(1, HOST_SECTION),
			  HOST_SECTION, host_table[CHANNEL_ST_GENERATION]);
		host_inits++;
		next = CHANNEL_STATE_INIT;
	} else if (own == CHANNEL_STATE_INIT && peer != CHANNEL_STATE_DOWN) {
		next = CHANNEL_STATE_READY;
	} else if (own == CHANNEL_STATE_READY && peer == CHANNEL_STATE_DOWN) {
		next = CHANNEL_STATE_DOWN;
	}
	*host_word(0) = next;
	return next != own;
}

static inline void host_steps(void)
{
	while (host_polite && host_step()) {
		if (fake.locks == 0) {
			fake_interrupt(0);
		}
	}
}

/* The driver sets its word: the hypervisor's part. */
static inline void host_state(u32 state)
{
	*host_word(1) = state;
	host_steps();
}

static inline void host_doorbell(void)
{
	host_doorbells++;
}

/* Until the channel is up, or does not come up. */
static inline void settle(void)
{
	for (int i = 0; i < 8; i++) {
		fake_run();
		host_steps();
	}
}

static inline void ring_linux(void)
{
	fake_interrupt(1);
}

/* A packet that may have any field. Linux is not told. */
static inline enum ring_status host_put(const struct ring_packet *packet,
					const void *payload)
{
	enum ring_status status = ring_tx_packet(&host_ring, packet, payload);

	ring_tx_commit(&host_ring);
	return status;
}

/* The next packet of the driver's, if there is one. Those for disks and the network
 * are left out where the test has none. */
static inline bool host_take(struct ring_packet *packet)
{
	while (ring_rx_next(&host_ring, packet) == RING_OK &&
	       ((!host_disks && packet->dst_port == NBD_PORT) ||
		(!host_net && packet->dst_port == NET_CHANNEL_PORT))) {
		ring_rx_done(&host_ring);
	}
	if (ring_rx_next(&host_ring, packet) != RING_OK) {
		return false;
	}
	ring_rx_copy(&host_ring, 0, host_payload, packet->len);
	ring_rx_done(&host_ring);
	if (ring_rx_commit(&host_ring)) {
		ring_linux();
	}
	return true;
}

/* Takes all there is; the number of packets of that operation. */
static inline unsigned int host_take_all(u16 op)
{
	struct ring_packet packet;
	unsigned int n = 0;

	while (host_take(&packet)) {
		n += packet.op == op;
	}
	return n;
}

/* The channel's memory, cleared: the same for all who load the driver, for new
 * pages cost a fuzzer more than all else. */
static inline u8 *host_region(size_t size)
{
	static u8 *region;

	if (!region) {
		region = aligned_alloc(4096, size);
	}
	memset(region, 0, size);
	return region;
}

/* The module with a device whose host is there. */
static inline void driver_load(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.region_size = CHANNEL_REGION_SIZE(HOST_SECTION);
	fake.region = host_region(fake.region_size);
	fake.state = host_state;
	fake.doorbell = host_doorbell;
	host_polite = true;
	host_table = (u32 *)fake.region;
	host_table[CHANNEL_ST_MAGIC] = CHANNEL_MAGIC;
	host_table[CHANNEL_ST_VERSION] = CHANNEL_VERSION;
	host_table[CHANNEL_ST_GENERATION] = 1;
	host_table[CHANNEL_ST_OUTPUT_SIZE] = HOST_SECTION;
	assert(fake_module_init() == 0);
}

static inline void driver_unload(void)
{
	fake_module_exit();
	assert(!fake.device && !fake.transport_registered);
}

static inline void driver_start(void)
{
	driver_load();
	assert(fake_probe() == 0);
	settle();
	assert(*host_word(0) == CHANNEL_STATE_READY &&
	       *host_word(1) == CHANNEL_STATE_READY);
}

#endif
