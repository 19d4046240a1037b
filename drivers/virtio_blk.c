/* SPDX-License-Identifier: MIT */
/*
 * The virtio block driver. Memory that the device writes (used ring, status
 * bytes) is read once and checked; what our own side must know it keeps in
 * memory that the device does not see, so nothing that the device writes over
 * its queue leads anywhere else.
 *
 * A tag is a place in the queue: with indirect descriptors one entry of the
 * table, else a run of "run" entries.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/virtio_blk.h"
#include "host-bridge/dev/dma.h"

/* [virtio 1.2 "Block Device", "Feature bits"] */
#define F_SIZE_MAX		(1ull << 1)
#define F_SEG_MAX		(1ull << 2)
#define F_RO			(1ull << 5)
#define F_BLK_SIZE		(1ull << 6)
#define F_FLUSH			(1ull << 9)
#define F_DISCARD		(1ull << 13)
#define F_WRITE_ZEROES		(1ull << 14)
#define F_WANTED	(F_SIZE_MAX | F_SEG_MAX | F_RO | F_BLK_SIZE | F_FLUSH | \
			 F_DISCARD | F_WRITE_ZEROES | \
			 VIRTIO_F_INDIRECT_DESC | VIRTIO_F_VERSION_1 | \
			 VIRTIO_F_ACCESS_PLATFORM)

/* [virtio 1.2 "Device configuration layout"] */
#define CONFIG_CAPACITY			0
#define CONFIG_SIZE_MAX			8
#define CONFIG_SEG_MAX			12
#define CONFIG_BLK_SIZE			20
#define CONFIG_MAX_DISCARD_SECTORS	36
#define CONFIG_MAX_WRITE_ZEROES_SECTORS	48

#define T_IN		0u
#define T_OUT		1u
#define T_FLUSH		4u
#define T_GET_ID	8u
#define T_DISCARD	11u
#define T_WRITE_ZEROES	13u
#define ZEROES_UNMAP	1u
#define S_OK		0u
#define S_UNSUPP	2u
#define S_NONE		0xffu		/* we put it there */

#define SEGS_MAX	64u
#define ID_BYTES	20u
#define RUN		16u		/* entries of a tag, if not indirect */
#define SECTOR		512u		/* the protocol's, whatever blk_size is */
#define BYTES_MAX	(1u << 20)	/* of one request */

enum step { STEP_RESET, STEP_IS_RESET, STEP_ID };

/* All that the device reads and writes, beside the data. */
struct shared {
	struct virtio_ring ring;
	struct tag {
		/* As the ring's: no entry lies in two pages. */
		_Alignas(16) struct virtio_desc table[SEGS_MAX + 2];
		struct {
			uint32_t type, reserved;
			uint64_t sector;
		} head;
		struct {
			uint64_t sector;
			uint32_t sectors, flags;
		} range;
		volatile uint8_t status;
	} tags[DISK_TAGS];
	char id[ID_BYTES];
};

struct virtio_blk {
	struct disk disk;
	struct virtio_regs regs;
	struct shared *shared;
	struct virtio_queue queue;
	uint64_t features;
	uint16_t run;			/* entries of the queue for a tag */
	uint32_t discard_max, zero_max;	/* sectors of the device's */
};

static struct virtio_blk *blk_of(struct disk *disk)
{
	return (struct virtio_blk *)disk;
}

static uint32_t config(struct virtio_blk *blk, uint32_t at)
{
	return virtio_pci_config(&blk->regs, at);
}

static uint32_t least(uint64_t a, uint64_t b)
{
	return (uint32_t)(a < b ? a : b);
}

/* Size and limits, at the first start: a disk that changes afterwards is asked
 * for what it was. */
static int read_config(struct virtio_blk *blk)
{
	struct block_dev *dev = &blk->disk.dev;
	uint64_t f = blk->features;
	uint32_t size = f & F_BLK_SIZE ? config(blk, CONFIG_BLK_SIZE) : SECTOR;
	uint32_t segs = blk->run > 1 ? RUN - 2u : SEGS_MAX;
	uint32_t bytes = BYTES_MAX;
	uint64_t capacity = config(blk, CONFIG_CAPACITY) |
			    (uint64_t)config(blk, CONFIG_CAPACITY + 4) << 32;

	if (size != 512 && size != 4096) {
		blk->disk.why = "its sectors are neither of 512 nor 4096 bytes";
		return EINVAL;
	}
	if (f & F_SEG_MAX && config(blk, CONFIG_SEG_MAX) > 0) {
		segs = least(segs, config(blk, CONFIG_SEG_MAX));
	}
	if (f & F_SIZE_MAX && config(blk, CONFIG_SIZE_MAX) >= size) {
		bytes = least(bytes, config(blk, CONFIG_SIZE_MAX));
	}
	dev->sector_size = size;
	dev->sectors = capacity / (size / SECTOR);
	dev->max_segs = segs;
	dev->max_sectors = bytes / size;
	dev->features = (f & F_FLUSH ? BLOCK_HAS_FLUSH : 0) |
			(f & F_RO ? BLOCK_READ_ONLY : 0);
	if (f & F_DISCARD) {
		blk->discard_max = config(blk, CONFIG_MAX_DISCARD_SECTORS) /
				   (size / SECTOR);
	}
	if (f & F_WRITE_ZEROES) {
		blk->zero_max = config(blk, CONFIG_MAX_WRITE_ZEROES_SECTORS) /
				(size / SECTOR);
	}
	dev->features |= (blk->discard_max ? BLOCK_HAS_DISCARD : 0) |
			 (blk->zero_max ? BLOCK_HAS_ZERO : 0);
	strcpy(dev->model, "virtio disk");
	return 0;
}

/* The queue has room for "depth" tags. */
static int set_queue(struct virtio_blk *blk)
{
	uint16_t depth = 0;

	blk->run = blk->features & VIRTIO_F_INDIRECT_DESC ? 1 : RUN;
	virtio_pci_config_vector(&blk->regs, 0);
	if (virtio_pci_queue(&blk->regs, 0, &blk->queue, 0) == 0) {
		depth = blk->queue.size / blk->run;
	}
	if (depth == 0) {
		blk->disk.why = "its queue is not usable";
		return EINVAL;
	}
	blk->disk.dev.depth = depth < DISK_TAGS ? depth : DISK_TAGS;
	return 0;
}

/* The descriptors of one request, one behind the other, from entry "at" of a
 * table on. */
struct chain {
	struct virtio_desc *table;
	uint16_t at;
};

static void add(struct chain *chain, const void *what, uint32_t len,
		uint16_t flags)
{
	chain->table[chain->at] = (struct virtio_desc) {
		.addr = dma_bus(what), .len = len,
		.flags = flags | VIRTIO_DESC_NEXT, .next = chain->at + 1,
	};
	chain->at++;
}

static void add_data(struct chain *chain, const struct block_req *req)
{
	for (unsigned i = 0; i < req->seg_count; i++) {
		add(chain, req->segs[i].data, req->segs[i].len,
		    req->op == BLOCK_READ ? VIRTIO_DESC_WRITE : 0);
	}
}

/* Discard and zeroes name their sectors in memory, in units of 512 bytes. */
static void add_range(struct virtio_blk *blk, struct chain *chain,
		      struct disk_cmd *cmd, struct tag *t)
{
	bool zero = cmd->req->op == BLOCK_ZERO;
	uint32_t per = blk->disk.dev.sector_size / SECTOR;

	cmd->piece = least(cmd->piece, zero ? blk->zero_max : blk->discard_max);
	t->range.sector = (cmd->req->sector + cmd->done) * per;
	t->range.sectors = cmd->piece * per;
	t->range.flags = 0;
	add(chain, &t->range, sizeof(t->range), 0);
}

static void offer(struct virtio_blk *blk, uint16_t head)
{
	virtio_offer(&blk->queue, head);
	virtio_kick(&blk->regs, &blk->queue, 0);
}

/* [virtio 1.2 "Block Device", "Device Operation"]: a head, the data, a byte of
 * status. */
static struct chain open_chain(struct virtio_blk *blk, unsigned tag,
			       uint32_t type, uint64_t sector)
{
	struct tag *t = &blk->shared->tags[tag];
	bool indirect = blk->run == 1;
	struct chain chain = { indirect ? t->table : blk->shared->ring.desc,
			       indirect ? 0 : (uint16_t)(tag * RUN) };

	t->status = S_NONE;
	t->head.type = type;
	t->head.reserved = 0;
	t->head.sector = sector;
	add(&chain, &t->head, sizeof(t->head), 0);
	return chain;
}

static void close_chain(struct virtio_blk *blk, unsigned tag,
			struct chain *chain)
{
	struct tag *t = &blk->shared->tags[tag];

	add(chain, (const void *)&t->status, 1, VIRTIO_DESC_WRITE);
	chain->table[chain->at - 1].flags = VIRTIO_DESC_WRITE;
	if (blk->run == 1) {
		blk->shared->ring.desc[tag] = (struct virtio_desc) {
			.addr = dma_bus(t->table),
			.len = chain->at * (uint32_t)sizeof(struct virtio_desc),
			.flags = VIRTIO_DESC_INDIRECT,
		};
	}
	offer(blk, (uint16_t)(tag * blk->run));
}

static void give(struct disk *disk, unsigned tag)
{
	static const uint8_t types[] = {
		[BLOCK_READ] = T_IN, [BLOCK_WRITE] = T_OUT,
		[BLOCK_FLUSH] = T_FLUSH, [BLOCK_DISCARD] = T_DISCARD,
		[BLOCK_ZERO] = T_WRITE_ZEROES,
	};
	struct virtio_blk *blk = blk_of(disk);
	struct disk_cmd *cmd = &disk->cmds[tag];
	bool data = cmd->req->op <= BLOCK_WRITE;
	struct chain chain = open_chain(blk, tag, types[cmd->req->op], !data ?
					0 : cmd->req->sector *
					(disk->dev.sector_size / SECTOR));

	if (data) {
		add_data(&chain, cmd->req);
	} else if (cmd->req->op != BLOCK_FLUSH) {
		add_range(blk, &chain, cmd, &blk->shared->tags[tag]);
	}
	close_chain(blk, tag, &chain);
}

/* The disk is ready but for its name, which it is asked for as for data
 * [virtio 1.2 "Block Device", "Device Operation"]; one that has none has none. */
static void ask_id(struct virtio_blk *blk)
{
	struct chain chain = open_chain(blk, 0, T_GET_ID, 0);

	memset(blk->shared->id, 0, ID_BYTES);
	add(&chain, blk->shared->id, ID_BYTES, VIRTIO_DESC_WRITE);
	close_chain(blk, 0, &chain);
}

static int read_id(struct virtio_blk *blk)
{
	struct block_dev *dev = &blk->disk.dev;
	char id[ID_BYTES];

	if (virtio_news(&blk->queue) == 0) {
		return EAGAIN;
	}
	(void)virtio_take(&blk->queue);
	if (blk->shared->tags[0].status == S_OK) {
		memcpy(id, blk->shared->id, ID_BYTES);
		disk_text(dev->serial, sizeof(dev->serial), id, ID_BYTES);
	}
	return 0;
}

/* [virtio 1.2 "Device Initialization"] */
static int set_up(struct virtio_blk *blk)
{
	uint64_t features = virtio_pci_negotiate(&blk->regs, F_WANTED,
						 &blk->disk.why);
	int error;

	if (!features || (blk->queue.size && features != blk->features)) {
		return EINVAL;
	}
	blk->features = features;
	error = set_queue(blk);
	if (error == 0 && blk->disk.dev.sector_size == 0) {
		error = read_config(blk);
	}
	if (error == 0) {
		virtio_pci_ready(&blk->regs);
	}
	return error;
}

/* A reset is done when the status reads 0 [virtio 1.2 "Device Reset"]. */
static int begin(struct disk *disk)
{
	struct virtio_blk *blk = blk_of(disk);
	int error;

	switch (disk->step) {
	case STEP_RESET:
		virtio_pci_reset(&blk->regs);
		disk_step(disk, STEP_IS_RESET, DISK_START_MS);
		return EAGAIN;
	case STEP_IS_RESET:
		if (virtio_pci_status(&blk->regs) != 0) {
			return EAGAIN;
		}
		error = set_up(blk);
		if (error == 0) {
			ask_id(blk);
			disk_step(disk, STEP_ID, DISK_START_MS);
		}
		return error ? error : EAGAIN;
	default:
		return read_id(blk);
	}
}

/* What the device says of a request. One that has read says how much it wrote,
 * the status included [virtio 1.2 "The Virtqueue Used Ring"]. */
static int verdict(struct disk *disk, const struct block_req *req,
		   uint8_t status, uint32_t len)
{
	if (status == S_OK && req->op == BLOCK_READ &&
	    len != disk_bytes(disk, req) + 1) {
		disk->nonsense++;
		return EIO;
	}
	if (status > S_UNSUPP) {
		disk->nonsense++;
	}
	return status == S_OK ? 0 : status == S_UNSUPP ? ENOTSUP : EIO;
}

/* One entry of the used ring, read once. */
static void take(struct virtio_blk *blk)
{
	struct virtio_used used = virtio_take(&blk->queue);
	uint32_t tag = used.id / blk->run;
	struct block_req *req = disk_given(&blk->disk, used.id % blk->run ?
					   DISK_NO_TAG : tag);

	if (req) {
		disk_end(&blk->disk, tag,
			 verdict(&blk->disk, req,
				 blk->shared->tags[tag].status, used.len));
	}
}

static bool look(struct disk *disk)
{
	struct virtio_blk *blk = blk_of(disk);
	uint16_t news = virtio_news(&blk->queue);

	if (news == 0) {
		return !(virtio_pci_status(&blk->regs) & VIRTIO_NEEDS_RESET);
	}
	if (news > blk->queue.size) {
		disk->nonsense++;
		return false;
	}
	while (news-- > 0) {
		take(blk);
	}
	return true;
}

static bool stop(struct disk *disk, bool at_last)
{
	struct virtio_blk *blk = blk_of(disk);

	(void)at_last;
	virtio_pci_reset(&blk->regs);
	blk->regs.cut(blk->regs.arg);
	return true;
}

/** See virtio_blk.h. It is not started yet. */
struct disk *virtio_blk_new(const struct virtio_regs *regs)
{
	static const struct disk_ops ops = {
		.begin = begin, .give = give, .look = look, .stop = stop,
	};
	struct virtio_blk *blk = calloc(1, sizeof(*blk));

	if (!blk) {
		return NULL;
	}
	blk->shared = dma_alloc(sizeof(*blk->shared), 4096);
	if (!blk->shared) {
		free(blk);
		return NULL;
	}
	blk->queue.ring = &blk->shared->ring;
	blk->regs = *regs;
	disk_init(&blk->disk, &ops);
	return &blk->disk;
}
