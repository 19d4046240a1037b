// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: the host's disks as block devices, /dev/isthmus0 and so on; the name
 * that the host has for one is its attribute "name".
 *
 * The cheap round trip: who sends a request looks for its answer in the ring and
 * ends it himself; many that come together have one doorbell. What others find is
 * ended where the interrupt ends, or by the work queue.
 */
#include <linux/module.h>
#include <linux/sysfs.h>

#include "compat_blk.h"
#include "disk.h"

#define SEGMENTS	128u
#define PREFERRED	4096u

/* No disk from this one on. */
static unsigned int made;

/* Takes what is answered. */
static bool take_done(struct isthmus *ch, struct disk *d,
		      struct list_head *done)
{
	unsigned long flags;

	if (list_empty_careful(&d->done)) {
		return false;
	}
	spin_lock_irqsave(&ch->lock, flags);
	list_splice_init(&d->done, done);
	spin_unlock_irqrestore(&ch->lock, flags);
	return !list_empty(done);
}

static void end_request(struct request *rq)
{
	struct disk_cmd *cmd = blk_mq_rq_to_pdu(rq);

	blk_mq_end_request(rq, cmd->status);
}

static void end_done(struct disk *d)
{
	struct disk_cmd *cmd, *next;
	LIST_HEAD(done);

	if (take_done(&isthmus_channel, d, &done)) {
		list_for_each_entry_safe(cmd, next, &done, list) {
			end_request(blk_mq_rq_from_pdu(cmd));
		}
	}
}

static void done_turn(struct work_struct *work)
{
	end_done(container_of(work, struct disk, done_work));
}

/** At the end of an interrupt, without ch->lock: requests that were answered in
 * it go on. */
void isthmus_disk_complete(struct isthmus *ch)
{
	struct disk_cmd *cmd, *next;
	struct disk *d;
	LIST_HEAD(done);

	for (d = isthmus_disks; d < isthmus_disks + READ_ONCE(made); d++) {
		if (d->gendisk && take_done(ch, d, &done)) {
			list_for_each_entry_safe(cmd, next, &done, list) {
				list_del_init(&cmd->list);
				blk_mq_complete_request(
					blk_mq_rq_from_pdu(cmd));
			}
		}
	}
}

/* Publishes what was put, and ends what is answered by then. Drops the lock. */
static void publish(struct isthmus *ch, struct disk *d, unsigned long flags)
{
	if (!ch->up) {
		spin_unlock_irqrestore(&ch->lock, flags);
		return;
	}
	d->collectors++;
	isthmus_tx_done(ch, flags);
	spin_lock_irqsave(&ch->lock, flags);
	d->collectors--;
	spin_unlock_irqrestore(&ch->lock, flags);
	end_done(d);
}

static blk_status_t queue_rq(struct blk_mq_hw_ctx *hctx,
			     const struct blk_mq_queue_data *bd)
{
	struct isthmus *ch = &isthmus_channel;
	struct disk *d = hctx->queue->queuedata;
	unsigned long flags;

	blk_mq_start_request(bd->rq);
	spin_lock_irqsave(&ch->lock, flags);
	if (!disk_send(ch, d, bd->rq)) {
		spin_unlock_irqrestore(&ch->lock, flags);
		return BLK_STS_IOERR;
	}
	if (bd->last) {
		publish(ch, d, flags);
	} else {
		spin_unlock_irqrestore(&ch->lock, flags);
	}
	return BLK_STS_OK;
}

/* More were promised, and do not come. */
static void commit_rqs(struct blk_mq_hw_ctx *hctx)
{
	struct isthmus *ch = &isthmus_channel;
	unsigned long flags;

	spin_lock_irqsave(&ch->lock, flags);
	publish(ch, hctx->queue->queuedata, flags);
}

/* The host may take its time, and comes back after a reset. */
static enum blk_eh_timer_return timeout(struct request *rq)
{
	return BLK_EH_RESET_TIMER;
}

static const struct blk_mq_ops queue_ops = {
	.queue_rq = queue_rq,
	.commit_rqs = commit_rqs,
	.complete = end_request,
	.timeout = timeout,
};

static const struct block_device_operations disk_ops = {
	.owner = THIS_MODULE,
};

static ssize_t name_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	const struct disk *d = dev_to_disk(dev)->private_data;

	return sysfs_emit(buf, "%s\n", d->name);
}
static DEVICE_ATTR_RO(name);

static struct attribute *disk_attrs[] = { &dev_attr_name.attr, NULL };
ATTRIBUTE_GROUPS(disk);

/* Makes the block device. */
static int add(struct disk *d, u64 size, u16 flags)
{
	const struct compat_limits limits = {
		.sector = d->sector, .preferred = PREFERRED,
		.most = NBD_DATA_MAX, .segments = SEGMENTS,
		.flush = flags & NBD_HAS_FLUSH, .fua = flags & NBD_HAS_FUA,
		.trim = flags & NBD_HAS_TRIM, .zeroes = flags & NBD_HAS_ZEROES,
	};
	struct gendisk *gendisk;
	int err;

	d->set = (struct blk_mq_tag_set){
		.ops = &queue_ops, .nr_hw_queues = 1,
		.queue_depth = DISK_DEPTH, .numa_node = NUMA_NO_NODE,
		.cmd_size = sizeof(struct disk_cmd), .timeout = 30 * HZ,
		.flags = BLK_MQ_F_SHOULD_MERGE | BLK_MQ_F_NO_SCHED_BY_DEFAULT,
	};
	err = blk_mq_alloc_tag_set(&d->set);
	if (err) {
		return err;
	}
	gendisk = compat_blk_alloc(&d->set, &limits, d);
	if (IS_ERR(gendisk)) {
		blk_mq_free_tag_set(&d->set);
		return PTR_ERR(gendisk);
	}
	gendisk->fops = &disk_ops;
	gendisk->private_data = d;
	snprintf(gendisk->disk_name, sizeof(gendisk->disk_name), "isthmus%d",
		 (int)(d - isthmus_disks));
	set_capacity(gendisk, size >> SECTOR_SHIFT);
	set_disk_ro(gendisk, flags & NBD_HAS_READ_ONLY);
	d->gendisk = gendisk;
	WRITE_ONCE(made, max_t(unsigned int, made, d - isthmus_disks + 1));
	err = device_add_disk(NULL, gendisk, disk_groups);
	if (err) {
		d->gendisk = NULL;
		put_disk(gendisk);
		blk_mq_free_tag_set(&d->set);
	}
	return err;
}

/* A handshake is done: the disk is new, or perhaps of another size. */
static void setup_turn(struct work_struct *work)
{
	struct isthmus *ch = &isthmus_channel;
	struct disk *d = container_of(work, struct disk, setup_work);
	unsigned long flags;
	u16 disk_flags;
	u64 size;
	int err;

	spin_lock_irqsave(&ch->lock, flags);
	size = d->size;
	disk_flags = d->flags;
	spin_unlock_irqrestore(&ch->lock, flags);
	if (d->gendisk) {
		set_disk_ro(d->gendisk, disk_flags & NBD_HAS_READ_ONLY);
		set_capacity_and_notify(d->gendisk, size >> SECTOR_SHIFT);
		return;
	}
	err = add(d, size, disk_flags);
	if (err) {
		pr_err("isthmus: no disk \"%s\": error %d\n", d->name, err);
	}
}

/** Before the first device: from then on the host is asked for disks. */
int isthmus_disk_register(void)
{
	struct disk *d;

	isthmus_disk_wq = alloc_workqueue("isthmus_disk",
					  WQ_MEM_RECLAIM | WQ_HIGHPRI, 0);
	if (!isthmus_disk_wq) {
		return -ENOMEM;
	}
	for (d = isthmus_disks; d < isthmus_disks + DISKS; d++) {
		d->stream.port = DISK_PORT_FIRST + (d - isthmus_disks);
		d->stream.peer = NBD_PORT;
		INIT_LIST_HEAD(&d->pending);
		INIT_LIST_HEAD(&d->out);
		INIT_LIST_HEAD(&d->done);
		INIT_WORK(&d->setup_work, setup_turn);
		INIT_WORK(&d->done_work, done_turn);
	}
	isthmus_disks[0].state = DISK_DOWN;
	return 0;
}

/** The module's end: nobody has a disk open, which would hold the module, and
 * there is no device any more. May sleep. */
void isthmus_disk_unregister(void)
{
	struct disk *d;

	disk_watch_stop();
	for (d = isthmus_disks; d < isthmus_disks + DISKS; d++) {
		cancel_work_sync(&d->setup_work);
		if (d->gendisk) {
			del_gendisk(d->gendisk);
			put_disk(d->gendisk);
			blk_mq_free_tag_set(&d->set);
			d->gendisk = NULL;
		}
		cancel_work_sync(&d->done_work);
	}
	destroy_workqueue(isthmus_disk_wq);
}
