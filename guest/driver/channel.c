// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: the channel's PCI device, its ring and its interrupts. See
 * docs/channel.md for the device and the ring.
 *
 * The cheap round trip: who sends a packet first takes back the request for a
 * doorbell, publishes, rings the host, and then looks at the ring itself. Where
 * host and Linux share a CPU the answer is there when the doorbell
 * instruction returns, and no interrupt was spent on it. 9P replies are
 * completed on the spot, in any context; socket packets need a process and go
 * to the interrupt thread.
 */
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/virtio_vsock.h>

#include "isthmus.h"

struct isthmus *isthmus_channel;

void isthmus_set_state(struct isthmus *ch, u32 state)
{
	ch->own_state = state;
	outl(state, ch->port + CHANNEL_IO_STATE);
}

/* The host broke a rule of the ring (lock held): the thread resets it. */
static void ring_fault(struct isthmus *ch, enum ring_status status)
{
	ch->fault = status;
	irq_wake_thread(ch->irq, ch);
}

/**
 * Puts one packet into the ring (lock held). header is a struct
 * virtio_vsock_hdr, whose len says how long payload is. False: no space, or
 * the ring is at fault.
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
 * Asks to be told about space for len payload bytes (lock held). False: there
 * is space now.
 */
bool isthmus_tx_wait(struct isthmus *ch, u32 len)
{
	enum ring_status status;

	if (ring_tx_commit(&ch->ring)) {
		outl(0, ch->port + CHANNEL_IO_DOORBELL);
	}
	status = ring_tx_arm(&ch->ring, len);
	if (status > RING_FULL) {
		ring_fault(ch, status);
	}
	ch->tx_blocked = status != RING_OK;
	return ch->tx_blocked;
}

/* Takes 9P packets off the ring up to the first socket packet (lock held).
 * True: that is *packet now, for the thread. */
static bool rx_poll(struct isthmus *ch, struct ring_packet *packet)
{
	enum ring_status status;
	bool bell;

	if (!ch->up) {
		return false;
	}
	do {
		status = ring_rx_next(&ch->ring, packet);
		while (status == RING_OK && isthmus_p9_input(ch, packet)) {
			ring_rx_done(&ch->ring);
			status = ring_rx_next(&ch->ring, packet);
		}
		bell = ring_rx_commit(&ch->ring);
		bell |= ring_tx_commit(&ch->ring);
		if (bell) {
			outl(0, ch->port + CHANNEL_IO_DOORBELL);
		}
		if (status > RING_FULL) {
			ring_fault(ch, status);
		}
	} while (status == RING_EMPTY && ring_rx_arm(&ch->ring));

	return status == RING_OK;
}

/**
 * Publishes what was put, rings the host if it asked, looks for the answer,
 * and drops the lock taken with flags.
 */
void isthmus_tx_done(struct isthmus *ch, unsigned long flags)
{
	struct ring_packet packet;
	bool bell, wake;

	ring_rx_disarm(&ch->ring);
	bell = ring_tx_commit(&ch->ring);
	spin_unlock_irqrestore(&ch->lock, flags);
	if (bell) {
		outl(0, ch->port + CHANNEL_IO_DOORBELL);
	}
	spin_lock_irqsave(&ch->lock, flags);
	wake = rx_poll(ch, &packet);
	spin_unlock_irqrestore(&ch->lock, flags);
	if (wake) {
		irq_wake_thread(ch->irq, ch);
	}
}

/* Moves queued socket packets to the ring as space allows. */
static void tx_flush(struct isthmus *ch)
{
	struct sk_buff_head sent;
	struct sk_buff *skb;
	unsigned long flags;

	__skb_queue_head_init(&sent);
	spin_lock_irqsave(&ch->lock, flags);
	ch->tx_blocked = false;
	while (ch->up && (skb = skb_dequeue(&ch->tx_queue)) != NULL) {
		if (isthmus_tx_put(ch, skb->head, skb->data)) {
			__skb_queue_tail(&sent, skb);
			continue;
		}
		skb_queue_head(&ch->tx_queue, skb);
		if (isthmus_tx_wait(ch, skb->len)) {
			break;
		}
	}
	if (ch->up && ring_tx_commit(&ch->ring)) {
		outl(0, ch->port + CHANNEL_IO_DOORBELL);
	}
	spin_unlock_irqrestore(&ch->lock, flags);
	__skb_queue_purge(&sent);
	wake_up(&ch->wq);
}

/* Takes one packet off the ring. Returns whether there may be more. Only the
 * holder of rx_mutex takes socket packets and nobody goes past one, so that the
 * packet's bytes stay where they are while the lock is not held. */
static bool rx_one(struct isthmus *ch)
{
	struct ring_packet packet;
	unsigned long flags;
	bool more;
	u32 done = 0;

	spin_lock_irqsave(&ch->lock, flags);
	more = rx_poll(ch, &packet);
	spin_unlock_irqrestore(&ch->lock, flags);
	if (!more) {
		return false;
	}
	do {
		done += isthmus_vsock_receive(ch, &packet, done);
	} while (done < packet.len);

	spin_lock_irqsave(&ch->lock, flags);
	ring_rx_done(&ch->ring);
	spin_unlock_irqrestore(&ch->lock, flags);
	return true;
}

static irqreturn_t channel_thread(int irq, void *data)
{
	struct isthmus *ch = data;

	mutex_lock(&ch->rx_mutex);
	isthmus_link_step(ch);
	if (READ_ONCE(ch->tx_blocked)) {
		tx_flush(ch);
	}
	while (rx_one(ch)) {
		cond_resched();
	}
	if (READ_ONCE(ch->fault) != RING_OK) {
		isthmus_link_down(ch, "the host broke a rule of the ring");
		isthmus_link_step(ch);
	}
	mutex_unlock(&ch->rx_mutex);
	return IRQ_HANDLED;
}

static irqreturn_t doorbell_irq(int irq, void *data)
{
	struct isthmus *ch = data;
	struct ring_packet packet;
	bool wake;

	spin_lock(&ch->lock);
	wake = rx_poll(ch, &packet) || ch->tx_blocked;
	spin_unlock(&ch->lock);
	return wake ? IRQ_WAKE_THREAD : IRQ_HANDLED;
}

static irqreturn_t state_irq(int irq, void *data)
{
	struct isthmus *ch = data;

	irq_wake_thread(ch->irq, ch);
	return IRQ_HANDLED;
}

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
	ch->region = devm_memremap(&pdev->dev, pci_resource_start(pdev, 2),
				   size, MEMREMAP_WB);
	if (IS_ERR(ch->region)) {
		return PTR_ERR(ch->region);
	}
	ch->table = ch->region;
	ch->section = ring_load(&ch->table[CHANNEL_ST_OUTPUT_SIZE]);
	if (ch->peer > 1 || ch->section > size / 2 ||
	    CHANNEL_REGION_SIZE(ch->section) > size ||
	    ring_load(&ch->table[CHANNEL_ST_MAGIC]) != CHANNEL_MAGIC ||
	    ring_load(&ch->table[CHANNEL_ST_VERSION]) != CHANNEL_VERSION) {
		return -ENODEV;
	}
	return 0;
}

static int channel_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct isthmus *ch;
	int err;

	if (isthmus_channel) {
		return -EBUSY;
	}
	ch = devm_kzalloc(&pdev->dev, sizeof(*ch), GFP_KERNEL);
	if (!ch) {
		return -ENOMEM;
	}
	ch->pdev = pdev;
	mutex_init(&ch->rx_mutex);
	spin_lock_init(&ch->lock);
	skb_queue_head_init(&ch->tx_queue);
	init_waitqueue_head(&ch->wq);

	err = pcim_enable_device(pdev);
	if (err) {
		return err;
	}
	pci_set_master(pdev);
	err = map_device(ch);
	if (err) {
		return dev_err_probe(&pdev->dev, err, "no valid channel\n");
	}
	err = request_irqs(ch);
	if (err) {
		return err;
	}
	pci_set_drvdata(pdev, ch);
	isthmus_channel = ch;
	err = isthmus_vsock_register();
	if (err) {
		isthmus_channel = NULL;
		return dev_err_probe(&pdev->dev, err,
				     "another vsock transport is in use\n");
	}
	outl(1, ch->port + CHANNEL_IO_INT_CONTROL);
	mutex_lock(&ch->rx_mutex);
	isthmus_set_state(ch, CHANNEL_STATE_DOWN);
	isthmus_link_step(ch);
	mutex_unlock(&ch->rx_mutex);
	return 0;
}

/* Only at module removal, when no socket and no mount is left. */
static void channel_remove(struct pci_dev *pdev)
{
	struct isthmus *ch = pci_get_drvdata(pdev);

	isthmus_vsock_unregister();
	outl(0, ch->port + CHANNEL_IO_INT_CONTROL);
	devm_free_irq(&pdev->dev, pci_irq_vector(pdev, 0), ch);
	devm_free_irq(&pdev->dev, ch->irq, ch);
	mutex_lock(&ch->rx_mutex);
	isthmus_link_down(ch, "driver removed");
	mutex_unlock(&ch->rx_mutex);
	isthmus_channel = NULL;
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
	.driver.suppress_bind_attrs = true,
};

static int __init channel_init(void)
{
	int err = pci_register_driver(&channel_driver);

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
