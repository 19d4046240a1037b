/* SPDX-License-Identifier: MIT */
/*
 * Controllers that the firmware's system management code may be working with are
 * asked for, in the way that their specifications say, before they are stopped: it
 * would start them again. Each gets its time by the clock and no more; what the
 * device says is not trusted. [xHCI 1.2 "Pre-OS to OS Handoff Synchronization";
 * AHCI 1.3.1 "BIOS/OS Handoff Mechanism"]
 */
#include "io.h"
#include "pci.h"

#define XHCI_HCCPARAMS1		0x10
#define XHCI_LEGACY		1u		/* a capability's id */
#define XHCI_LEGACY_BIOS	(1u << 16)
#define XHCI_LEGACY_OS		(1u << 24)
#define XHCI_LEGACY_CONTROL	4		/* behind it */
#define XHCI_SMI_ENABLES	0xe011u
#define XHCI_SMI_EVENTS		0xe0000000u	/* write 1 to clear */
#define XHCI_MS			1000u
#define XHCI_LIST_MAX		64u
#define XHCI_SIZE		0x40000u	/* xECP reaches so far */

#define AHCI_BAR		5u
#define AHCI_CAP2		0x24
#define AHCI_CAP2_HANDOFF	(1u << 0)
#define AHCI_BOHC		0x28
#define AHCI_BOHC_BIOS		(1u << 0)
#define AHCI_BOHC_OS		(1u << 1)
#define AHCI_BOHC_BUSY		(1u << 4)
#define AHCI_MS			25u
#define AHCI_BUSY_MS		2000u
#define AHCI_SIZE		0x1000u

static uint64_t ticks_per_ms;

static uint32_t get(uint64_t at)
{
	return *(volatile uint32_t *)at;
}

static void put(uint64_t at, uint32_t value)
{
	*(volatile uint32_t *)at = value;
}

/* Until the bit is clear, or for so long. */
static void wait_clear(uint64_t at, uint32_t bit, uint32_t ms)
{
	uint64_t until = rdtsc() + ms * ticks_per_ms;

	while ((get(at) & bit) != 0 && rdtsc() < until) {
		__asm__ volatile("pause");
	}
}

static void xhci_ask(uint64_t base)
{
	uint32_t offset = get(base + XHCI_HCCPARAMS1) >> 16 << 2, head;

	for (unsigned i = 0; i < XHCI_LIST_MAX && offset != 0; i++) {
		if (offset + 2 * XHCI_LEGACY_CONTROL > XHCI_SIZE) {
			return;
		}
		head = get(base + offset);
		if ((head & 0xff) == XHCI_LEGACY) {
			put(base + offset, head | XHCI_LEGACY_OS);
			wait_clear(base + offset, XHCI_LEGACY_BIOS, XHCI_MS);
			/* no interrupts to the firmware, whether it has let go
			 * or not */
			put(base + offset + XHCI_LEGACY_CONTROL,
			    (get(base + offset + XHCI_LEGACY_CONTROL) & ~XHCI_SMI_ENABLES) |
			    XHCI_SMI_EVENTS);
			return;
		}
		if ((head >> 8 & 0xff) == 0) {
			return;
		}
		offset += (head >> 8 & 0xff) << 2;
	}
}

static void ahci_ask(uint64_t base)
{
	if ((get(base + AHCI_CAP2) & AHCI_CAP2_HANDOFF) == 0) {
		return;
	}
	put(base + AHCI_BOHC, get(base + AHCI_BOHC) | AHCI_BOHC_OS);
	wait_clear(base + AHCI_BOHC, AHCI_BOHC_BIOS, AHCI_MS);
	/* it has commands to end */
	if ((get(base + AHCI_BOHC) & AHCI_BOHC_BUSY) != 0) {
		wait_clear(base + AHCI_BOHC, AHCI_BOHC_BIOS, AHCI_BUSY_MS);
	}
}

/**
 * Asks the firmware for all controllers of these kinds that answer. What lies
 * beyond mapped_end our page tables do not reach, and it stays as it is.
 */
void pci_handoff(const struct pci_machine *m, uint64_t mapped_end, uint64_t tsc_hz)
{
	ticks_per_ms = tsc_hz / 1000;
	for (unsigned i = 0; i < m->count; i++) {
		const struct boot_pci *is = &m->function[i].is;
		bool ahci = is->class >> 8 == PCI_CLASS_AHCI;
		uint32_t reg = PCI_BAR + (ahci ? 4 * AHCI_BAR : 0);
		uint64_t base;

		if ((!ahci && is->class >> 8 != PCI_CLASS_XHCI) || m->function[i].header != 0 ||
		    !(pci_config_read(is->address, PCI_COMMAND) & PCI_COMMAND_MEMORY)) {
			continue;
		}
		base = pci_config_read(is->address, reg);
		if ((base & 0x6) == 0x4 && !ahci) {
			base |= (uint64_t)pci_config_read(is->address, reg + 4) << 32;
		}
		base &= ~0xfull;
		if (base == 0 || base > mapped_end - XHCI_SIZE ||
		    memmap_overlaps(m->map, base, base + (ahci ? AHCI_SIZE : XHCI_SIZE))) {
			continue;
		}
		if (ahci) {
			ahci_ask(base);
		} else {
			xhci_ask(base);
		}
	}
}
