/* SPDX-License-Identifier: MIT */
/* An NVMe controller [NVMe 1.4], and how it can misbehave. */
#ifndef FAKE_DISK_NVME_H
#define FAKE_DISK_NVME_H

#include "disk_fixture.h"
#include "drivers/nvme.h"

#define REGS	((volatile void *)0x1000)
#define SIZE	0x2000u
#define STRIDE	8u			/* CAP.DSTRD = 1 */

struct queue {
	uint64_t sq, cq;
	uint32_t size, tail, seen, cq_tail, cq_head;
	unsigned phase;
};

struct sqe {
	uint8_t opcode, flags;
	uint16_t cid;
	uint32_t nsid;
	uint64_t reserved, metadata, prp[2];
	uint32_t cdw[6];
};

/* The controller. */
extern struct fake_nvme {
	uint32_t cc, csts, aqa;
	uint64_t asq, acq;
	struct queue queues[2];
	bool io_cq, io_sq;
	struct sqe held[64];		/* taken, not finished */
	unsigned held_count, opcodes[256], starts;
	uint32_t last_cdw12;
	/* What it is. */
	uint32_t mqes, nsid, shift, metadata, mps_min;
	unsigned mdts, vwc, oncs, used;
	uint64_t sectors;		/* 0: as the medium has */
	uint64_t zeroed;		/* by a namespace of that size */
	const char *model;		/* NULL: FAKE NVMe */
	/* How it misbehaves. */
	bool reverse, hangs, no_off, no_on, refuses, no_log, wrong_cid;
	bool endless;			/* each answer that is read brings one */
	unsigned hang_next;
	uint64_t error_at;
	uint32_t status;		/* of a request at error_at */
	bool interrupt;
} dev;

void complete(unsigned number, uint16_t cid, uint32_t status);
bool fake_step(void);

#endif
