// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: the channel's PCI device, its ring and its interrupts. See
 * docs/channel.md for the device and the ring.
 *
 * The cheap round trip: who sends a packet first takes back the request for a
 * doorbell, publishes, rings the host, and then looks at the ring itself. Where
 * host and Linux share a CPU the answer is there when the doorbell instruction
 * returns, and no interrupt was spent on it. 9P replies are completed on the
 * spot, in any context, up to a budget; what is beyond it, and socket packets,
 * which need a process, go to the interrupt thread.
 *
 * Trust: the host decides what Linux runs and serves its files, but what it
 * writes into its section is checked as if it were hostile (abi/ring.h): a
 * wrong index or length resets the channel, and touches nothing else. Locks:
 * isthmus.h. A write to an I/O register is a VM exit; the host may run, and
 * answer, before it returns.
 */
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "isthmus.h"

/* How long a packet that nobody waits for may stay unpublished. */
#define LATER		(HZ / 10)
/* What one turn may take off the ring with interrupts off, in bytes copied: some
 * 50 us. The work that a packet is besides counts as so many bytes. */
#define RX_BUDGET	0x40000u
#define RX_PACKET_COST	1024u

/* The one channel, and whether it is of use now: isthmus.h. */
struct isthmus isthmus_channel;

/**
 * Own word of the state table; the hypervisor writes it and tells the host.
 * rx_mutex held.
 */
void isthmus_set_state(struct isthmus *ch, u32 state)
{
	ch->own_state = state;
	outl(state, ch->port + CHANNEL_IO_STATE);
}

/* The host broke a rule of the ring (lock held): the thread resets it. Until
 * then each further look finds the same fault, or nothing. */
static void ring_fault(struct isthmus *ch, enum ring_status status)
{
	ch->fault = status;
	irq_wake_thread(ch->irq, ch);
}

/**
 * Puts one packet into the ring (lock held, ch->up). header is a struct
 * virtio_vsock_hdr, whose len says how long payload is, at most
 * RING_PAYLOAD_MAX. The host sees it after isthmus_tx_done() or another commit.
 * False: no space, or the ring is at fault; nothing was put.
 */
bool isthmus_tx_put(struct isthmus *ch, const void *header,
		    const void *payload)
{
	enum ring_status status = ring_tx_packet(&ch->ring, header, payload);

	if (status > RING_FULL) {
		ring_fault(ch, status);
	}
	return status == RING_OK;
}

/**
 * Like isthmus_tx_put(), for a socket packet: its header is at skb->head, its
 * payload may be in pieces (from Linux 6.12 on, when it is large).
 */
bool isthmus_tx_put_skb(struct isthmus *ch, struct sk_buff *skb)
{
	enum ring_status status;
	struct skb_seq_state pieces;
	u32 done = 0, n;
	const u8 *data;

	if (!skb_is_nonlinear(skb)) {
		return isthmus_tx_put(ch, skb->head, skb->data);
	}
	status = ring_tx_begin(&ch->ring, skb->len);
	if (status > RING_FULL) {
		ring_fault(ch, status);
	}
	if (status != RING_OK) {
		return false;
	}
	ring_tx_put(&ch->ring, 0, skb->head, RING_PACKET_HEADER);
	skb_prepare_seq_read(skb, 0, skb->len, &pieces);
	while ((n = skb_seq_read(done, &data, &pieces)) != 0) {
		ring_tx_put(&ch->ring, RING_PACKET_HEADER + done, data, n);
		done += n;
	}
	ring_tx_end(&ch->ring, skb->len);
	return true;
}

/**
 * Asks to be told about space for len payload bytes (lock held). Then the
 * interrupt thread empties tx_queue and wakes ch->wq. False: there is space
 * now. True also after a fault: the reset wakes all who wait.
 */
bool isthmus_tx_wait(struct isthmus *ch, u32 len)
{
	enum ring_status status;

	/* The host can make no space of what it does not see: publish first.
	 * [docs/channel.md "Waiting for space"] */
	if (ring_tx_commit(&ch->ring)) {
		outl(0, ch->port + CHANNEL_IO_DOORBELL);
	}
	status = ring_tx_arm(&ch->ring, len);
	if (status > RING_FULL) {
		ring_fault(ch, status);
	}
	if (status != RING_OK) {
		ch->tx_blocked = true;
		return true;
	}
	/* Others may wait for more, and what they asked for is overwritten:
	 * they have to ask again. */
	if (ch->tx_blocked) {
		irq_wake_thread(ch->irq, ch);
	}
	return false;
}

/* What rx_poll() left. NOTHING: the ring is empty, and the host has been asked
 * to ring at the next packet; or down, or at fault. SOCKET: *packet is for a
 * socket, and so for the thread. MORE: the budget is used up. */
enum rx_left { RX_NOTHING, RX_SOCKET, RX_MORE };

/* One turn: takes 9P packets off the ring up to the first socket packet, as
 * many as the budget allows (lock held). */
static enum rx_left rx_poll(struct isthmus *ch, struct ring_packet *packet)
{
	enum ring_status status;
	bool bell;

	if (!ch->up) {
		return RX_NOTHING;
	}
	ch->rx_budget = RX_BUDGET;
	do {
		status = ring_rx_next(&ch->ring, packet);
		while (status == RING_OK && ch->rx_budget != 0 &&
		       isthmus_p9_input(ch, packet)) {
			isthmus_rx_charge(ch, packet->len + RX_PACKET_COST);
			ring_rx_done(&ch->ring);
			status = ring_rx_next(&ch->ring, packet);
		}
		/* 9P packets may have been answered with packets of ours
		 * (RST), so both directions are published; one doorbell
		 * serves both. */
		bell = ring_rx_commit(&ch->ring);
		bell |= ring_tx_commit(&ch->ring);
		if (bell) {
			outl(0, ch->port + CHANNEL_IO_DOORBELL);
		}
		if (status > RING_FULL) {
			ring_fault(ch, status);
		}
	/* Asking and then looking once more: a packet that came in between
	 * would ring nobody. [docs/channel.md "Why no wake-up is lost"] */
	} while (status == RING_EMPTY && ring_rx_arm(&ch->ring));

	ch->rx_more = status == RING_OK && ch->rx_budget == 0;
	return status != RING_OK ? RX_NOTHING :
	       ch->rx_more ? RX_MORE : RX_SOCKET;
}

/**
 * Publishes what was put, rings the host if it asked, looks for the answer, and
 * drops the lock taken with flags. Any context that may take the lock; ch->up.
 */
void isthmus_tx_done(struct isthmus *ch, unsigned long flags)
{
	struct ring_packet packet;
	bool bell;

	/* No doorbell for the answer: rx_poll() below looks, and asks again
	 * when it finds nothing. */
	ring_rx_disarm(&ch->ring);
	bell = ring_tx_commit(&ch->ring);
	/* The exit is outside the lock, so that another CPU can use the ring
	 * and interrupts get through while the host runs. The device stays as
	 * long: channel_remove() waits for it. */
	rcu_read_lock();
	spin_unlock_irqrestore(&ch->lock, flags);
	if (bell) {
		outl(0, ch->port + CHANNEL_IO_DOORBELL);
	}
	rcu_read_unlock();
	spin_lock_irqsave(&ch->lock, flags);
	if (rx_poll(ch, &packet) != RX_NOTHING) {
		irq_wake_thread(ch->irq, ch);
	}
	spin_unlock_irqrestore(&ch->lock, flags);
}

/* Publishes what no other packet has published since isthmus_tx_later(). */
static void publish(struct work_struct *work)
{
	struct isthmus *ch = container_of(to_delayed_work(work),
					  struct isthmus, publish);
	unsigned long flags;

	spin_lock_irqsave(&ch->lock, flags);
	if (ch->up && ring_tx_commit(&ch->ring)) {
		outl(0, ch->port + CHANNEL_IO_DOORBELL);
	}
	spin_unlock_irqrestore(&ch->lock, flags);
}

/**
 * Like isthmus_tx_done() for packets whose answer nobody waits for: they go
 * with the next packet, or after 100 ms. So the host is not rung for them, and
 * the timer is set once for many.
 */
void isthmus_tx_later(struct isthmus *ch, unsigned long flags)
{
	if (!delayed_work_pending(&ch->publish)) {
		schedule_delayed_work(&ch->publish, LATER);
	}
	spin_unlock_irqrestore(&ch->lock, flags);
}

/* Moves queued socket packets to the ring as space allows, in their order; what
 * does not fit goes back to the front. Then what the mounts' ends have to say.
 * rx_mutex held. */
static void tx_flush(struct isthmus *ch)
{
	struct sk_buff_head sent;
	struct sk_buff *skb;
	unsigned long flags;

	__skb_queue_head_init(&sent);
	spin_lock_irqsave(&ch->lock, flags);
	ch->tx_blocked = false;
	while (ch->up && (skb = skb_dequeue(&ch->tx_queue)) != NULL) {
		if (isthmus_tx_put_skb(ch, skb)) {
			__skb_queue_tail(&sent, skb);
			continue;
		}
		skb_queue_head(&ch->tx_queue, skb);
		if (isthmus_tx_wait(ch, skb->len)) {
			break;
		}
	}
	if (ch->up) {
		isthmus_p9_flush(ch);
		if (ring_tx_commit(&ch->ring)) {
			outl(0, ch->port + CHANNEL_IO_DOORBELL);
		}
	}
	spin_unlock_irqrestore(&ch->lock, flags);
	/* Packets are freed here, with interrupts on. */
	while ((skb = __skb_dequeue(&sent)) != NULL) {
		compat_skb_sent(skb);
	}
	/* 9P requests may wait for the space, and for the queue to be empty. */
	wake_up(&ch->wq);
}

/* A turn, and the socket packet that ended it. Returns whether there may be
 * more. Only the holder of rx_mutex takes socket packets and nobody goes past
 * one, so that the packet's bytes stay where they are while the lock is not
 * held. A host that rewrites them meanwhile garbles its own packet: this copy of
 * the header was checked, and others' looks at it check again. */
static bool rx_turn(struct isthmus *ch)
{
	struct ring_packet packet;
	unsigned long flags;
	enum rx_left left;
	u32 done = 0;

	spin_lock_irqsave(&ch->lock, flags);
	left = rx_poll(ch, &packet);
	spin_unlock_irqrestore(&ch->lock, flags);
	if (left != RX_SOCKET) {
		return left == RX_MORE;
	}
	/* Once for a packet without payload; in pieces when memory is short. */
	do {
		done += isthmus_vsock_receive(ch, &packet, done);
	} while (done < packet.len);

	spin_lock_irqsave(&ch->lock, flags);
	ring_rx_done(&ch->ring);
	spin_unlock_irqrestore(&ch->lock, flags);
	return true;
}

/* The doorbell's thread, also woken for state changes, faults and packets that
 * others found: the one place that changes state after probing. One run deals
 * with all there is, so a wake-up that comes twice, or for nothing, is
 * harmless. */
static irqreturn_t channel_thread(int irq, void *data)
{
	struct isthmus *ch = data;

	mutex_lock(&ch->rx_mutex);
	if (!ch->bound) {
		goto out;
	}
	isthmus_link_step(ch);
	/* Without the lock: if it is set just now, a doorbell is on its way
	 * that wakes this thread again. */
	if (READ_ONCE(ch->tx_blocked)) {
		tx_flush(ch);
	}
	while (rx_turn(ch)) {
		cond_resched();
	}
	if (READ_ONCE(ch->fault) != RING_OK) {
		isthmus_link_down(ch, "the host broke a rule of the ring");
		isthmus_link_step(ch);
	}
out:
	mutex_unlock(&ch->rx_mutex);
	return IRQ_HANDLED;
}

/* Vector 1, hard interrupt. Completes 9P replies; the rest is the thread's.
 * While that has more to do, an interrupt adds nothing: a host that rings
 * without end gets no turn here for each ring. */
static irqreturn_t doorbell_irq(int irq, void *data)
{
	struct isthmus *ch = data;
	struct ring_packet packet;
	bool wake;

	spin_lock(&ch->lock);
	/* The doorbell may have been for the space, which only the thread can
	 * use. */
	wake = ch->rx_more || rx_poll(ch, &packet) != RX_NOTHING ||
	       ch->tx_blocked;
	spin_unlock(&ch->lock);
	return wake ? IRQ_WAKE_THREAD : IRQ_HANDLED;
}

/* Vector 0: the host's state word or the generation changed. */
static irqreturn_t state_irq(int irq, void *data)
{
	struct isthmus *ch = data;

	irq_wake_thread(ch->irq, ch);
	return IRQ_HANDLED;
}

/* Both vectors, or none: with one less, state or data would go unnoticed. */
static int request_irqs(struct isthmus *ch)
{
	struct device *dev = &ch->pdev->dev;
	int err;

	err = pci_alloc_irq_vectors(ch->pdev, CHANNEL_MSIX_VECTORS,
				    CHANNEL_MSIX_VECTORS, PCI_IRQ_MSIX);
	if (err < 0) {
		return dev_err_probe(dev, err, "no MSI-X vectors\n");
	}
	ch->irq = pci_irq_vector(ch->pdev, 1);
	err = devm_request_threaded_irq(dev, ch->irq, doorbell_irq,
					channel_thread, 0, "isthmus", ch);
	if (err == 0) {
		err = devm_request_irq(dev, pci_irq_vector(ch->pdev, 0),
				       state_irq, 0, "isthmus-state", ch);
	}
	return err;
}

/* BARs and state table. These come from host-bridge (PCI configuration) and the
 * hypervisor (table); they are checked against each other, for a section that
 * lies outside the BAR would be our crash. */
static int map_device(struct isthmus *ch)
{
	struct pci_dev *pdev = ch->pdev;
	resource_size_t size = pci_resource_len(pdev, 2);

	if (!(pci_resource_flags(pdev, 0) & IORESOURCE_IO) ||
	    pci_resource_len(pdev, 0) < CHANNEL_IO_SIZE ||
	    size < CHANNEL_PAGE) {
		return -ENODEV;
	}
	ch->port = pci_resource_start(pdev, 0);
	ch->peer = inl(ch->port + CHANNEL_IO_ID);
	/* Plain memory, both ends' caches coherent: write-back. */
	ch->region = devm_memremap(&pdev->dev, pci_resource_start(pdev, 2),
				   size, MEMREMAP_WB);
	if (IS_ERR(ch->region)) {
		return PTR_ERR(ch->region);
	}
	ch->table = ch->region;
	ch->section = ring_load(&ch->table[CHANNEL_ST_OUTPUT_SIZE]);
	/* The second test keeps the third's sum from wrapping. */
	if (ch->peer > 1 || ch->section > size / 2 ||
	    CHANNEL_REGION_SIZE(ch->section) > size ||
	    ring_load(&ch->table[CHANNEL_ST_MAGIC]) != CHANNEL_MAGIC ||
	    ring_load(&ch->table[CHANNEL_ST_VERSION]) != CHANNEL_VERSION) {
		return -ENODEV;
	}
	return 0;
}

/* One device only: a second channel is left alone, -EBUSY. Everything but the
 * vsock transport is freed by devres on failure. rx_mutex held: the thread does
 * nothing until the device is bound. */
static int bind(struct isthmus *ch, struct pci_dev *pdev)
{
	int err;

	if (ch->bound) {
		return -EBUSY;
	}
	ch->pdev = pdev;
	err = pcim_enable_device(pdev);
	if (err) {
		return err;
	}
	/* MSI-X messages are writes by the device. */
	pci_set_master(pdev);
	err = map_device(ch);
	if (err) {
		return dev_err_probe(&pdev->dev, err, "no valid channel\n");
	}
	err = request_irqs(ch);
	if (err) {
		return err;
	}
	/* Sockets can be made from here on; until the channel is up a connect
	 * fails. Another transport to a host in this kernel (virtio, VMware)
	 * excludes ours. */
	err = isthmus_vsock_register();
	if (err) {
		return dev_err_probe(&pdev->dev, err,
				     "another vsock transport is in use\n");
	}
	/* Then DOWN, whatever the table says of a driver before us, then what
	 * the table allows. Interrupts are on before the first look: none is
	 * missed. [docs/channel.md "States and reset"] */
	outl(1, ch->port + CHANNEL_IO_INT_CONTROL);
	ch->bound = true;
	isthmus_set_state(ch, CHANNEL_STATE_DOWN);
	isthmus_link_step(ch);
	return 0;
}

static int channel_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct isthmus *ch = &isthmus_channel;
	int err;

	mutex_lock(&ch->rx_mutex);
	err = bind(ch, pdev);
	mutex_unlock(&ch->rx_mutex);
	return err;
}

/* At module removal, when no socket and no mount is left (they hold the
 * module); and whenever root takes the device away, with sockets and mounts in
 * use, which then fail. First nobody may begin anything with the device: down,
 * and not bound, so that the thread does not bring it up again and no mount
 * waits for that. Then what has begun is waited for. */
static void channel_remove(struct pci_dev *pdev)
{
	struct isthmus *ch = &isthmus_channel;

	isthmus_vsock_unregister();
	outl(0, ch->port + CHANNEL_IO_INT_CONTROL);
	mutex_lock(&ch->rx_mutex);
	ch->bound = false;
	isthmus_link_down(ch, "device removed");
	mutex_unlock(&ch->rx_mutex);

	devm_free_irq(&pdev->dev, pci_irq_vector(pdev, 0), ch);
	devm_free_irq(&pdev->dev, ch->irq, ch);
	/* Doorbells outside the lock: isthmus_tx_done(). */
	synchronize_rcu();
	cancel_delayed_work_sync(&ch->publish);
}

static const struct pci_device_id channel_ids[] = {
	{ PCI_DEVICE(CHANNEL_PCI_VENDOR, CHANNEL_PCI_DEVICE),
	  .class = CHANNEL_PCI_CLASS, .class_mask = 0xffffff },
	{ }
};
MODULE_DEVICE_TABLE(pci, channel_ids);

static struct pci_driver channel_driver = {
	.name = "isthmus",
	.id_table = channel_ids,
	.probe = channel_probe,
	.remove = channel_remove,
};

/* The 9P transport needs the device at mount time only. */
static int __init channel_init(void)
{
	struct isthmus *ch = &isthmus_channel;
	int err;

	mutex_init(&ch->rx_mutex);
	spin_lock_init(&ch->lock);
	skb_queue_head_init(&ch->tx_queue);
	init_waitqueue_head(&ch->wq);
	INIT_DELAYED_WORK(&ch->publish, publish);

	isthmus_clock_set();
	err = pci_register_driver(&channel_driver);
	if (err == 0) {
		isthmus_p9_register();
	}
	return err;
}

static void __exit channel_exit(void)
{
	isthmus_p9_unregister();
	pci_unregister_driver(&channel_driver);
}

module_init(channel_init);
module_exit(channel_exit);
MODULE_DESCRIPTION("Isthmus channel: vsock and 9P transport");
MODULE_LICENSE("GPL");
