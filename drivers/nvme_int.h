/* SPDX-License-Identifier: MIT */
/* What the NVMe driver's two files share: nvme_start.c makes the controller
 * ready, nvme_queue.c gives it requests. */
#ifndef ISTHMUS_NVME_INT_H
#define ISTHMUS_NVME_INT_H

#include <assert.h>

#include "drivers/mmio.h"
#include "drivers/nvme.h"

/* [NVMe 1.4 "Controller Registers"] */
#define REG_CAP		0x00
#define REG_CC		0x14
#define REG_CSTS	0x1c
#define REG_AQA		0x24
#define REG_ASQ		0x28
#define REG_ACQ		0x30
#define REG_DOORBELLS	0x1000

#define CC_EN		1u
#define CC_IOSQES_64	(6u << 16)
#define CC_IOCQES_16	(4u << 20)
#define CSTS_RDY	1u
#define CSTS_CFS	2u
#define CSTS_GONE	0xffffffffu	/* what a bus without a device reads */

#define NVME_PAGE	4096u
#define QUEUE_SIZE	64u		/* at most; a page of commands */
#define PRPS		(NVME_PAGE / 8)
#define BYTES_MAX	(1u << 20)	/* of one request: 257 pages */

/* [NVMe 1.4 "Submission Queue Entry"] */
struct sqe {
	uint8_t opcode, flags;
	uint16_t cid;
	uint32_t nsid;
	uint64_t reserved, metadata;
	uint64_t prp[2];
	uint32_t cdw[6];		/* 10 to 15 */
};

/* [NVMe 1.4 "Completion Queue Entry"]; its last word is read once. */
struct cqe {
	uint32_t result, reserved;
	uint16_t sq_head, sq_id;
	uint32_t status;		/* status << 17 | phase << 16 | cid */
};

/* Each begins on a page. */
struct queue {
	_Alignas(NVME_PAGE) struct sqe sq[QUEUE_SIZE];
	_Alignas(NVME_PAGE) volatile struct cqe cq[QUEUE_SIZE];
};

/* All that the controller reads and writes, beside the data. */
struct shared {
	struct queue admin, io;
	uint8_t answer[NVME_PAGE];	/* to what we ask at the start */
	uint64_t prps[DISK_TAGS][PRPS];
};

static_assert(sizeof(struct sqe) == 64 && sizeof(struct cqe) == 16 &&
	      sizeof(struct queue) == 2 * NVME_PAGE, "NVMe's");

/* Our side of a queue. */
struct ends {
	struct queue *queue;
	uint32_t size;
	uint32_t tail;			/* of commands */
	uint32_t head;			/* of completions */
	uint32_t phase;			/* that a new one has */
	uint32_t doorbells;		/* the first of its two */
};

struct nvme {
	struct disk disk;
	struct nvme_regs regs;
	struct shared *shared;
	struct ends admin, io;
	uint32_t stride;		/* of doorbells */
	uint32_t nsid;
	uint32_t mdts;			/* bytes of one command */
	unsigned oncs, flush;
	bool no_fua;			/* it does not do what FUA says */
};

void nvme_put(struct nvme *nvme, struct ends *ends, const struct sqe *sqe);
/* The next completion's last word; false: there is none. */
bool nvme_take(struct nvme *nvme, struct ends *ends, uint32_t *status);
int nvme_begin(struct disk *disk);

static inline uint32_t nvme_in(struct nvme *nvme, uint32_t at)
{
	return mmio_in32(nvme->regs.base, at);
}

static inline void nvme_out(struct nvme *nvme, uint32_t at, uint32_t value)
{
	mmio_out32(nvme->regs.base, at, value);
}

#endif
