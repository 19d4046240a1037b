/* SPDX-License-Identifier: MIT */
/*
 * Device interrupts: an I/O APIC input that the manifest gives to the host partition
 * becomes an event bit of that partition, which alone has devices. Edge inputs are
 * acknowledged at once; level inputs stay masked until it has served the device. So
 * does a message of a PCI function, which core/pci.c has written: always an edge.
 * All go to the boot CPU, the host partition's: only there are the two I/O
 * APIC registers used, interrupts off, so they need no lock. [82093AA I/O APIC
 * data sheet "IOREDTBL"]
 */
#include <hv.h>
#include <iommu.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>

/* Register numbers; an entry is two registers, the low word first. */
#define IOAPIC_REDIR(pin)	(0x10u + 2 * (pin))
#define REDIR_LEVEL		BIT32(15)
#define REDIR_LOW		BIT32(13)
#define REDIR_MASKED		BIT32(16)

static volatile uint32_t *ioapic;	/* NULL: there is none */
static uint32_t pins;
static uint32_t line_count;		/* those that have been routed */

/* IOREGSEL at offset 0, IOWIN at 0x10. */
static void ioapic_write(uint32_t reg, uint32_t v)
{
	ioapic[0] = reg;
	ioapic[4] = v;
}

static uint32_t ioapic_read(uint32_t reg)
{
	ioapic[0] = reg;
	return ioapic[4];
}

/* Line i of the host partition's. */
static const struct boot_irq *line(uint32_t i)
{
	return &partition_host()->config->irqs[i];
}

/* A closed one stays level-triggered, so that an input that falls meanwhile is seen:
 * QEMU would have it interrupt again, and again, with nobody there. */
static void line_mask(uint32_t i, bool masked)
{
	ioapic_write(IOAPIC_REDIR(line(i)->gsi), (VECTOR_IRQ_BASE + i) |
		     (line(i)->flags & BOOT_IRQ_LEVEL ? REDIR_LEVEL : 0) |
		     (line(i)->flags & BOOT_IRQ_ACTIVE_LOW ? REDIR_LOW : 0) |
		     (masked ? REDIR_MASKED : 0));
}

/**
 * Masks everything, the 8259 pair too: firmware may have left an input open, and
 * one that is level-triggered, and that nobody here serves, would come again
 * after each EOI for ever. Boot CPU, before interrupts are on for the first time.
 */
void irq_mask_all(const struct boot_info *bi)
{
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	if (!bi->ioapic_phys) {
		return;
	}
	ioapic = paging_map_device(bi->ioapic_phys, false);
	ioapic += (bi->ioapic_phys & PAGE_MASK) / 4;
	pins = (ioapic_read(1) >> 16 & 0xff) + 1;
	for (uint32_t i = 0; i < pins; i++) {
		ioapic_write(IOAPIC_REDIR(i), REDIR_MASKED);
	}
}

/**
 * Routes the manifest's lines to the boot CPU, and opens them; all others stay
 * masked: a device that nobody owns cannot interrupt. The GSI is the input's number:
 * this is the I/O APIC whose first input is GSI 0. One that it does not have is a
 * panic. Boot CPU, partitions exist, none runs; interrupts are on, and held back
 * here, as a line that is open uses the two registers when it comes.
 */
void irq_init(void)
{
	const struct boot_partition *c = partition_host()->config;
	uint32_t i;

	cpu_cli();
	for (i = 0; ioapic && i < c->irq_count; i++) {
		if (line(i)->gsi >= pins) {
			panic("partition %s: interrupt %u is not at the I/O "
			      "APIC (%u inputs)", c->name, line(i)->gsi, pins);
		}
		/* the destination before the unmask */
		ioapic_write(IOAPIC_REDIR(line(i)->gsi) + 1,
			     iommu_ioapic((uint8_t)(VECTOR_IRQ_BASE + i),
					  line(i)->flags & BOOT_IRQ_LEVEL));
		line_mask(i, false);
	}
	line_count = i;
	cpu_sti();
}

/**
 * An interrupt taken by this CPU, from a guest or while idle. Ends what the
 * CPU was doing: events may have made another vCPU runnable. A vector that
 * belongs to nothing is only acknowledged. Interrupts off.
 */
void irq_handle(uint32_t vector)
{
	uint32_t i = vector - VECTOR_IRQ_BASE;

	/* no EOI for this one [SDM3 "Spurious Interrupt"] */
	if (vector == VECTOR_SPURIOUS) {
		return;
	}
	if (vector >= VECTOR_IRQ_BASE && i < line_count) {
		/* Before the EOI, or the device would interrupt again at
		 * once. As an edge's it forgets Remote IRR, to which no EOI
		 * comes where an IOMMU has lost on the way that it is a
		 * level, as emulated AMD-Vi does. */
		if (line(i)->flags & BOOT_IRQ_LEVEL) {
			ioapic_write(IOAPIC_REDIR(line(i)->gsi), REDIR_MASKED);
			line_mask(i, true);
		}
		partition_event(partition_host(), HC_EVENT_IRQ(i));
	}
	if (vector - VECTOR_MSI_BASE < HC_LINES - HC_LINE_MSI) {
		partition_event(partition_host(), HC_EVENT_IRQ(
			HC_LINE_MSI + vector - VECTOR_MSI_BASE));
	}
	if (vector == VECTOR_CHECK) {
		check_cpu();
	}
	/* one-shot: it is off now */
	if (vector == VECTOR_TIMER) {
		this_cpu()->timer_armed = 0;
	}
	/* VECTOR_TIMER and VECTOR_KICK only end what the CPU was doing */
	this_cpu()->resched = 1;
	lapic_eoi();
}

/**
 * HC_IRQ: masks or unmasks a line of the host partition's, the caller. HC_EINVAL:
 * unmask is neither 0 nor 1; HC_ENOENT: there is no such line. On the boot CPU,
 * where it is pinned.
 */
hv_status_t irq_control(uint64_t i, uint64_t unmask)
{
	if (unmask > 1) {
		return HC_EINVAL;
	}
	if (i >= line_count) {
		return HC_ENOENT;
	}
	line_mask((uint32_t)i, !unmask);
	return HC_OK;
}
