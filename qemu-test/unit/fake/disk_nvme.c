/* SPDX-License-Identifier: MIT */
/* See disk_nvme.h. What a driver gives it is checked against the specification. */
#include "fake/disk_nvme.h"

struct fake_nvme dev;

void complete(unsigned number, uint16_t cid, uint32_t status)
{
	struct queue *q = &dev.queues[number];
	uint32_t *cqe = fake_bus(q->cq + q->cq_tail * 16, 16);

	/* No entry that the driver has not read. */
	assert_int_not_equal((q->cq_tail + 1) % q->size, q->cq_head);
	cqe[2] = number << 16 | q->seen;
	cqe[3] = status << 17 | q->phase << 16 | cid;
	if (++q->cq_tail == q->size) {
		q->cq_tail = 0;
		q->phase ^= 1;
	}
	dev.interrupt |= number == 1;
}

static void identify(const struct sqe *sqe)
{
	uint8_t *answer;

	assert_int_equal(sqe->prp[0] % 4096, 0);
	answer = fake_bus(sqe->prp[0], 4096);
	memset(answer, 0, 4096);
	if (sqe->cdw[0] == 1) {
		memcpy(answer + 4, "SERIAL 7            ", 20);
		memset(answer + 24, ' ', 40);
		memcpy(answer + 24, dev.model ? dev.model : "FAKE NVMe",
		       strlen(dev.model ? dev.model : "FAKE NVMe"));
		answer[77] = (uint8_t)dev.mdts;
		answer[520] = (uint8_t)dev.oncs;
		answer[525] = (uint8_t)dev.vwc;
	} else if (sqe->cdw[0] == 2) {
		memcpy(answer, &dev.nsid, 4);
	} else {
		uint64_t sectors = dev.sectors ? dev.sectors :
				   MEDIUM_BYTES >> dev.shift;
		uint32_t format = dev.shift << 16 | dev.metadata;

		assert_int_equal(sqe->cdw[0], 0);
		assert_int_equal(sqe->nsid, dev.nsid);
		memcpy(answer, &sectors, 8);
		answer[26] = 2;
		memcpy(answer + 128 + 2 * 4, &format, 4);
	}
}

static void admin(const struct sqe *sqe)
{
	uint32_t status = dev.refuses ? 2 : 0;

	switch (sqe->opcode) {
	case 0x06:
		identify(sqe);
		break;
	case 0x09:
		assert_int_equal(sqe->cdw[0], 7);
		break;
	case 0x05:
		assert_int_equal(sqe->cdw[0] & 0xffff, 1);
		assert_int_equal(sqe->cdw[1], 3);
		assert_int_equal(sqe->prp[0] % 4096, 0);
		dev.queues[1] = (struct queue) {
			.cq = sqe->prp[0], .phase = 1,
			.size = (sqe->cdw[0] >> 16) + 1,
		};
		dev.io_cq = true;
		break;
	case 0x01:
		assert_true(dev.io_cq);
		assert_int_equal(sqe->cdw[1], 1 << 16 | 1);
		assert_int_equal(sqe->prp[0] % 4096, 0);
		assert_int_equal((sqe->cdw[0] >> 16) + 1, dev.queues[1].size);
		dev.queues[1].sq = sqe->prp[0];
		dev.io_sq = true;
		break;
	case 0x02:
		((uint8_t *)fake_bus(sqe->prp[0], 512))[5] =
			(uint8_t)dev.used;
		status = dev.no_log ? 2 : 0;
		break;
	default:
		fail_msg("admin command %x", sqe->opcode);
	}
	if (dev.wrong_cid) {
		complete(0, 999, 0);
		dev.wrong_cid = false;
	} else {
		complete(0, sqe->cid, status);
	}
}

/* Data between the medium and pages [NVMe 1.4 "Physical Region Page Entry and
 * List"]. */
static void data(const struct sqe *sqe, uint8_t *at, uint32_t bytes)
{
	uint64_t page = sqe->prp[0], list = sqe->prp[1];
	bool many = (page & 4095) + bytes > 8192;

	assert_true(dev.mdts == 0 || bytes <= 4096u << dev.mdts);
	assert_int_equal(page & 3, 0);
	for (unsigned i = 0; bytes > 0; i++) {
		uint32_t room = 4096 - (page & 4095);
		uint32_t part = bytes < room ? bytes : room;
		uint8_t *memory = fake_bus(page, part);

		assert_true(i == 0 || (page & 4095) == 0);
		memcpy(sqe->opcode == 2 ? memory : at,
		       sqe->opcode == 2 ? at : memory, part);
		at += part;
		bytes -= part;
		if (bytes > 0) {
			page = many ? *(uint64_t *)fake_bus(list + i * 8, 8) :
			       list;
		}
	}
}

static void finish(const struct sqe *sqe)
{
	uint64_t lba = sqe->cdw[0] | (uint64_t)sqe->cdw[1] << 32;
	uint32_t count = (sqe->cdw[2] & 0xffff) + 1;
	uint8_t *at = medium + (lba << dev.shift);

	assert_int_equal(sqe->nsid, dev.nsid);
	dev.opcodes[sqe->opcode]++;
	if (sqe->opcode != 9 && lba == dev.error_at) {
		complete(1, sqe->cid, dev.status);
		return;
	}
	switch (sqe->opcode) {
	case 0:
		break;
	case 1: case 2:
		dev.last_cdw12 = sqe->cdw[2];
		assert_true((lba + count) << dev.shift <= MEDIUM_BYTES);
		data(sqe, at, count << dev.shift);
		break;
	case 8:
		assert_int_equal(sqe->cdw[2] >> 16, 0);
		if (dev.sectors) {
			dev.zeroed += count;
			break;
		}
		memset(at, 0, count << dev.shift);
		break;
	case 9: {
		uint32_t *range = fake_bus(sqe->prp[0], 16);

		assert_int_equal(sqe->cdw[0], 0);
		assert_int_equal(sqe->cdw[1], 4);
		memset(medium + ((uint64_t)range[2] << dev.shift), 0,
		       range[1] << dev.shift);
		break;
	}
	default:
		fail_msg("command %x", sqe->opcode);
	}
	complete(1, sqe->cid, 0);
}

bool fake_step(void)
{
	bool interrupt;

	while (dev.held_count > 0 && !dev.hangs) {
		unsigned i = dev.reverse ? dev.held_count - 1 : 0;
		struct sqe sqe = dev.held[i];

		memmove(dev.held + i, dev.held + i + 1,
			(--dev.held_count - i) * sizeof(sqe));
		if (dev.hang_next > 0) {
			dev.hang_next--;
		} else {
			finish(&sqe);
		}
	}
	interrupt = dev.interrupt;
	dev.interrupt = false;
	return interrupt;
}

static void take(unsigned number, uint32_t tail)
{
	struct queue *q = &dev.queues[number];

	assert_true(dev.csts & 1);
	assert_true(tail < q->size);
	while (q->seen != tail) {
		struct sqe *sqe = fake_bus(q->sq + q->seen * 64, 64);

		q->seen = (q->seen + 1) % q->size;
		if (number == 0) {
			admin(sqe);
		} else {
			assert_true(dev.held_count < q->size - 1);
			dev.held[dev.held_count++] = *sqe;
		}
	}
}

static void cc_out(uint32_t value)
{
	if (value & 1 && !(dev.cc & 1)) {
		assert_int_equal(value, 1 | 6 << 16 | 4 << 20);
		assert_int_equal(dev.asq % 4096, 0);
		assert_int_equal(dev.acq % 4096, 0);
		dev.queues[0] = (struct queue) {
			.sq = dev.asq, .cq = dev.acq, .phase = 1,
			.size = (dev.aqa & 0xfff) + 1,
		};
		dev.csts = dev.no_on ? 0 : 1;
		dev.starts++;
	} else if (!(value & 1)) {
		dev.csts = dev.no_off ? dev.csts : 0;
		dev.io_cq = dev.io_sq = false;
		dev.held_count = 0;
	}
	dev.cc = value;
}

uint64_t fake_in(volatile void *regs, uint32_t at, unsigned size)
{
	if (chaos) {
		return chaos_value();
	}
	assert_ptr_equal(regs, REGS);
	assert_int_equal(size, 4);
	switch (at) {
	case 0: return dev.mqes | 4u << 24;
	case 4: return 1 | 1u << 5 | dev.mps_min << 16;
	case 0x1c: return dev.csts;
	}
	fail_msg("reads register %x", at);
	return 0;
}

void fake_out(volatile void *regs, uint32_t at, unsigned size, uint64_t value)
{
	if (chaos) {
		return;
	}
	assert_ptr_equal(regs, REGS);
	assert_int_equal(size, 4);
	switch (at) {
	case 0x14: cc_out((uint32_t)value); break;
	case 0x24: dev.aqa = (uint32_t)value; break;
	case 0x28: dev.asq = value; break;
	case 0x30: dev.acq = value; break;
	case 0x2c: case 0x34: assert_int_equal(value, 0); break;
	case 0x1000: take(0, (uint32_t)value); break;
	case 0x1000 + STRIDE: dev.queues[0].cq_head = (uint32_t)value; break;
	case 0x1000 + 2 * STRIDE:
		assert_true(dev.io_sq);
		take(1, (uint32_t)value);
		break;
	case 0x1000 + 3 * STRIDE:
		dev.queues[1].cq_head = (uint32_t)value;
		if (dev.endless) {
			complete(1, 0xffff, 0);
		}
		break;
	default: fail_msg("writes register %x", at);
	}
}
