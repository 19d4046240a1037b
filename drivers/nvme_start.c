/* SPDX-License-Identifier: MIT */
/*
 * Makes an NVMe controller ready, from whatever state it is in: off, on with a
 * queue for its own commands, then asked and told what is needed, one command at
 * a time. All of it again after a hang; the namespace must then be the same.
 * [NVMe 1.4 "Memory-based Transport Controller Initialization"]
 */
#include <errno.h>
#include <string.h>

#include "drivers/nvme_int.h"
#include "host-bridge/dev/dma.h"

/* [NVMe 1.4 "Admin Command Set"] */
#define ADMIN_CREATE_SQ		0x01
#define ADMIN_GET_LOG		0x02
#define ADMIN_CREATE_CQ		0x05
#define ADMIN_IDENTIFY		0x06
#define ADMIN_SET_FEATURES	0x09

#define IDENTIFY_NAMESPACE	0u
#define IDENTIFY_CONTROLLER	1u
#define IDENTIFY_ACTIVE		2u
#define FEATURE_QUEUES		7u
#define LOG_HEALTH		2u
#define QUEUE_CONTIGUOUS	1u
#define QUEUE_INTERRUPTS	2u

#define CONTROLLER_SERIAL	4	/* 20 bytes */
#define CONTROLLER_MODEL	24	/* 40 bytes */
#define CONTROLLER_MDTS		77
#define CONTROLLER_ONCS		520
#define CONTROLLER_VWC		525
#define ONCS_DATASET		4u
#define ONCS_WRITE_ZEROES	8u
#define NAMESPACE_SIZE		0
#define NAMESPACE_FLBAS		26
#define NAMESPACE_ATTRIBUTES	99
#define NAMESPACE_FORMATS	128	/* 16 of 4 bytes */
#define HEALTH_USED		5	/* per cent of its life */

enum step { STEP_OFF, STEP_IS_OFF, STEP_IS_ON, STEP_CONTROLLER, STEP_QUEUES,
	    STEP_CQ, STEP_SQ, STEP_ACTIVE, STEP_NAMESPACE, STEP_HEALTH };

static int fail(struct nvme *nvme, const char *why)
{
	nvme->disk.why = why;
	return EIO;
}

static void ends_init(struct nvme *nvme, struct ends *ends,
		      struct queue *queue, uint32_t size, unsigned number)
{
	memset(queue, 0, sizeof(*queue));
	*ends = (struct ends) {
		.queue = queue, .size = size, .phase = 1,
		.doorbells = REG_DOORBELLS + 2 * number * nvme->stride,
	};
}

static void out64(struct nvme *nvme, uint32_t at, const volatile void *what)
{
	uint64_t bus = dma_bus((const void *)what);

	nvme_out(nvme, at, (uint32_t)bus);
	nvme_out(nvme, at + 4, (uint32_t)(bus >> 32));
}

/* It is off: queues, and on. */
static int turn_on(struct nvme *nvme)
{
	uint32_t low = nvme_in(nvme, REG_CAP);
	uint32_t high = nvme_in(nvme, REG_CAP + 4);
	uint32_t size = (low & 0xffff) + 1;

	nvme->stride = 4u << (high & 15);
	if (high >> 16 & 15) {
		return fail(nvme, "its pages are larger than 4 KiB");
	}
	if (!(high >> 5 & 1)) {
		return fail(nvme, "it has no NVM command set");
	}
	size = size < QUEUE_SIZE ? size : QUEUE_SIZE;
	if (size < 2 ||
	    REG_DOORBELLS + 4ull * nvme->stride > nvme->regs.size) {
		return fail(nvme, "its queues are not usable");
	}
	ends_init(nvme, &nvme->admin, &nvme->shared->admin, 2, 0);
	ends_init(nvme, &nvme->io, &nvme->shared->io, size, 1);
	nvme->disk.dev.depth = size - 1;
	nvme_out(nvme, REG_AQA, (nvme->admin.size - 1) << 16 |
		 (nvme->admin.size - 1));
	out64(nvme, REG_ASQ, nvme->admin.queue->sq);
	out64(nvme, REG_ACQ, nvme->admin.queue->cq);
	nvme_out(nvme, REG_CC, CC_EN | CC_IOSQES_64 | CC_IOCQES_16);
	/* CAP.TO is in units of 500 ms. */
	disk_step(&nvme->disk, STEP_IS_ON, ((low >> 24) + 1) * 500);
	return EAGAIN;
}

/* A command of its own; what it answers with memory goes to shared->answer. */
static int ask(struct nvme *nvme, enum step step, uint8_t opcode,
	       uint32_t nsid, uint32_t cdw10, uint32_t cdw11)
{
	struct sqe sqe = {
		.opcode = opcode, .cid = (uint16_t)step, .nsid = nsid,
		.prp[0] = dma_bus(nvme->shared->answer),
		.cdw = { cdw10, cdw11 },
	};

	if (opcode == ADMIN_CREATE_CQ) {
		sqe.prp[0] = dma_bus((void *)nvme->io.queue->cq);
	} else if (opcode == ADMIN_CREATE_SQ) {
		sqe.prp[0] = dma_bus(nvme->io.queue->sq);
	}
	memset(nvme->shared->answer, 0, NVME_PAGE);
	nvme_put(nvme, &nvme->admin, &sqe);
	disk_step(&nvme->disk, step, DISK_REQUEST_MS);
	return EAGAIN;
}

static uint64_t number(const uint8_t *bytes, unsigned count)
{
	uint64_t value = 0;

	while (count-- > 0) {
		value = value << 8 | bytes[count];
	}
	return value;
}

/* QEMU's takes a write with FUA for any other: no flush of what is behind it
 * follows, as its blklogwrites shows, but where FLUSH asks for one.
 * [NVMe 1.4 "Write command": a completed write with FUA is on the media] */
static bool ignores_fua(const char *model)
{
	return strcmp(model, "QEMU NVMe Ctrl") == 0;
}

static void read_controller(struct nvme *nvme, const uint8_t *bytes)
{
	struct block_dev *dev = &nvme->disk.dev;
	unsigned mdts = bytes[CONTROLLER_MDTS];

	disk_text(dev->serial, sizeof(dev->serial), bytes + CONTROLLER_SERIAL,
		  20);
	disk_text(dev->model, sizeof(dev->model), bytes + CONTROLLER_MODEL,
		  40);
	nvme->no_fua = ignores_fua(dev->model);
	nvme->mdts = mdts == 0 || mdts > 8 ? BYTES_MAX : NVME_PAGE << mdts;
	nvme->mdts = nvme->mdts < BYTES_MAX ? nvme->mdts : BYTES_MAX;
	nvme->oncs = (unsigned)number(bytes + CONTROLLER_ONCS, 2);
	nvme->flush = bytes[CONTROLLER_VWC] & 1;
}

/* Size and sectors; the same as before, if there was a before. */
static int read_namespace(struct nvme *nvme, const uint8_t *bytes)
{
	struct block_dev *dev = &nvme->disk.dev;
	unsigned at = NAMESPACE_FORMATS + 4 * (bytes[NAMESPACE_FLBAS] & 15u);
	uint32_t format = (uint32_t)number(bytes + at, 4);
	uint64_t sectors = number(bytes + NAMESPACE_SIZE, 8);
	unsigned shift = format >> 16 & 0xff;

	if (shift != 9 && shift != 12) {
		return fail(nvme, "its sectors are neither of 512 nor 4096 bytes");
	}
	if (format & 0xffff) {
		return fail(nvme, "it is formatted with metadata");
	}
	if (dev->sector_size && (dev->sector_size != 1u << shift ||
				 dev->sectors != sectors)) {
		return fail(nvme, "it is another disk than before");
	}
	dev->sector_size = 1u << shift;
	dev->sectors = sectors;
	dev->max_sectors = nvme->mdts >> shift;
	dev->max_segs = nvme->mdts / NVME_PAGE;
	dev->features = (nvme->no_fua ? 0 : BLOCK_HAS_FUA) |
			(nvme->flush ? BLOCK_HAS_FLUSH : 0) |
			(nvme->oncs & ONCS_DATASET ? BLOCK_HAS_DISCARD : 0) |
			(nvme->oncs & ONCS_WRITE_ZEROES ? BLOCK_HAS_ZERO : 0) |
			(bytes[NAMESPACE_ATTRIBUTES] & 1 ? BLOCK_READ_ONLY : 0);
	return 0;
}

/* What a step's command has answered leads to the next. */
static int answered(struct nvme *nvme, enum step step)
{
	uint8_t answer[NVME_PAGE];
	uint32_t last = nvme->io.size - 1;

	memcpy(answer, nvme->shared->answer, sizeof(answer));
	switch (step) {
	case STEP_CONTROLLER:
		read_controller(nvme, answer);
		return ask(nvme, STEP_QUEUES, ADMIN_SET_FEATURES, 0,
			   FEATURE_QUEUES, 0);
	case STEP_QUEUES:
		return ask(nvme, STEP_CQ, ADMIN_CREATE_CQ, 0, last << 16 | 1,
			   QUEUE_CONTIGUOUS | QUEUE_INTERRUPTS);
	case STEP_CQ:
		return ask(nvme, STEP_SQ, ADMIN_CREATE_SQ, 0, last << 16 | 1,
			   1u << 16 | QUEUE_CONTIGUOUS);
	case STEP_SQ:
		return ask(nvme, STEP_ACTIVE, ADMIN_IDENTIFY, 0,
			   IDENTIFY_ACTIVE, 0);
	case STEP_ACTIVE:
		nvme->nsid = (uint32_t)number(answer, 4);
		if (nvme->nsid == 0) {
			nvme->disk.absent = true;
			return fail(nvme, "it has no namespace");
		}
		return ask(nvme, STEP_NAMESPACE, ADMIN_IDENTIFY, nvme->nsid,
			   IDENTIFY_NAMESPACE, 0);
	case STEP_NAMESPACE:
		if (read_namespace(nvme, answer) != 0) {
			return EIO;
		}
		return ask(nvme, STEP_HEALTH, ADMIN_GET_LOG, 0xffffffff,
			   (512 / 4 - 1) << 16 | LOG_HEALTH, 0);
	default:
		nvme->disk.wear = answer[HEALTH_USED];
		return 0;
	}
}

/* A command was asked: its completion, which says itself which one it is of. A
 * controller without a health log is as good as any. */
static int wait(struct nvme *nvme)
{
	enum step step = nvme->disk.step;
	uint32_t status;

	if (!nvme_take(nvme, &nvme->admin, &status)) {
		return EAGAIN;
	}
	if ((status & 0xffff) != step) {
		nvme->disk.nonsense++;
		return EAGAIN;
	}
	if (status >> 17 & 0x7ff) {
		return step == STEP_HEALTH ? 0 :
		       fail(nvme, "it refuses a command of its start");
	}
	return answered(nvme, step);
}

/** A step of a start. */
int nvme_begin(struct disk *disk)
{
	struct nvme *nvme = (struct nvme *)disk;
	uint32_t csts = nvme_in(nvme, REG_CSTS);

	if (csts == CSTS_GONE) {
		return fail(nvme, "it is gone");
	}
	switch (disk->step) {
	case STEP_OFF:
		nvme_out(nvme, REG_CC, 0);
		disk_step(disk, STEP_IS_OFF,
			  ((nvme_in(nvme, REG_CAP) >> 24) + 1) * 500);
		return EAGAIN;
	case STEP_IS_OFF:
		return csts & CSTS_RDY ? EAGAIN : turn_on(nvme);
	case STEP_IS_ON:
		if (csts & CSTS_CFS) {
			return fail(nvme, "it reports a fatal error");
		}
		return csts & CSTS_RDY ?
		       ask(nvme, STEP_CONTROLLER, ADMIN_IDENTIFY, 0,
			   IDENTIFY_CONTROLLER, 0) : EAGAIN;
	default:
		return wait(nvme);
	}
}
