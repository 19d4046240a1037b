/* SPDX-License-Identifier: MIT */
/*
 * AMD's IOMMU (AMD-Vi): one device table for all functions of a segment, host
 * page tables, command buffer, event log, interrupt tables of each function's
 * own. A device table entry that is not valid lets everything through, so all
 * 65,536 say "nothing" before the unit is turned on. Chapter titles are those of
 * [AMD-Vi], AMD's "I/O Virtualization Technology (IOMMU) Specification".
 *
 * The unit is trusted, as the processor is, but not to answer: every wait is
 * bounded. On CPU 0.
 */
#include <hv.h>
#include <percpu.h>
#include <x86.h>

#include "iommu_int.h"

/* [AMD-Vi "IOMMU MMIO Registers"] */
enum {
	REG_DEVTAB = 0x00, REG_COMMANDS = 0x08, REG_EVENTS = 0x10,
	REG_CONTROL = 0x18, REG_EXCLUSION = 0x20, REG_FEATURES = 0x30,
	REG_COMMAND_HEAD = 0x2000, REG_COMMAND_TAIL = 0x2008,
	REG_EVENT_HEAD = 0x2010, REG_EVENT_TAIL = 0x2018, REG_STATUS = 0x2020,
};

#define FEATURE_XT	BIT64(2)	/* destinations of 32 bits .. */
#define FEATURE_GA	BIT64(7)	/* .. in entries of 128 */
#define FEATURE_IA	BIT64(6)	/* one command to forget all */

#define CONTROL_ON	BIT64(0)
#define CONTROL_EVENTS	BIT64(2)
#define CONTROL_COHERENT BIT64(10)
#define CONTROL_COMMANDS BIT64(12)
#define CONTROL_GA	BIT64(17)
#define CONTROL_XT	BIT64(50)
#define STATUS_OVERFLOW	BIT32(0)
#define STATUS_EVENTS	BIT32(3)	/* the log is being written */
#define STATUS_COMMANDS	BIT32(4)
#define STATUS_CLEAR	0x7u		/* overflow and two interrupts */

#define DEVICES		0x10000u
#define DEVTAB_BYTES	(DEVICES * 32ull)
#define RING_LENGTH	256u
#define RING_256	BIT64(59)	/* 2^8 entries */

/* [AMD-Vi "Device Table Entry Format"], four words. */
#define DTE_V		BIT64(0)
#define DTE_TV		BIT64(1)
#define DTE_MODE	((uint64_t)IOMMU_LEVELS << 9)
#define DTE_READ	BIT64(61)
#define DTE_WRITE	BIT64(62)
#define DTE2_IV		BIT64(0)	/* of the third; it blocks, unless .. */
#define DTE2_256	(8ull << 1)
#define DTE2_REMAP	BIT64(61)	/* .. it says that there is a table */
#define DTE2_TABLE	0x000fffffffffffc0ull

/* [AMD-Vi "Interrupt Virtualization Table Entry"], of 32 bits and of 128. */
#define IRTE_ON		BIT64(0)
#define IRTE_DEST(d)	((uint64_t)(d) << 8)
#define IRTE_VECTOR(v)	((uint32_t)(v) << 16)

/* [AMD-Vi "Commands"] */
#define CMD(op)		((uint64_t)(op) << 60)
#define CMD_WAIT	(CMD(1) | BIT64(0))	/* stores */
#define CMD_DEVICE	CMD(2)
#define CMD_PAGES	CMD(3)
#define CMD_INTERRUPTS	CMD(5)
#define CMD_ALL		CMD(8)
#define CMD_DOMAIN(id)	((uint64_t)(id) << 32)
#define ALL_PAGES	0x7ffffffffffff003ull

/* [AMD-Vi "Event Log"] */
#define EVENT_CODE(e)	((uint32_t)((e) >> 60))
#define EVENT_WRITE	BIT64(53)
#define MESSAGES	0xfee00000ull
#define MESSAGES_END	0xff000000ull

static uint32_t read32(const struct iommu_unit *u, uint32_t reg)
{
	return read_device32(u->regs + reg);
}

/* The queue is never full: what is put into it is waited for before. */
static void submit(struct iommu_unit *u, uint64_t low, uint64_t high)
{
	u->queue[u->tail * 2] = low;
	u->queue[u->tail * 2 + 1] = high;
	u->tail = (u->tail + 1) % RING_LENGTH;
}

/* Lets the unit do what has been submitted, and waits: the store comes when all
 * before is done. [AMD-Vi "COMPLETION_WAIT"] */
static bool run_queue(struct iommu_unit *u)
{
	u->waits++;
	submit(u, CMD_WAIT | ptr_hpa((const void *)u->done).v, u->waits);
	cpu_wrmsr_fence();
	write_device64(u->regs + REG_COMMAND_TAIL, u->tail * 16);
	return iommu_wait_done(u);
}

/* Whatever the unit has cached. Older ones must be told one by one. */
static bool flush_all(struct iommu_unit *u)
{
	uint32_t i;

	if (u->features & FEATURE_IA) {
		submit(u, CMD_ALL, 0);
		return run_queue(u);
	}
	for (i = 0; i < DEVICES; i++) {
		submit(u, CMD_DEVICE | i, 0);
		submit(u, CMD_INTERRUPTS | i, 0);
		submit(u, CMD_PAGES | CMD_DOMAIN(i), ALL_PAGES);
		if (i % 64 == 63 && !run_queue(u)) {
			return false;
		}
	}
	return true;
}

static const char *amdvi_probe(struct iommu_unit *u)
{
	if (read32(u, REG_CONTROL) == UINT32_MAX) {
		return "there is nothing";
	}
	u->features = read_device64(u->regs + REG_FEATURES);
	u->levels = IOMMU_LEVELS;
	u->coherent = true;
	u->interrupts = true;
	/* CPU 0 is where they go */
	u->wide = cpus[0]->apic_id > 254;
	return u->wide && (~u->features & (FEATURE_XT | FEATURE_GA)) ?
	       "CPU 0's APIC id is too large for it" : NULL;
}

/* An entry that blocks: translated, by a table in which nothing is, and neither
 * to be read nor written. Interrupts are blocked, too, or pass as they are. */
static void deny(struct iommu_unit *u, uint32_t function)
{
	uint64_t *e = &u->table[(function & 0xffff) * 4];

	__atomic_store_n(&e[0], DTE_V | DTE_TV | DTE_MODE |
			 ptr_hpa(u->nothing).v, __ATOMIC_RELEASE);
	__atomic_store_n(&e[2], (e[2] & DTE2_TABLE) |
			 (u->interrupts ? DTE2_IV : 0), __ATOMIC_RELEASE);
}

static void make_tables(struct iommu_unit *u)
{
	uint32_t i;

	u->nothing = iommu_frame();
	u->queue = iommu_frame();
	u->log = iommu_frame();
	u->done = iommu_frame();
	if (u->table) {
		return;
	}
	u->table = hpa_ptr(frame_boot(FRAME_HYPERVISOR, DEVTAB_BYTES,
				      "an IOMMU's device table"));
	for (i = 0; i < DEVICES; i++) {
		deny(u, i);
	}
}

/*
 * Off, which ends what firmware had it do, then on with our tables. In between
 * devices reach everything: bus masters have been stopped. Rings first, as they
 * must not change while they are used. [AMD-Vi "Making Device Table Entry
 * Changes", "IOMMU Control Register"]
 */
static bool amdvi_take_over(struct iommu_unit *u)
{
	uint64_t control = read_device64(u->regs + REG_CONTROL);
	uint64_t on = CONTROL_ON | CONTROL_EVENTS | CONTROL_COMMANDS |
		      CONTROL_COHERENT | u->boot->settings |
		      (u->wide ? CONTROL_GA | CONTROL_XT : 0);

	if (control & CONTROL_ON) {
		log_write("isthmus: firmware has left the IOMMU at %#llx on: "
			  "it is taken over",
			  (unsigned long long)u->boot->base);
	}
	make_tables(u);
	/* with the last bit, or a ring would be used without it */
	write_device64(u->regs + REG_CONTROL, control & CONTROL_ON);
	if (!iommu_wait(u, REG_STATUS, STATUS_COMMANDS | STATUS_EVENTS, 0)) {
		return false;
	}
	write_device64(u->regs + REG_CONTROL, 0);
	write_device64(u->regs + REG_DEVTAB, ptr_hpa(u->table).v |
					     (DEVTAB_BYTES / PAGE_SIZE - 1));
	write_device64(u->regs + REG_COMMANDS, ptr_hpa(u->queue).v | RING_256);
	write_device64(u->regs + REG_EVENTS, ptr_hpa(u->log).v | RING_256);
	write_device64(u->regs + REG_COMMAND_HEAD, 0);
	write_device64(u->regs + REG_COMMAND_TAIL, 0);
	write_device64(u->regs + REG_EVENT_HEAD, 0);
	write_device64(u->regs + REG_EVENT_TAIL, 0);
	write_device64(u->regs + REG_EXCLUSION, 0);
	write_device32(u->regs + REG_STATUS, STATUS_CLEAR);
	write_device64(u->regs + REG_CONTROL, on);
	return flush_all(u);
}

/* What was cached of one function: its entry, its domain's pages, its
 * interrupts. */
static bool flush(struct iommu_unit *u, uint32_t function, uint32_t domain)
{
	submit(u, CMD_DEVICE | (uint16_t)function, 0);
	submit(u, CMD_PAGES | CMD_DOMAIN(domain), ALL_PAGES);
	submit(u, CMD_INTERRUPTS | (uint16_t)function, 0);
	return run_queue(u);
}

/* The page of a function's interrupt entries, which stays its own; NULL: it
 * never had one. */
static void *remap_table(const uint64_t *e)
{
	return e[2] & DTE2_TABLE ? hpa_ptr(HPA(e[2] & DTE2_TABLE)) : NULL;
}

/* Each word is valid by itself, whatever the unit reads of the others: it reaches
 * nothing until the first one says so, with the domain's number there before. */
static bool amdvi_set(struct iommu_unit *u, uint32_t function,
		      const struct iommu_domain *d, bool *full)
{
	uint64_t *e = &u->table[(function & 0xffff) * 4];
	void *interrupts = remap_table(e);
	uint32_t domain = (uint32_t)e[1];

	*full = false;
	if (d) {
		__atomic_store_n(&e[1], d->id, __ATOMIC_RELEASE);
		__atomic_store_n(&e[0], DTE_V | DTE_TV | DTE_MODE | DTE_READ |
				 DTE_WRITE | d->root.v, __ATOMIC_RELEASE);
		return flush(u, function, d->id);
	}
	deny(u, function);
	if (!flush(u, function, domain)) {
		return false;
	}
	if (interrupts) {
		zero_memory(interrupts, PAGE_SIZE);
	}
	return true;
}

/* Physical destination, fixed delivery. The table is the function's own: others
 * cannot name its entries. */
static bool amdvi_interrupt(struct iommu_unit *u, uint32_t function,
			    uint8_t vector, bool level UNUSED, uint32_t apic_id,
			    bool *full)
{
	uint64_t *e = &u->table[(function & 0xffff) * 4];
	void *table = remap_table(e);
	hpa_t page;

	*full = false;
	if (!table) {
		page = frame_alloc(FRAME_HYPERVISOR, true);
		*full = page.v == FRAME_NULL;
		if (*full) {
			return true;
		}
		table = hpa_ptr(page);
	}
	if (u->wide) {
		uint64_t *irte = (uint64_t *)table + vector * 2;

		irte[1] = vector | (uint64_t)(apic_id >> 24) << 56;
		__atomic_store_n(&irte[0], IRTE_ON |
				 IRTE_DEST(apic_id & 0xffffff),
				 __ATOMIC_RELEASE);
	} else {
		__atomic_store_n((uint32_t *)table + vector, (uint32_t)IRTE_ON |
				 (uint32_t)IRTE_DEST(apic_id) |
				 IRTE_VECTOR(vector), __ATOMIC_RELEASE);
	}
	__atomic_store_n(&e[2], DTE2_IV | DTE2_256 | DTE2_REMAP |
			 ptr_hpa(table).v, __ATOMIC_RELEASE);
	return flush(u, function, (uint32_t)e[1]);
}

static uint64_t amdvi_root(const struct iommu_unit *u, uint32_t function)
{
	uint64_t e = u->table[(function & 0xffff) * 4];

	return e & (DTE_READ | DTE_WRITE) ? e & IOMMU_ADDRESS : 0;
}

/* A log that ran over stands still until it is turned off and on; what came since
 * nobody knows. [AMD-Vi "Event Log Restart Procedure"] */
static void restart_log(struct iommu_unit *u)
{
	uint64_t control = read_device64(u->regs + REG_CONTROL);

	u->overflows++;
	write_device64(u->regs + REG_CONTROL, control & ~CONTROL_EVENTS);
	if (iommu_wait(u, REG_STATUS, STATUS_EVENTS, 0)) {
		write_device32(u->regs + REG_STATUS, STATUS_OVERFLOW);
		write_device64(u->regs + REG_EVENT_HEAD, 0);
		write_device64(u->regs + REG_EVENT_TAIL, 0);
		write_device64(u->regs + REG_CONTROL, control);
	}
}

/* Addresses in the messages' range are interrupts, whatever the event says. */
static bool amdvi_fault(struct iommu_unit *u, struct iommu_fault *f)
{
	uint32_t head = read32(u, REG_EVENT_HEAD) / 16 % RING_LENGTH;
	volatile uint64_t *event = &u->log[head * 2];
	uint64_t from = rdtsc(), what;

	if (head == read32(u, REG_EVENT_TAIL) / 16 % RING_LENGTH) {
		if (read32(u, REG_STATUS) & STATUS_OVERFLOW) {
			restart_log(u);
		}
		return false;
	}
	/* the tail may be seen before the event; a millisecond is long */
	while (!EVENT_CODE(event[0]) && rdtsc() - from < boot.tsc_hz / 1000) {
		cpu_pause();
	}
	what = event[0];
	*f = (struct iommu_fault){
		.function = u->boot->segment << 16 | (uint32_t)(what & 0xffff),
		.reason = EVENT_CODE(what),
		.address = event[1],
		.write = (what & EVENT_WRITE) != 0,
		.interrupt = event[1] >= MESSAGES && event[1] < MESSAGES_END,
	};
	event[0] = 0;
	write_device64(u->regs + REG_EVENT_HEAD, (head + 1) % RING_LENGTH * 16);
	return true;
}

/* [AMD-Vi "I/O Page Tables for Host Translations"]; coherent accesses. */
static const struct iommu_format format = {
	.present = BIT64(0), .every = BIT64(0) | DTE_READ, .leaf = BIT64(60),
	.write = DTE_WRITE, .level = BIT64(9),
};

const struct iommu_ops iommu_amdvi = {
	.name = "AMD-Vi", .format = &format,
	.probe = amdvi_probe, .take_over = amdvi_take_over, .set = amdvi_set,
	.interrupt = amdvi_interrupt, .root = amdvi_root, .fault = amdvi_fault,
};
