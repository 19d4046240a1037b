/* SPDX-License-Identifier: MIT */
/*
 * Intel's IOMMU (VT-d) in legacy mode: a root table with a context table for
 * each bus that has a given function, second-level tables, queued invalidation,
 * interrupt remapping. A context entry that is not present blocks all, so what
 * nobody set is denied. Chapter titles are those of [VT-d], Intel's
 * "Virtualization Technology for Directed I/O" specification.
 *
 * The unit is trusted, as the processor is, but not to answer: every wait is
 * bounded. On CPU 0.
 */
#include <hv.h>
#include <percpu.h>
#include <x86.h>

#include "iommu_int.h"

/* [VT-d "Register Descriptions"] */
enum {
	REG_CAP = 0x08, REG_ECAP = 0x10, REG_GCMD = 0x18, REG_GSTS = 0x1c,
	REG_RTADDR = 0x20, REG_FSTS = 0x34, REG_FECTL = 0x38,
	REG_PMEN = 0x64, REG_IQH = 0x80, REG_IQT = 0x88, REG_IQA = 0x90,
	REG_IRTA = 0xb8,
};

#define CAP_RWBF	BIT64(4)	/* write buffers must be flushed */
#define CAP_PLMR	BIT64(5)
#define CAP_PHMR	BIT64(6)
#define CAP_SAGAW3	BIT64(9)	/* tables of 3, of 4 levels */
#define CAP_SAGAW4	BIT64(10)
#define CAP_FRO(cap)	((uint32_t)((cap) >> 24 & 0x3ff) * 16)
#define CAP_NFR(cap)	((uint32_t)((cap) >> 40 & 0xff) + 1)
#define ECAP_C		BIT64(0)
#define ECAP_QI		BIT64(1)
#define ECAP_IR		BIT64(3)
#define ECAP_EIM	BIT64(4)

/* Bits of the global command and status registers. */
#define GLOBAL_TE	BIT32(31)
#define GLOBAL_RTP	BIT32(30)
#define GLOBAL_WBF	BIT32(27)
#define GLOBAL_QIE	BIT32(26)
#define GLOBAL_IRE	BIT32(25)
#define GLOBAL_IRTP	BIT32(24)
#define GLOBAL_CFI	BIT32(23)
/* Commands that are done once do not stand in the status. */
#define GLOBAL_STAY	0x96ffffffu

#define RTADDR_TTM	0xc00ull	/* not 0: another mode */
#define FSTS_PFO	BIT32(0)
#define FECTL_IM	BIT32(31)
#define PMEN_EPM	BIT32(31)
#define PMEN_PRS	BIT32(0)
#define IRTA_256	7u		/* entries */
#define IRTA_EIME	BIT64(11)

/* [VT-d "Context Entry"] */
#define ENTRY_P		BIT64(0)
#define CONTEXT_AW(levels) ((levels) - 2ull)
#define CONTEXT_DID(id)	((uint64_t)(id) << 8)

/* [VT-d "Interrupt Remapping Table Entry (IRTE) for Remapped Interrupts"] */
#define IRTE_P		BIT64(0)
#define IRTE_LEVEL	BIT64(4)
#define IRTE_VECTOR(v)	((uint64_t)(v) << 16)
#define IRTE_DEST(d)	((uint64_t)(d) << 32)
#define IRTE_SVT_ID	BIT64(18)	/* of the high word: all 16 bits .. */
#define IRTE_SID(f)	((uint64_t)(uint16_t)(f)) /* .. of the requester */

/* [VT-d "Queued Invalidation Interface"]: global ones, and the wait */
#define INV_CONTEXT	0x11ull
#define INV_IOTLB	0xd2ull		/* reads and writes drained */
#define INV_INTERRUPTS	0x04ull
#define INV_WAIT	0x65ull		/* stores; all before are done */
#define QUEUE_LENGTH	256u

/* [VT-d "Fault Recording Registers"] */
#define FRCD_F		BIT32(31)	/* of the last of four words */
#define FRCD_READ	BIT64(62)
#define FAULT_INTERRUPTS 0x20u		/* reasons from here to .. */
#define FAULT_INTERRUPTS_END 0x40u

static uint32_t read32(const struct iommu_unit *u, uint32_t reg)
{
	return read_device32(u->regs + reg);
}

static uint64_t read64(const struct iommu_unit *u, uint32_t reg)
{
	return read_device64(u->regs + reg);
}

/* One command, and the wait until the status says so. [VT-d "Global Command
 * Register"] */
static bool command(struct iommu_unit *u, uint32_t bit, bool on)
{
	uint32_t v = read32(u, REG_GSTS) & GLOBAL_STAY;

	write_device32(u->regs + REG_GCMD, on ? v | bit : v & ~bit);
	/* the flush of write buffers is done when its bit is clear again */
	return iommu_wait(u, REG_GSTS, bit, on && bit != GLOBAL_WBF ? bit : 0);
}

/* The queue is never full: what is put into it is waited for at once. */
static void submit(struct iommu_unit *u, uint64_t low, uint64_t high)
{
	uint64_t *at = &u->queue[u->tail * 2];

	at[0] = low;
	at[1] = high;
	iommu_written(at, 16);
	u->tail = (u->tail + 1) % QUEUE_LENGTH;
}

/* Lets the unit do what has been submitted, and waits. */
static bool run_queue(struct iommu_unit *u)
{
	if ((u->features & CAP_RWBF) && !command(u, GLOBAL_WBF, true)) {
		return false;
	}
	u->waits++;
	submit(u, INV_WAIT | (u->waits & 0xffffffff) << 32,
	       ptr_hpa((const void *)u->done).v);
	write_device64(u->regs + REG_IQT, (uint64_t)u->tail * 16);
	return iommu_wait_done(u);
}

/* The caches of entries and of translations. All of them: owners change
 * seldom. Context entries first, or a stale one would fill the IOTLB again.
 * [VT-d "Guidance to Software for Invalidations"] */
static bool flush_all(struct iommu_unit *u)
{
	submit(u, INV_CONTEXT, 0);
	submit(u, INV_IOTLB, 0);
	return run_queue(u);
}

static const char *vtd_probe(struct iommu_unit *u)
{
	uint64_t cap = read64(u, REG_CAP), ecap = read64(u, REG_ECAP);

	if (cap == ~0ull) {
		return "there is nothing";
	}
	if (!(ecap & ECAP_QI)) {
		return "it has no queued invalidation";
	}
	if (!(cap & (CAP_SAGAW3 | CAP_SAGAW4))) {
		return "its tables have neither 3 nor 4 levels";
	}
	if (CAP_FRO(cap) + CAP_NFR(cap) * 16 > BOOT_IOMMU_REGISTERS) {
		return "its registers are too far apart";
	}
	u->levels = cap & CAP_SAGAW4 ? 4 : 3;
	u->coherent = (ecap & ECAP_C) != 0;
	u->interrupts = (ecap & ECAP_IR) != 0;
	u->features = cap;
	u->wide = (ecap & ECAP_EIM) &&
		  (rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_EXTD);
	/* CPU 0 is where they go */
	u->interrupts &= u->wide || cpus[0]->apic_id <= 254;
	return NULL;
}

/* The queue that firmware may have used runs empty, and ours takes its place. */
static bool take_queue(struct iommu_unit *u)
{
	uint32_t tail = (uint32_t)read64(u, REG_IQT);

	/* an error that is recorded would hold up a queue */
	write_device32(u->regs + REG_FSTS, read32(u, REG_FSTS));
	if (read32(u, REG_GSTS) & GLOBAL_QIE) {
		if (!iommu_wait(u, REG_IQH, 0x7ffff0, tail & 0x7ffff0) ||
		    !command(u, GLOBAL_QIE, false)) {
			return false;
		}
	}
	write_device64(u->regs + REG_IQT, 0);
	write_device64(u->regs + REG_IQA, ptr_hpa(u->queue).v);
	return command(u, GLOBAL_QIE, true);
}

/* Our table, which is empty, then the switch; interrupts of the old format are
 * blocked. Where there is to be no remapping, what firmware left on goes off, for
 * nobody writes its table any more. */
static bool take_interrupts(struct iommu_unit *u)
{
	if (!u->interrupts) {
		return !(read32(u, REG_GSTS) & GLOBAL_IRE) ||
		       command(u, GLOBAL_IRE, false);
	}
	write_device64(u->regs + REG_IRTA, ptr_hpa(u->remap).v | IRTA_256 |
					   (u->wide ? IRTA_EIME : 0));
	if (!command(u, GLOBAL_IRTP, true)) {
		return false;
	}
	submit(u, INV_INTERRUPTS, 0);
	return run_queue(u) && command(u, GLOBAL_IRE, true) &&
	       command(u, GLOBAL_CFI, false);
}

/*
 * The new root takes the old one's place while translation is on, so that there
 * is no moment in which a device reaches everything; but for a root of another
 * mode, which may only change while it is off. Bus masters have been stopped.
 * [VT-d "Set Root Table Pointer Operation"]
 */
static bool vtd_take_over(struct iommu_unit *u)
{
	if (read32(u, REG_GSTS) & (GLOBAL_TE | GLOBAL_QIE | GLOBAL_IRE)) {
		log_write("isthmus: firmware has left the IOMMU at %#llx on: "
			  "it is taken over",
			  (unsigned long long)u->boot->base);
	}
	u->table = iommu_frame();
	u->queue = iommu_frame();
	u->remap = iommu_frame();
	u->done = iommu_frame();
	iommu_written(u->table, PAGE_SIZE);
	iommu_written(u->remap, PAGE_SIZE);
	write_device32(u->regs + REG_FECTL, FECTL_IM);
	if (!take_queue(u) || !take_interrupts(u)) {
		return false;
	}
	if ((read32(u, REG_GSTS) & GLOBAL_TE) &&
	    (read64(u, REG_RTADDR) & RTADDR_TTM) &&
	    !command(u, GLOBAL_TE, false)) {
		return false;
	}
	write_device64(u->regs + REG_RTADDR, ptr_hpa(u->table).v);
	if (!command(u, GLOBAL_RTP, true) || !flush_all(u) ||
	    !command(u, GLOBAL_TE, true)) {
		return false;
	}
	/* what firmware kept devices from before: it would keep them from the
	 * pool [VT-d "Protected Memory Enable Register"] */
	if (u->features & (CAP_PLMR | CAP_PHMR)) {
		write_device32(u->regs + REG_PMEN,
			       read32(u, REG_PMEN) & ~PMEN_EPM);
		return iommu_wait(u, REG_PMEN, PMEN_PRS, 0);
	}
	return true;
}

/* The context entry of a function; NULL: its bus has no table. */
static uint64_t *context(const struct iommu_unit *u, uint32_t function)
{
	uint64_t root = u->table[(function >> 8 & 0xff) * 2];

	return root & ENTRY_P ? (uint64_t *)hpa_ptr(HPA(root & IOMMU_ADDRESS)) +
	       (function & 0xff) * 2 : NULL;
}

/* The bus's table is there or is made; NULL: no memory. */
static uint64_t *context_make(struct iommu_unit *u, uint32_t function)
{
	uint64_t *entry = &u->table[(function >> 8 & 0xff) * 2];
	hpa_t page;

	if (!(*entry & ENTRY_P)) {
		page = frame_alloc(FRAME_HYPERVISOR, true);
		if (page.v == FRAME_NULL) {
			return NULL;
		}
		iommu_written(hpa_ptr(page), PAGE_SIZE);
		*entry = page.v | ENTRY_P;
		iommu_written(entry, 16);
	}
	return context(u, function);
}

/* No entry of the function's stays. */
static bool forget_interrupts(struct iommu_unit *u, uint32_t function)
{
	uint32_t i;

	for (i = 0; i < PAGE_SIZE / 16; i++) {
		if ((u->remap[i * 2] & IRTE_P) &&
		    (uint16_t)u->remap[i * 2 + 1] == (uint16_t)function) {
			u->remap[i * 2] = 0;
			iommu_written(&u->remap[i * 2], 16);
		}
	}
	submit(u, INV_INTERRUPTS, 0);
	return run_queue(u);
}

/* The word with the P bit is written last when it is set and first when it is
 * cleared: the unit sees nothing that is half an entry. */
static bool vtd_set(struct iommu_unit *u, uint32_t function,
		    const struct iommu_domain *d, bool *full)
{
	uint64_t *entry = d ? context_make(u, function) : context(u, function);
	uint64_t root;

	*full = d && !entry;
	if (!entry) {
		return true;
	}
	if (!d) {
		__atomic_store_n(&entry[0], 0, __ATOMIC_RELEASE);
		iommu_written(entry, 16);
		return flush_all(u) &&
		       (!u->interrupts || forget_interrupts(u, function));
	}
	root = d->root.v;
	if (u->levels < IOMMU_LEVELS) {
		/* the table of its first 512 GiB: 3 levels are left */
		root = *(const uint64_t *)hpa_ptr(d->root) & IOMMU_ADDRESS;
	}
	entry[1] = CONTEXT_AW(u->levels) | CONTEXT_DID(d->id);
	__atomic_store_n(&entry[0], root | ENTRY_P, __ATOMIC_RELEASE);
	iommu_written(entry, 16);
	return flush_all(u);
}

/* Physical destination, fixed delivery, and only for who is that function. */
static bool vtd_interrupt(struct iommu_unit *u, uint32_t function,
			  uint8_t vector, bool level, uint32_t apic_id,
			  bool *full)
{
	uint64_t *entry = &u->remap[vector * 2];

	*full = false;
	__atomic_store_n(&entry[0], 0, __ATOMIC_RELEASE);
	entry[1] = IRTE_SVT_ID | IRTE_SID(function);
	__atomic_store_n(&entry[0], IRTE_P | (level ? IRTE_LEVEL : 0) |
			 IRTE_VECTOR(vector) |
			 IRTE_DEST(u->wide ? apic_id : apic_id << 8),
			 __ATOMIC_RELEASE);
	iommu_written(entry, 16);
	submit(u, INV_INTERRUPTS, 0);
	return run_queue(u);
}

static uint64_t vtd_root(const struct iommu_unit *u, uint32_t function)
{
	const uint64_t *entry = context(u, function);

	return entry && (entry[0] & ENTRY_P) ? entry[0] & IOMMU_ADDRESS : 0;
}

/* The registers are a ring, but their order does not matter here. */
static bool vtd_fault(struct iommu_unit *u, struct iommu_fault *f)
{
	uint32_t i, at, reason;
	uint64_t low, high;

	for (i = 0; i < CAP_NFR(u->features); i++) {
		at = CAP_FRO(u->features) + i * 16;
		if (!(read32(u, at + 12) & FRCD_F)) {
			continue;
		}
		low = read64(u, at);
		high = read64(u, at + 8);
		/* 1 clears it, and lets the unit record the next */
		write_device32(u->regs + at + 12, FRCD_F);
		reason = (uint32_t)(high >> 32) & 0xff;
		*f = (struct iommu_fault){
			.function = u->boot->segment << 16 |
				    (uint32_t)(high & 0xffff), .reason = reason,
			.address = low & ~PAGE_MASK,
			.write = !(high & FRCD_READ),
			.interrupt = reason >= FAULT_INTERRUPTS &&
				     reason < FAULT_INTERRUPTS_END,
		};
		return true;
	}
	/* more came than there were registers for: how many nobody knows. Of one
	 * requester only the first may be recorded, until that has been read */
	if (read32(u, REG_FSTS) & FSTS_PFO) {
		u->overflows++;
		write_device32(u->regs + REG_FSTS, FSTS_PFO);
	}
	return false;
}

/* What may not be read is not there. [VT-d "Second-Stage Paging Entries"] */
static const struct iommu_format format = {
	.present = BIT64(0) | BIT64(1), .every = BIT64(0), .write = BIT64(1),
};

const struct iommu_ops iommu_vtd = {
	.name = "VT-d", .format = &format,
	.probe = vtd_probe, .take_over = vtd_take_over, .set = vtd_set,
	.interrupt = vtd_interrupt, .root = vtd_root, .fault = vtd_fault,
};
