/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * isthmus driver: what its parts share. ring.c is the ring; above it vsock.c,
 * the AF_VSOCK transport, fuse*.c, the FUSE one, disk*.c, disks by NBD, and net*.c,
 * a network interface, which have connections of the driver's own (stream.c);
 * above these link.c, the state table; on top channel.c, the device and the
 * interrupts. Calls go down only, but for `input`.
 *
 * One lock, `lock` (interrupts off), covers the ring, both directions, and
 * the files' connections: an RPC takes it twice. `rx_mutex` serialises what runs
 * in process context: socket packets, which only its holder takes off the
 * ring, and changes of state. rx_mutex is taken before lock.
 *
 * The channel outlives its device: there is one, static, which stays as long as
 * the module, and each socket and each mount holds that. While no device is
 * bound it is down, as after a reset: `up` is false, so that nobody touches
 * ring, ports or interrupt, and all requests fail or, after a reset, wait.
 */
#ifndef ISTHMUS_H
#define ISTHMUS_H

#include <linux/interrupt.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "compat.h"
#include "abi/channel.h"
#include "abi/hypercall.h"
#include "proto/channel_device.h"
#include "proto/ring.h"

#define ISTHMUS_CID_HOST	2
#define ISTHMUS_CID_LOCAL	3

/* Local ports of the driver's own connections. [docs/channel.md "Packets: vsock"] */
#define ISTHMUS_PORT_FIRST	600u
#define ISTHMUS_PORT_LAST	672u

struct isthmus {
	/* Fixed while a device is bound. */
	struct pci_dev *pdev;
	void *region;
	const u32 *table;		/* state table */
	unsigned int port;		/* I/O registers */
	unsigned int peer;		/* own peer number */
	int irq;			/* of the doorbell */
	u32 section;			/* bytes of an output section */
	/* Under rx_mutex; `bound` is also looked at without, as a hint. */
	bool bound;			/* there is a device */
	u32 own_state;
	u32 generation;
	struct sk_buff *empty;		/* for packets without payload */
	struct mutex rx_mutex;
	/* Under lock, but for ring_init() and ring_attach(), while up is
	 * false. `up`, `fault` and `tx_blocked` are also looked at without,
	 * as a hint. */
	spinlock_t lock;
	struct ring ring;
	bool up;			/* ring usable */
	bool tx_blocked;		/* somebody waits for ring space */
	bool rx_more;			/* the thread goes on with the input */
	u32 rx_budget;			/* of the turn that runs */
	enum ring_status fault;		/* RING_BAD_*: reset due */
	/* Have locks of their own; both are used under `lock` as well. */
	struct sk_buff_head tx_queue;	/* socket packets without space */
	wait_queue_head_t wq;		/* state, space and credit changes */
	struct delayed_work publish;	/* packets that nobody waits for */
	/* Takes a packet of the driver's own connections (lock held); false: it is
	 * for a socket. Set once, before the first device. */
	bool (*input)(struct isthmus *ch, const struct ring_packet *packet);
};

/* What isthmus_rx_poll() left. NOTHING: the ring is empty, and the host has been
 * asked to ring at the next packet; or down, or at fault. SOCKET: *packet is for
 * a socket, and so for the thread. MORE: the budget is used up. */
enum isthmus_rx { RX_NOTHING, RX_SOCKET, RX_MORE };

/** Takes cost off what the turn that runs may still do (lock held). */
static inline void isthmus_rx_charge(struct isthmus *ch, u32 cost)
{
	ch->rx_budget -= min(ch->rx_budget, cost);
}

/** Has the thread do what is due of the driver's own connections (lock held). */
static inline void isthmus_flush_later(struct isthmus *ch)
{
	ch->tx_blocked = true;
	irq_wake_thread(ch->irq, ch);
}

/* How long a packet that nobody waits for may stay unpublished. */
#define ISTHMUS_LATER	(HZ / 10)

/** There is something that nobody waits for (lock held): it is dealt with in
 * 100 ms. */
static inline void isthmus_publish_later(struct isthmus *ch)
{
	if (!delayed_work_pending(&ch->publish)) {
		schedule_delayed_work(&ch->publish, ISTHMUS_LATER);
	}
}

/* ring.c */
extern struct isthmus isthmus_channel;
bool isthmus_tx_put(struct isthmus *ch, const void *header,
		    const void *payload);
bool isthmus_tx_put_skb(struct isthmus *ch, struct sk_buff *skb);
bool isthmus_tx_wait(struct isthmus *ch, u32 len);
void isthmus_tx_done(struct isthmus *ch, unsigned long flags);
void isthmus_tx_later(struct isthmus *ch, unsigned long flags);
enum isthmus_rx isthmus_rx_poll(struct isthmus *ch,
				struct ring_packet *packet);
void isthmus_set_state(struct isthmus *ch, u32 state);

/* link.c */
void isthmus_link_step(struct isthmus *ch);
void isthmus_link_down(struct isthmus *ch, const char *reason);

/* vsock.c */
int isthmus_vsock_register(void);
void isthmus_vsock_unregister(void);
void isthmus_vsock_reset(void);
u32 isthmus_vsock_receive(struct isthmus *ch,
			  const struct ring_packet *packet, u32 offset);

/* fuse.c, and fuse_conn.c with ch->lock held. */
int isthmus_fuse_register(void);
void isthmus_fuse_unregister(void);
bool isthmus_fuse_input(struct isthmus *ch, const struct ring_packet *packet);
void isthmus_fuse_flush(struct isthmus *ch);
void isthmus_fuse_idle(struct isthmus *ch);
u32 isthmus_fuse_reset(struct isthmus *ch);

/* disk.c, and disk_conn.c with ch->lock held. */
int isthmus_disk_register(void);
void isthmus_disk_unregister(void);
void isthmus_disk_complete(struct isthmus *ch);
bool isthmus_disk_input(struct isthmus *ch, const struct ring_packet *packet);
void isthmus_disk_flush(struct isthmus *ch);
u32 isthmus_disk_reset(struct isthmus *ch);

/* net.c, and net_conn.c with ch->lock held. */
int isthmus_net_register(void);
void isthmus_net_unregister(void);
void isthmus_net_turn(struct isthmus *ch);
bool isthmus_net_input(struct isthmus *ch, const struct ring_packet *packet);
void isthmus_net_flush(struct isthmus *ch);
void isthmus_net_reset(struct isthmus *ch);

/* clock.c */
void isthmus_clock_set(void);

/* hypercall.c */
s64 isthmus_hypercall(u64 number, const u64 args[5]);

/* report.c */
void isthmus_report_register(void);
void isthmus_report_unregister(void);

#endif
