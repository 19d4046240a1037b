/* SPDX-License-Identifier: MIT */
/*
 * The part of the fake kernel that is block devices. Requests are the test's own:
 * it makes them with fake_request() and gives them to the driver, as the block
 * layer would.
 */
#ifndef FAKE_KERNEL_BLK_H
#define FAKE_KERNEL_BLK_H

#include "qemu-test/unit/fake/kernel.h"

#define SECTOR_SHIFT		9
#define SECTOR_SIZE		512u
#define S64_MAX			INT64_MAX
#define NUMA_NO_NODE		(-1)
#define FAKE_TAGS		64
#define FAKE_PAGE		4096u

struct page {
	u8 bytes[FAKE_PAGE];
};

#define page_address(p)		((void *)(p)->bytes)

typedef u8 blk_status_t;
enum {
	BLK_STS_OK, BLK_STS_NOTSUPP, BLK_STS_NOSPC = 3, BLK_STS_RESOURCE = 9,
	BLK_STS_IOERR = 10,
};
enum req_op {
	REQ_OP_READ, REQ_OP_WRITE, REQ_OP_FLUSH, REQ_OP_DISCARD,
	REQ_OP_WRITE_ZEROES = 9,
};
#define REQ_FUA			0x100u
#define REQ_NOUNMAP		0x200u
#define BLK_MQ_F_SHOULD_MERGE		1u
#define BLK_MQ_F_NO_SCHED_BY_DEFAULT	2u
#define BLK_FEAT_WRITE_CACHE		1u
#define BLK_FEAT_FUA			2u

struct bio_vec {
	struct page *bv_page;
	u32 bv_len, bv_offset;
};

struct bvec_iter {
	u32 bi_size, bi_idx, bi_done;	/* left; the piece, its part done */
};

struct bio {
	struct bio *bi_next;
	struct bvec_iter bi_iter;
	struct bio_vec vecs[96];
};

static inline struct bio_vec bio_iter_iovec(const struct bio *bio,
					    struct bvec_iter iter)
{
	struct bio_vec v = bio->vecs[iter.bi_idx];

	v.bv_offset += iter.bi_done;
	v.bv_len = min(v.bv_len - iter.bi_done, iter.bi_size);
	return v;
}

/* Within the piece, as the real one. */
static inline void bio_advance_iter_single(const struct bio *bio,
					   struct bvec_iter *iter, u32 n)
{
	assert(n <= bio_iter_iovec(bio, *iter).bv_len);
	iter->bi_size -= n;
	iter->bi_done += n;
	if (iter->bi_done == bio->vecs[iter->bi_idx].bv_len) {
		iter->bi_idx++;
		iter->bi_done = 0;
	}
}

struct blk_mq_tag_set;

struct request_queue {
	void *queuedata;
};

struct blk_mq_hw_ctx {
	struct request_queue *queue;
};

struct request {
	int tag;
	u32 op, cmd_flags;
	u64 pos;			/* sectors */
	u32 bytes;
	struct bio *bio;
	bool started;
	int ended;			/* times */
	blk_status_t status;
	/* What the driver has of it comes behind. */
	u64 pdu[16];
};

struct req_iterator {
	struct bvec_iter iter;
	struct bio *bio;
};

struct blk_mq_queue_data {
	struct request *rq;
	bool last;
};

enum blk_eh_timer_return { BLK_EH_DONE, BLK_EH_RESET_TIMER };

struct blk_mq_ops {
	blk_status_t (*queue_rq)(struct blk_mq_hw_ctx *hctx,
				 const struct blk_mq_queue_data *bd);
	void (*commit_rqs)(struct blk_mq_hw_ctx *hctx);
	void (*complete)(struct request *rq);
	enum blk_eh_timer_return (*timeout)(struct request *rq);
};

struct blk_mq_tag_set {
	const struct blk_mq_ops *ops;
	u32 nr_hw_queues, queue_depth, cmd_size, flags;
	int numa_node;
	long timeout;
};

struct queue_limits {
	u32 logical_block_size, physical_block_size, io_min, max_hw_sectors,
	    max_segments, features, max_hw_discard_sectors,
	    discard_granularity, max_write_zeroes_sectors;
};

struct block_device_operations {
	void *owner;
};

struct attribute {
	const char *name;
};

struct device_attribute {
	struct attribute attr;
	ssize_t (*show)(struct device *dev, struct device_attribute *attr,
			char *buf);
};

struct attribute_group {
	struct attribute **attrs;
};

#define DEVICE_ATTR_RO(n)						\
	struct device_attribute dev_attr_##n = { { #n }, n##_show }
#define ATTRIBUTE_GROUPS(n)						\
	static const struct attribute_group n##_group = { n##_attrs };	\
	static const struct attribute_group *n##_groups[] = {		\
		&n##_group, NULL }
#define sysfs_emit(buf, ...)	sprintf(buf, __VA_ARGS__)

struct gendisk {
	struct device dev;
	struct request_queue *queue;
	const struct block_device_operations *fops;
	void *private_data;
	char disk_name[32];
	const struct attribute_group **groups;
	/* What the test looks at. */
	struct request_queue own_queue;
	struct blk_mq_hw_ctx hctx;
	struct blk_mq_tag_set *set;
	struct queue_limits limits;
	u64 sectors;
	bool read_only, added;
	unsigned int resized;
};

/* By minor number; gone ones are NULL. */
extern struct gendisk *fake_disks[8];
extern unsigned int fake_tag_sets;	/* allocated and not freed */
extern bool fake_no_disk;		/* making one fails */

#define dev_to_disk(d)		container_of(d, struct gendisk, dev)
#define blk_rq_pos(rq)		((rq)->pos)
#define blk_rq_bytes(rq)	((rq)->bytes)
#define req_op(rq)		((enum req_op)(rq)->op)
#define blk_mq_rq_to_pdu(rq)	((void *)(rq)->pdu)
#define blk_mq_rq_from_pdu(p)	container_of((void *)(p), struct request, pdu)
#define rq_for_each_segment(v, rq, i)					\
	for ((i).bio = (rq)->bio; (i).bio; (i).bio = (i).bio->bi_next)	\
		for ((i).iter = (i).bio->bi_iter;			\
		     (i).iter.bi_size != 0 &&				\
		     ((v) = bio_iter_iovec((i).bio, (i).iter), true);	\
		     bio_advance_iter_single((i).bio, &(i).iter,	\
					     (v).bv_len))

#define in_hardirq()		(fake.irq != 0)
int blk_mq_alloc_tag_set(struct blk_mq_tag_set *set);
void blk_mq_free_tag_set(struct blk_mq_tag_set *set);
struct gendisk *blk_mq_alloc_disk(struct blk_mq_tag_set *set,
				  struct queue_limits *limits, void *data);
int device_add_disk(struct device *parent, struct gendisk *disk,
		    const struct attribute_group **groups);
void del_gendisk(struct gendisk *disk);
void put_disk(struct gendisk *disk);
void blk_mq_start_request(struct request *rq);
void blk_mq_end_request(struct request *rq, blk_status_t status);
void blk_mq_complete_request(struct request *rq);
void set_capacity(struct gendisk *disk, u64 sectors);
bool set_capacity_and_notify(struct gendisk *disk, u64 sectors);
#define set_disk_ro(disk, ro)	((void)((disk)->read_only = (ro)))

#endif
