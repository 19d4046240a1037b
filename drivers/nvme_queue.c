/* SPDX-License-Identifier: MIT */
/*
 * The NVMe driver's queues and requests. A command's identifier is its tag.
 * Completions are read once and checked; heads and tails are our own, what the
 * controller says of them is not used: no more commands are under way than the
 * queue has room for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/nvme_int.h"
#include "host-bridge/dev/dma.h"

/* [NVMe 1.4 "NVM Command Set"] */
#define NVM_FLUSH		0x00
#define NVM_WRITE		0x01
#define NVM_READ		0x02
#define NVM_WRITE_ZEROES	0x08
#define NVM_DATASET		0x09
#define CDW12_FUA		(1u << 30)
#define DATASET_DEALLOCATE	4u
#define ZERO_MAX		65536u	/* sectors */

#define STATUS_INVALID_OPCODE	1u

/** Gives the controller a command. */
void nvme_put(struct nvme *nvme, struct ends *ends, const struct sqe *sqe)
{
	ends->queue->sq[ends->tail] = *sqe;
	ends->tail = (ends->tail + 1) % ends->size;
	nvme_out(nvme, ends->doorbells, ends->tail);
}

/** See nvme_int.h. What has been taken is the controller's again. */
bool nvme_take(struct nvme *nvme, struct ends *ends, uint32_t *status)
{
	*status = ends->queue->cq[ends->head].status;
	mmio_order();
	if ((*status >> 16 & 1) != ends->phase) {
		return false;
	}
	if (++ends->head == ends->size) {
		ends->head = 0;
		ends->phase ^= 1;
	}
	nvme_out(nvme, ends->doorbells + nvme->stride, ends->head);
	return true;
}

/* The pages of a piece: all but the first begin on a page, all but the last end
 * on one [NVMe 1.4 "Physical Region Page Entry and List"]. Memory that does not
 * lie so is for another piece. */
struct pages {
	uint64_t first, *list;
	unsigned count;			/* the first one too */
	uint64_t end;			/* behind the last */
	uint32_t bytes;
};

static bool fits(const struct pages *pages, uint64_t bus)
{
	return pages->count == 0 || bus == pages->end ||
	       (pages->end % NVME_PAGE == 0 && bus % NVME_PAGE == 0);
}

static void add(struct pages *pages, uint64_t bus, uint32_t len)
{
	while (len > 0) {
		uint32_t room = NVME_PAGE - (uint32_t)(bus % NVME_PAGE);
		uint32_t part = len < room ? len : room;

		if (pages->count == 0) {
			pages->first = bus;
			pages->count = 1;
		} else if (bus % NVME_PAGE == 0) {
			pages->list[pages->count++ - 1] = bus;
		}
		bus += part;
		len -= part;
		pages->bytes += part;
	}
	pages->end = bus;
}

/* Of the request what is next and can go together. */
static void set_pages(struct nvme *nvme, unsigned tag, struct sqe *sqe)
{
	struct disk_cmd *cmd = &nvme->disk.cmds[tag];
	uint64_t skip = (uint64_t)cmd->done * nvme->disk.dev.sector_size;
	struct pages pages = { .list = nvme->shared->prps[tag] };

	for (unsigned i = 0; i < cmd->req->seg_count; i++) {
		const struct block_seg *seg = &cmd->req->segs[i];
		uint64_t bus;

		if (skip >= seg->len) {
			skip -= seg->len;
			continue;
		}
		bus = dma_bus(seg->data);
		if (!fits(&pages, bus)) {
			break;
		}
		add(&pages, bus, seg->len);
	}
	cmd->piece = pages.bytes / nvme->disk.dev.sector_size;
	sqe->prp[0] = pages.first;
	sqe->prp[1] = pages.count > 2 ? dma_bus(pages.list) :
		      pages.count == 2 ? pages.list[0] : 0;
}

/* [NVMe 1.4 "Dataset Management command"]: one range; it lies where a list of
 * pages would. */
static void set_range(struct nvme *nvme, unsigned tag, uint64_t sector,
		      struct sqe *sqe)
{
	struct {
		uint32_t attributes, count;
		uint64_t first;
	} *range = (void *)nvme->shared->prps[tag];

	range->attributes = 0;
	range->count = nvme->disk.cmds[tag].piece;
	range->first = sector;
	sqe->prp[0] = dma_bus(range);
	sqe->cdw[1] = DATASET_DEALLOCATE;
}

static void give(struct disk *disk, unsigned tag)
{
	static const uint8_t opcodes[] = {
		[BLOCK_READ] = NVM_READ, [BLOCK_WRITE] = NVM_WRITE,
		[BLOCK_FLUSH] = NVM_FLUSH, [BLOCK_DISCARD] = NVM_DATASET,
		[BLOCK_ZERO] = NVM_WRITE_ZEROES,
	};
	struct nvme *nvme = (struct nvme *)disk;
	struct disk_cmd *cmd = &disk->cmds[tag];
	uint64_t sector = cmd->req->sector + cmd->done;
	struct sqe sqe = {
		.opcode = opcodes[cmd->req->op], .cid = (uint16_t)tag,
		.nsid = nvme->nsid,
	};

	switch (cmd->req->op) {
	case BLOCK_FLUSH:
		break;
	case BLOCK_DISCARD:
		set_range(nvme, tag, sector, &sqe);
		break;
	default:
		if (cmd->req->op != BLOCK_ZERO) {
			set_pages(nvme, tag, &sqe);
		} else if (cmd->piece > ZERO_MAX) {
			cmd->piece = ZERO_MAX;
		}
		sqe.cdw[0] = (uint32_t)sector;
		sqe.cdw[1] = (uint32_t)(sector >> 32);
		sqe.cdw[2] = cmd->piece - 1;
		if (cmd->req->flags & BLOCK_FUA &&
		    cmd->req->op == BLOCK_WRITE) {
			sqe.cdw[2] |= CDW12_FUA;
		}
	}
	nvme_put(nvme, &nvme->io, &sqe);
}

/* [NVMe 1.4 "Status Field"]: without "do not retry" and "more". */
static int verdict(uint32_t status)
{
	uint32_t code = status >> 17 & 0x7ff;

	return code == 0 ? 0 : code == STATUS_INVALID_OPCODE ? ENOTSUP : EIO;
}

/* Fatal is what the controller says to be so, and one that is gone. At most a
 * queue's length of completions, then others have their turn. */
static bool look(struct disk *disk)
{
	struct nvme *nvme = (struct nvme *)disk;
	uint32_t status, count = 0;

	while (count < nvme->io.size && nvme_take(nvme, &nvme->io, &status)) {
		disk_end(disk, status & 0xffff, verdict(status));
		count++;
	}
	return count > 0 || !(nvme_in(nvme, REG_CSTS) & CSTS_CFS);
}

static bool stop(struct disk *disk, bool at_last)
{
	struct nvme *nvme = (struct nvme *)disk;

	(void)at_last;
	nvme_out(nvme, REG_CC, 0);
	nvme->regs.cut(nvme->regs.arg);
	return true;
}

/** See nvme.h. It is not started yet. */
struct disk *nvme_new(const struct nvme_regs *regs)
{
	static const struct disk_ops ops = {
		.begin = nvme_begin, .give = give, .look = look, .stop = stop,
	};
	struct nvme *nvme = calloc(1, sizeof(*nvme));

	if (!nvme) {
		return NULL;
	}
	nvme->shared = dma_alloc(sizeof(*nvme->shared), NVME_PAGE);
	if (!nvme->shared) {
		free(nvme);
		return NULL;
	}
	nvme->regs = *regs;
	disk_init(&nvme->disk, &ops);
	return &nvme->disk;
}
