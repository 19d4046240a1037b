// SPDX-License-Identifier: MIT
/*
 * The functions of kernel_blk.h. A request that is ended twice, or under a lock,
 * is a fault of the driver's.
 */
#include "kernel_blk.h"

struct gendisk *fake_disks[8];
unsigned int fake_tag_sets;
bool fake_no_disk;

int blk_mq_alloc_tag_set(struct blk_mq_tag_set *set)
{
	assert(fake.locks == 0 && set->ops && set->nr_hw_queues == 1 &&
	       set->queue_depth <= FAKE_TAGS &&
	       set->cmd_size <= sizeof(((struct request *)0)->pdu));
	if (fake_no_disk) {
		return -ENOMEM;
	}
	fake_tag_sets++;
	return 0;
}

void blk_mq_free_tag_set(struct blk_mq_tag_set *set)
{
	assert(set->ops && fake_tag_sets > 0);
	fake_tag_sets--;
}

struct gendisk *blk_mq_alloc_disk(struct blk_mq_tag_set *set,
				  struct queue_limits *limits, void *data)
{
	struct gendisk *disk = calloc(1, sizeof(*disk));

	disk->queue = &disk->own_queue;
	disk->queue->queuedata = data;
	disk->hctx.queue = disk->queue;
	disk->set = set;
	disk->limits = *limits;
	return disk;
}

int device_add_disk(struct device *parent, struct gendisk *disk,
		    const struct attribute_group **groups)
{
	int n = disk->disk_name[strlen("isthmus")] - '0';

	assert(!parent && !fake_disks[n] && disk->sectors != 0);
	fake_disks[n] = disk;
	disk->groups = groups;
	disk->added = true;
	return 0;
}

void del_gendisk(struct gendisk *disk)
{
	assert(fake.locks == 0 && disk->added);
	disk->added = false;
	fake_disks[disk->disk_name[strlen("isthmus")] - '0'] = NULL;
}

void put_disk(struct gendisk *disk)
{
	assert(!disk->added);
	free(disk);
}

void blk_mq_start_request(struct request *rq)
{
	assert(!rq->started);
	rq->started = true;
}

void blk_mq_end_request(struct request *rq, blk_status_t status)
{
	assert(fake.locks == 0 && rq->started);
	rq->started = false;
	rq->ended++;
	rq->status = status;
}

/* In a hard interrupt, at whose end the driver's function is called. */
void blk_mq_complete_request(struct request *rq)
{
	assert(fake.irq != 0 && fake.locks == 0);
	fake_disks[0]->set->ops->complete(rq);
}

void set_capacity(struct gendisk *disk, u64 sectors)
{
	assert(!disk->added);
	disk->sectors = sectors;
}

bool set_capacity_and_notify(struct gendisk *disk, u64 sectors)
{
	bool other = disk->sectors != sectors;

	assert(fake.locks == 0 && disk->added);
	disk->sectors = sectors;
	disk->resized += other;
	return other;
}
