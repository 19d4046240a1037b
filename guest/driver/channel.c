// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: the channel's PCI device and its interrupts. See docs/channel.md for
 * the device. The interrupt thread is where sockets' packets are taken, and
 * where the state changes; the ring itself is ring.c's.
 *
 * Trust: the host decides what Linux runs and serves its files; the device is
 * described by host-bridge, and what it says is checked before it is used.
 * Locks: isthmus.h.
 */
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "isthmus.h"
#include "proto/fuse_channel.h"
#include "proto/nbd.h"
#include "proto/net_channel.h"

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
		isthmus_fuse_flush(ch);
		isthmus_disk_flush(ch);
		isthmus_net_flush(ch);
		if (ring_tx_commit(&ch->ring)) {
			outl(0, ch->port + CHANNEL_IO_DOORBELL);
		}
	}
	spin_unlock_irqrestore(&ch->lock, flags);
	/* Packets are freed here, with interrupts on. */
	while ((skb = __skb_dequeue(&sent)) != NULL) {
		compat_skb_sent(skb);
	}
	isthmus_net_turn(ch);
	/* Requests may wait for the space, and for the queue to be empty. */
	wake_up(&ch->wq);
}

/* Sends what waited since isthmus_tx_later(), and publishes what nobody else
 * has. */
static void publish(struct work_struct *work)
{
	struct isthmus *ch = container_of(to_delayed_work(work),
					  struct isthmus, publish);
	unsigned long flags;

	spin_lock_irqsave(&ch->lock, flags);
	if (ch->up) {
		isthmus_fuse_flush(ch);
		isthmus_fuse_idle(ch);
		isthmus_disk_flush(ch);
		isthmus_net_flush(ch);
		if (ring_tx_commit(&ch->ring)) {
			outl(0, ch->port + CHANNEL_IO_DOORBELL);
		}
	}
	spin_unlock_irqrestore(&ch->lock, flags);
}

/* A turn, and each socket packet that ends one. Returns whether there may be more.
 * Only the holder of rx_mutex takes socket packets and nobody goes past one, so
 * that the packet's bytes stay where they are while the lock is not held. A host
 * that rewrites them meanwhile garbles its own packet: this copy of the header
 * was checked, and others' looks at it check again. */
static bool rx_turn(struct isthmus *ch)
{
	struct ring_packet packet;
	unsigned long flags;
	enum isthmus_rx left;

	spin_lock_irqsave(&ch->lock, flags);
	while ((left = isthmus_rx_poll(ch, &packet)) == RX_SOCKET) {
		u32 done = 0;

		spin_unlock_irqrestore(&ch->lock, flags);
		/* Once for a packet without payload; in pieces when memory is
		 * short. */
		do {
			done += isthmus_vsock_receive(ch, &packet, done);
		} while (done < packet.len);
		cond_resched();
		spin_lock_irqsave(&ch->lock, flags);
		ring_rx_done(&ch->ring);
	}
	spin_unlock_irqrestore(&ch->lock, flags);
	return left == RX_MORE;
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

/* Vector 1, hard interrupt. Completes replies of files and disks; the rest is the thread's.
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
	wake = ch->rx_more || isthmus_rx_poll(ch, &packet) != RX_NOTHING ||
	       ch->tx_blocked;
	spin_unlock(&ch->lock);
	isthmus_disk_complete(ch);
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
	kfree_skb(ch->empty);
	ch->empty = NULL;
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

/* A packet of the driver's own connections. Most are sockets', of no port of
 * ours. */
static bool input(struct isthmus *ch, const struct ring_packet *packet)
{
	if (packet->dst_port - ISTHMUS_PORT_FIRST >
	    ISTHMUS_PORT_LAST - ISTHMUS_PORT_FIRST) {
		return false;
	}
	switch (packet->src_port) {
	case FUSE_CHANNEL_PORT:
		return isthmus_fuse_input(ch, packet);
	case NBD_PORT:
		return isthmus_disk_input(ch, packet);
	case NET_CHANNEL_PORT:
		return isthmus_net_input(ch, packet);
	default:
		return false;
	}
}

/* A mount needs the device at mount time only. */
static int __init channel_init(void)
{
	struct isthmus *ch = &isthmus_channel;
	int err;

	mutex_init(&ch->rx_mutex);
	spin_lock_init(&ch->lock);
	skb_queue_head_init(&ch->tx_queue);
	init_waitqueue_head(&ch->wq);
	INIT_DELAYED_WORK(&ch->publish, publish);
	ch->input = input;

	isthmus_clock_set();
	err = isthmus_fuse_register();
	if (err) {
		return err;
	}
	err = isthmus_disk_register();
	if (err) {
		goto no_disks;
	}
	err = isthmus_net_register();
	if (err) {
		goto no_net;
	}
	err = pci_register_driver(&channel_driver);
	if (!err) {
		isthmus_report_register();
		return 0;
	}
	isthmus_net_unregister();
no_net:
	isthmus_disk_unregister();
no_disks:
	isthmus_fuse_unregister();
	return err;
}

static void __exit channel_exit(void)
{
	isthmus_report_unregister();
	isthmus_fuse_unregister();
	pci_unregister_driver(&channel_driver);
	isthmus_net_unregister();
	isthmus_disk_unregister();
}

module_init(channel_init);
module_exit(channel_exit);
MODULE_DESCRIPTION("Isthmus channel: vsock, FUSE transport, disks, network");
MODULE_LICENSE("GPL");
