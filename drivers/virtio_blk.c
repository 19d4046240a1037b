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

#include "drivers/mmio.h"
#include "drivers/virtio_blk.h"
#include "host-bridge/dev/dma.h"

/* [virtio 1.2 "Common configuration structure layout"] */
#define COMMON_DEVICE_FEATURE_SELECT	0x00
#define COMMON_DEVICE_FEATURE		0x04
#define COMMON_DRIVER_FEATURE_SELECT	0x08
#define COMMON_DRIVER_FEATURE		0x0c
#define COMMON_CONFIG_MSIX_VECTOR	0x10
#define COMMON_DEVICE_STATUS		0x14
#define COMMON_CONFIG_GENERATION	0x15
#define COMMON_QUEUE_SELECT		0x16
#define COMMON_QUEUE_SIZE		0x18
#define COMMON_QUEUE_MSIX_VECTOR	0x1a
#define COMMON_QUEUE_ENABLE		0x1c
#define COMMON_QUEUE_NOTIFY_OFF		0x1e
#define COMMON_QUEUE_DESC		0x20
#define COMMON_QUEUE_DRIVER		0x28
#define COMMON_QUEUE_DEVICE		0x30

/* [virtio 1.2 "Device Status Field"] */
#define STATUS_ACKNOWLEDGE	1u
#define STATUS_DRIVER		2u
#define STATUS_DRIVER_OK	4u
#define STATUS_FEATURES_OK	8u
#define STATUS_NEEDS_RESET	64u

/* [virtio 1.2 "Block Device", "Feature bits"; "Reserved Feature Bits"] */
#define F_SIZE_MAX		(1ull << 1)
#define F_SEG_MAX		(1ull << 2)
#define F_RO			(1ull << 5)
#define F_BLK_SIZE		(1ull << 6)
#define F_FLUSH			(1ull << 9)
#define F_DISCARD		(1ull << 13)
#define F_WRITE_ZEROES		(1ull << 14)
#define F_INDIRECT_DESC		(1ull << 28)
#define F_VERSION_1		(1ull << 32)
#define F_ACCESS_PLATFORM	(1ull << 33)
#define F_WANTED	(F_SIZE_MAX | F_SEG_MAX | F_RO | F_BLK_SIZE | F_FLUSH | \
			 F_DISCARD | F_WRITE_ZEROES | F_INDIRECT_DESC | \
			 F_VERSION_1 | F_ACCESS_PLATFORM)

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

#define DESC_NEXT	1u
#define DESC_WRITE	2u
#define DESC_INDIRECT	4u

#define QUEUE_MAX	256u
#define SEGS_MAX	64u
#define ID_BYTES	20u
#define RUN		16u		/* entries of a tag, if not indirect */
#define SECTOR		512u		/* the protocol's, whatever blk_size is */
#define BYTES_MAX	(1u << 20)	/* of one request */

enum step { STEP_RESET, STEP_IS_RESET, STEP_ID };

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct used_elem {
	uint32_t id;
	uint32_t len;
};

/* All that the device reads and writes, beside the data. */
struct shared {
	struct desc desc[QUEUE_MAX];
	struct {
		uint16_t flags, idx, ring[QUEUE_MAX];
	} avail;
	struct {
		_Alignas(4) volatile uint16_t flags;
		volatile uint16_t idx;
		volatile struct used_elem ring[QUEUE_MAX];
	} used;
	struct tag {
		struct desc table[SEGS_MAX + 2];
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
	struct virtio_blk_regs regs;
	struct shared *shared;
	uint64_t features;
	uint16_t size;			/* of the queue */
	uint16_t run;			/* entries of it for a tag */
	uint16_t avail, used;		/* free-running */
	uint32_t notify;		/* offset in regs.notify */
	uint32_t discard_max, zero_max;	/* sectors of the device's */
};

static struct virtio_blk *blk_of(struct disk *disk)
{
	return (struct virtio_blk *)disk;
}

static uint32_t common_in32(struct virtio_blk *blk, uint32_t at)
{
	return mmio_in32(blk->regs.common, at);
}

static void common_out64(struct virtio_blk *blk, uint32_t at, const void *what)
{
	uint64_t bus = dma_bus(what);

	mmio_out32(blk->regs.common, at, (uint32_t)bus);
	mmio_out32(blk->regs.common, at + 4, (uint32_t)(bus >> 32));
}

static uint8_t status_in(struct virtio_blk *blk)
{
	return mmio_in8(blk->regs.common, COMMON_DEVICE_STATUS);
}

static void status_out(struct virtio_blk *blk, uint8_t status)
{
	mmio_out8(blk->regs.common, COMMON_DEVICE_STATUS, status);
}

/* What it has, of what we know; 0: it is not for us. */
static uint64_t negotiate(struct virtio_blk *blk)
{
	uint64_t features = 0;

	for (uint32_t half = 0; half < 2; half++) {
		mmio_out32(blk->regs.common, COMMON_DEVICE_FEATURE_SELECT,
			   half);
		features |= (uint64_t)common_in32(blk, COMMON_DEVICE_FEATURE)
			    << 32 * half;
	}
	features &= F_WANTED;
	if (!(features & F_VERSION_1)) {
		blk->disk.why = "it is not of virtio 1";
		return 0;
	}
	/* [virtio 1.2 "Reserved Feature Bits"]: without this bit it takes
	 * addresses for the machine's own, and an IOMMU does not hold it. */
	if (blk->regs.translated && !(features & F_ACCESS_PLATFORM)) {
		blk->disk.why = "it bypasses the IOMMU (no ACCESS_PLATFORM)";
		return 0;
	}
	for (uint32_t half = 0; half < 2; half++) {
		mmio_out32(blk->regs.common, COMMON_DRIVER_FEATURE_SELECT,
			   half);
		mmio_out32(blk->regs.common, COMMON_DRIVER_FEATURE,
			   (uint32_t)(features >> 32 * half));
	}
	status_out(blk, STATUS_ACKNOWLEDGE | STATUS_DRIVER |
		   STATUS_FEATURES_OK);
	if (!(status_in(blk) & STATUS_FEATURES_OK)) {
		blk->disk.why = "it refuses its own features";
		return 0;
	}
	return features;
}

/* A field of the configuration, 0 where the device has less of it. */
static uint32_t config(struct virtio_blk *blk, uint32_t at)
{
	return at + 4 <= blk->regs.device_size ?
	       mmio_in32(blk->regs.device, at) : 0;
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

/* The queue, as large as the device has it, at most as we have it: a power of
 * two [virtio 1.2 "Virtqueue Configuration"]. */
static int set_queue(struct virtio_blk *blk)
{
	struct shared *shared = blk->shared;
	uint16_t size, off, depth;

	mmio_out16(blk->regs.common, COMMON_QUEUE_SELECT, 0);
	size = mmio_in16(blk->regs.common, COMMON_QUEUE_SIZE);
	off = mmio_in16(blk->regs.common, COMMON_QUEUE_NOTIFY_OFF);
	size = size < QUEUE_MAX ? size : QUEUE_MAX;
	blk->run = blk->features & F_INDIRECT_DESC ? 1 : RUN;
	depth = size / blk->run < DISK_TAGS ? size / blk->run : DISK_TAGS;
	if (depth == 0 || size & (size - 1) ||
	    (uint64_t)off * blk->regs.notify_multiplier + 2 >
	    blk->regs.notify_size || (blk->size && blk->size != size)) {
		blk->disk.why = "its queue is not usable";
		return EINVAL;
	}
	blk->size = size;
	blk->notify = off * blk->regs.notify_multiplier;
	blk->disk.dev.depth = depth;
	blk->avail = blk->used = 0;
	memset(&shared->avail, 0, sizeof(shared->avail));
	memset((void *)&shared->used, 0, sizeof(shared->used));
	mmio_out16(blk->regs.common, COMMON_QUEUE_SIZE, size);
	mmio_out16(blk->regs.common, COMMON_CONFIG_MSIX_VECTOR, 0);
	mmio_out16(blk->regs.common, COMMON_QUEUE_MSIX_VECTOR, 0);
	common_out64(blk, COMMON_QUEUE_DESC, shared->desc);
	common_out64(blk, COMMON_QUEUE_DRIVER, &shared->avail);
	common_out64(blk, COMMON_QUEUE_DEVICE, (void *)&shared->used);
	mmio_out16(blk->regs.common, COMMON_QUEUE_ENABLE, 1);
	return 0;
}

/* The descriptors of one request, one behind the other, from entry "at" of a
 * table on. */
struct chain {
	struct desc *table;
	uint16_t at;
};

static void add(struct chain *chain, const void *what, uint32_t len,
		uint16_t flags)
{
	chain->table[chain->at] = (struct desc) {
		.addr = dma_bus(what), .len = len,
		.flags = flags | DESC_NEXT, .next = chain->at + 1,
	};
	chain->at++;
}

static void add_data(struct chain *chain, const struct block_req *req)
{
	for (unsigned i = 0; i < req->seg_count; i++) {
		add(chain, req->segs[i].data, req->segs[i].len,
		    req->op == BLOCK_READ ? DESC_WRITE : 0);
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

/* [virtio 1.2 "Supplying Buffers to The Device"] */
static void offer(struct virtio_blk *blk, uint16_t head)
{
	struct shared *shared = blk->shared;

	shared->avail.ring[blk->avail++ % blk->size] = head;
	mmio_order();
	*(volatile uint16_t *)&shared->avail.idx = blk->avail;
	/* Without a look at used.flags, which would need a fence here. */
	mmio_out16(blk->regs.notify, blk->notify, 0);
}

/* [virtio 1.2 "Block Device", "Device Operation"]: a head, the data, a byte of
 * status. */
static struct chain open_chain(struct virtio_blk *blk, unsigned tag,
			       uint32_t type, uint64_t sector)
{
	struct tag *t = &blk->shared->tags[tag];
	bool indirect = blk->run == 1;
	struct chain chain = { indirect ? t->table : blk->shared->desc,
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

	add(chain, (const void *)&t->status, 1, DESC_WRITE);
	chain->table[chain->at - 1].flags = DESC_WRITE;
	if (blk->run == 1) {
		blk->shared->desc[tag] = (struct desc) {
			.addr = dma_bus(t->table),
			.len = chain->at * (uint32_t)sizeof(struct desc),
			.flags = DESC_INDIRECT,
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
	add(&chain, blk->shared->id, ID_BYTES, DESC_WRITE);
	close_chain(blk, 0, &chain);
}

static int read_id(struct virtio_blk *blk)
{
	struct block_dev *dev = &blk->disk.dev;
	char id[ID_BYTES];

	if (blk->shared->used.idx == blk->used) {
		return EAGAIN;
	}
	blk->used++;
	mmio_order();
	if (blk->shared->tags[0].status == S_OK) {
		memcpy(id, blk->shared->id, ID_BYTES);
		disk_text(dev->serial, sizeof(dev->serial), id, ID_BYTES);
	}
	return 0;
}

/* [virtio 1.2 "Device Initialization"] */
static int set_up(struct virtio_blk *blk)
{
	uint64_t features;
	int error;

	status_out(blk, STATUS_ACKNOWLEDGE);
	status_out(blk, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	features = negotiate(blk);
	if (!features || (blk->size && features != blk->features)) {
		return EINVAL;
	}
	blk->features = features;
	error = set_queue(blk);
	if (error == 0 && blk->disk.dev.sector_size == 0) {
		error = read_config(blk);
	}
	if (error == 0) {
		status_out(blk, STATUS_ACKNOWLEDGE | STATUS_DRIVER |
			   STATUS_FEATURES_OK | STATUS_DRIVER_OK);
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
		status_out(blk, 0);
		disk_step(disk, STEP_IS_RESET, DISK_START_MS);
		return EAGAIN;
	case STEP_IS_RESET:
		if (status_in(blk) != 0) {
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
	volatile struct used_elem *elem =
		&blk->shared->used.ring[blk->used++ % blk->size];
	uint32_t id = elem->id, len = elem->len, tag = id / blk->run;
	struct block_req *req = disk_given(&blk->disk, id % blk->run ?
					   DISK_NO_TAG : tag);

	if (req) {
		disk_end(&blk->disk, tag,
			 verdict(&blk->disk, req,
				 blk->shared->tags[tag].status, len));
	}
}

static bool look(struct disk *disk)
{
	struct virtio_blk *blk = blk_of(disk);
	uint16_t idx = blk->shared->used.idx;

	mmio_order();
	if (idx == blk->used) {
		return !(status_in(blk) & STATUS_NEEDS_RESET);
	}
	if ((uint16_t)(idx - blk->used) > blk->size) {
		disk->nonsense++;
		return false;
	}
	while (idx != blk->used) {
		take(blk);
	}
	return true;
}

static bool stop(struct disk *disk, bool at_last)
{
	struct virtio_blk *blk = blk_of(disk);

	(void)at_last;
	status_out(blk, 0);
	blk->regs.cut(blk->regs.arg);
	return true;
}

/** See virtio_blk.h. It is not started yet. */
struct disk *virtio_blk_new(const struct virtio_blk_regs *regs)
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
	blk->regs = *regs;
	disk_init(&blk->disk, &ops);
	return &blk->disk;
}
