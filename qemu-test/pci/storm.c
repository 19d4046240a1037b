/* SPDX-License-Identifier: MIT */
/*
 * A driver that is an enemy, of QEMU's NVMe controller: its commands name addresses
 * that are not the pool's, as many as the first digits of the controller's serial
 * number say. The device writes 4 bytes, a page or half of one, reads 8 bytes, and
 * sends interrupts; each is one command, waited for, and after each access the IOMMU
 * is asked what it has blocked. Which, and where, is chance, the same in each run.
 * [NVMe 1.4 "Admin Command Set"]
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/nvme_int.h"
#include "hypervisor/include/abi/boot_info.h"
#include "proto/host_info.h"
#include "host-bridge/dev/dma.h"
#include "host-bridge/loop/loop.h"
#include "probe.h"

#define IDENTIFY	0x06
#define GET_LOG		0x02
#define SET_FEATURES	0x09
#define GET_FEATURES	0x0a
#define IDENTIFY_CTRL	1u
#define LOG_HEALTH	2u
#define TIMESTAMP	0x0eu
#define TIME_BITS	((1ull << 48) - 1)

#define VENDOR		0x1b36u		/* Red Hat, for QEMU */
#define QUEUE		64u
#define ANSWER_MS	5000u
#define OLD_MS		1000000u	/* no test takes as long */
#define MESSAGES	0xfee00000ull
#define REMAPPABLE	0x10ull
/* Entries of VT-d's that have no vector, and those that are not there; as a message
 * of the old format to APIC 0, and to others. */
#define ENTRIES_LOW	0x007e0ull
#define ENTRIES_ANY	0xfffe0ull
#define ENTRIES_HIGH	0x02000ull
#define FORGED		0x60u		/* vector of the first line of messages */
#define MESSAGE_NMI	0x400u
#define MESSAGE_INIT	0x500u

struct shared_pages {
	struct sqe sq[QUEUE];
	_Alignas(NVME_PAGE) volatile struct cqe cq[QUEUE];
	_Alignas(NVME_PAGE) volatile uint64_t data[NVME_PAGE / 8];
};

static volatile char *regs;
static struct shared_pages *pages;
static unsigned tail, done;		/* of commands, of completions; for ever */
static uint32_t stride;
static uint64_t seed = 1;
static unsigned forged;
static uint64_t remappable;		/* this bit of a message's address is set */

/* For a debugger, which looks at the machine here. */
void storm_begins(void);
void storm_ends(void);

__attribute__((noinline)) void storm_begins(void)
{
	__asm__ volatile("");
}

__attribute__((noinline)) void storm_ends(void)
{
	__asm__ volatile("");
}

/* [Marsaglia, "Xorshift RNGs"] */
static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void on_forged(void *arg)
{
	(void)arg;
	forged++;
}

/* One command, to its end; its status, or -1: there is no answer. */
static int run(struct sqe sqe)
{
	uint64_t end = loop_now() + loop_ms_to_ticks(ANSWER_MS);
	volatile struct cqe *cqe = &pages->cq[done % QUEUE];
	uint32_t phase = ~(done / QUEUE) & 1, status;

	sqe.cid = (uint16_t)tail;
	pages->sq[tail++ % QUEUE] = sqe;
	mmio_out32(regs, REG_DOORBELLS, tail % QUEUE);
	do {
		status = cqe->status;
		if (loop_now() > end) {
			return -1;
		}
	} while ((status >> 16 & 1) != phase);
	done++;
	mmio_out32(regs, REG_DOORBELLS + stride, done % QUEUE);
	return (int)(status >> 17);
}

/* The queue of its own commands, which is all that is used of it. */
static int turn_on(void)
{
	uint64_t end = loop_now() + loop_ms_to_ticks(ANSWER_MS);
	uint64_t sq = dma_bus(pages->sq), cq = dma_bus((void *)pages->cq);

	stride = 4u << (mmio_in32(regs, REG_CAP + 4) & 15);
	mmio_out32(regs, REG_CC, 0);
	mmio_out32(regs, REG_AQA, (QUEUE - 1) << 16 | (QUEUE - 1));
	mmio_out32(regs, REG_ASQ, (uint32_t)sq);
	mmio_out32(regs, REG_ASQ + 4, (uint32_t)(sq >> 32));
	mmio_out32(regs, REG_ACQ, (uint32_t)cq);
	mmio_out32(regs, REG_ACQ + 4, (uint32_t)(cq >> 32));
	mmio_out32(regs, REG_CC, CC_EN | CC_IOSQES_64 | CC_IOCQES_16);
	while (!(mmio_in32(regs, REG_CSTS) & CSTS_RDY)) {
		if (loop_now() > end) {
			return EIO;
		}
	}
	return 0;
}

static uint64_t ours(void)
{
	return dma_bus((void *)pages->data);
}

/* The device writes 4 bytes of its health. */
static int write_word(uint64_t bus)
{
	return run((struct sqe){ .opcode = GET_LOG, .nsid = UINT32_MAX,
				 .prp = { bus }, .cdw = { LOG_HEALTH } });
}

static int write_page(uint64_t bus)
{
	return run((struct sqe){ .opcode = IDENTIFY, .prp = { bus },
				 .cdw = { IDENTIFY_CTRL } });
}

/* What it reads or writes is its clock, in ms. */
static int read_time(uint64_t bus)
{
	return run((struct sqe){ .opcode = SET_FEATURES, .prp = { bus },
				 .cdw = { TIMESTAMP } });
}

static int write_time(uint64_t bus)
{
	return run((struct sqe){ .opcode = GET_FEATURES, .prp = { bus },
				 .cdw = { TIMESTAMP } });
}

/* The first half where it may. */
static int write_half(uint64_t bus)
{
	return run((struct sqe){ .opcode = IDENTIFY, .cdw = { IDENTIFY_CTRL },
				 .prp = { ours() + NVME_PAGE / 2, bus } });
}

static uint64_t time_in_pool(void)
{
	pages->data[0] = ~0ull;
	return write_time(ours()) ? ~0ull : pages->data[0] & TIME_BITS;
}

/* It can do all of that where it may. */
static bool can_do(void)
{
	pages->data[0] = 0x123456789abc;
	return !read_time(ours()) && time_in_pool() - 0x123456789abc < OLD_MS &&
	       !write_page(ours()) && (pages->data[0] & 0xffff) == VENDOR &&
	       !write_word(ours());
}

/* An address that is not the pool's: of memory, the hypervisor's and Linux's and
 * the firmware's among it; the same as one of our own; the pool's edges; channels;
 * registers, the IOMMU's own and the I/O APIC's among them; beyond 4 GiB. */
static uint64_t foreign(const struct hc_regs *pool)
{
	static const uint64_t registers[] = {
		0xb0000000, 0xe0000000, 0xfec00000, 0xfed00000, 0xfed80000,
		0xfed90000, 0xffc00000, 0xfffff000 };
	uint64_t r = random64(), low = r >> 32 & 0xffffffc;

	switch (r & 7) {
	case 0:
		return low & 0xffffc;
	case 1:
		return HOST_IMAGE_GPA + (low & 0x3ffffc);
	case 2:
		return pool->rdi - NVME_PAGE - (low & 0x3ffc);
	case 3:
		return pool->rdi + pool->rsi + (low & 0x3ffc);
	case 4:
		return HOST_CHANNEL_GPA + (low & 0x3fffffc);
	case 5:
		return registers[r >> 3 & 7] + (low & 0xffc);
	case 6:
		return 0x100000000ull + (r >> 16 & 0xfffffffffcull);
	default:
		return low * 4 & 0x3ffffffcull;
	}
}

/* Half of them would interrupt us, or stop CPU 0, if the unit let them pass as they
 * are; the others are any: vectors, kinds of delivery, entries. To VT-d all are of the
 * new format, and none names an entry that there is: QEMU's lets the old one pass,
 * and does not see who writes a message (docs/platforms.md). */
static bool message(void)
{
	static const uint16_t kinds[] = { FORGED, FORGED, MESSAGE_NMI, MESSAGE_INIT };
	uint64_t r = random64(), bus = MESSAGES | remappable;
	bool sent;

	if (r & 1) {
		pages->data[0] = kinds[r >> 1 & 3];
		bus |= r >> 8 & ENTRIES_LOW;
	} else {
		pages->data[0] = r >> 16 & TIME_BITS;
		bus |= (r >> 8 & ENTRIES_ANY) | ENTRIES_HIGH;
	}
	sent = !read_time(ours()) && !write_time(bus);
	pages->data[0] = 0;
	return sent && !read_time(ours());
}

/* One access of memory: false: it is not one more that has been blocked; *leaked: it
 * has brought something. */
static bool access(const struct hc_regs *pool, unsigned *leaked)
{
	uint64_t before = probe_blocked(), bus = foreign(pool);

	switch (random64() & 3) {
	case 0:
		write_word(bus);
		break;
	case 1:
		write_page(bus & ~(NVME_PAGE - 1ull));
		break;
	case 2:
		write_half(bus & ~(NVME_PAGE - 1ull));
		break;
	default:
		*leaked += read_time(bus) == 0 && time_in_pool() > OLD_MS;
		break;
	}
	return probe_blocked() == before + 1;
}

static void storm(unsigned count, const struct hc_regs *pool)
{
	unsigned messages = 0, silent = 0, leaked = 0, failed = 0;
	uint32_t sum = probe_canary();

	for (unsigned i = 0; i < count; i++) {
		if (i % 8 == 7) {
			messages++;
			failed += !message();
		} else {
			silent += !access(pool, &leaked);
		}
	}
	/* whoever has sent one in our name is called now */
	loop_step(loop_now() + loop_ms_to_ticks(10));
	probe_say("storm-accesses", count - messages);
	probe_say("storm-messages", messages - failed);
	probe_say("storm-silent", silent);
	probe_say("storm-leaked", leaked);
	probe_say("storm-forged", forged);
	probe_say("storm-canary", probe_canary() == sum);
}

static unsigned count_of(void)
{
	char serial[8] = { 0 };

	if (write_page(ours())) {
		return 0;
	}
	memcpy(serial, (const char *)pages->data + 4, sizeof(serial) - 1);
	return (unsigned)strtoul(serial, NULL, 10);
}

static void touch(const volatile uint8_t *from, const volatile uint8_t *to)
{
	for (; from < to; from += NVME_PAGE) {
		(void)*from;
	}
}

/* What this program runs in is all there before it begins: a page of it that is used
 * for the first time meanwhile would be one more that tables have. */
static void have_all(void)
{
	extern const volatile uint8_t image_start[], image_end[], stack_bottom[],
		stack_top[];

	touch(image_start, image_end);
	touch(stack_bottom, stack_top);
}

/** Lets the NVMe controller storm, and says what came of it. */
void storm_try(struct pci_dev *dev, const struct hc_regs *pool)
{
	struct pci_dev *other = pci_find(NULL, 0x010601, 0xffffff);
	struct hc_regs unit;
	struct pci_bar bar;

	if (hc_query(HC_QUERY_IOMMU, 0, 0, &unit) == HC_OK && !(unit.rdi & HC_IOMMU_AMD)) {
		remappable = REMAPPABLE;
	}
	pages = dma_alloc(sizeof(*pages), NVME_PAGE);
	if (!pages || pci_bar(dev, 0, &bar)) {
		probe_say("storm-memory", -1);
		return;
	}
	regs = bar.regs;
	/* somebody whose interrupts can be forged */
	probe_say("storm-other", other ? pci_irq(other, 0, on_forged, NULL) : -1);
	probe_say("storm-master", pci_master(dev, true));
	probe_say("storm-on", turn_on());
	probe_say("storm-able", can_do());
	have_all();
	storm_begins();
	storm(count_of(), pool);
	storm_ends();
	probe_say("storm-able-still", can_do());
	mmio_out32(regs, REG_CC, 0);
	probe_say("storm-off", pci_master(dev, false));
	pci_irq_off(other, 0);
	dma_free(pages, sizeof(*pages));
}
