/* SPDX-License-Identifier: MIT */
/*
 * What PCI functions have besides configuration space, memory and ports, and what
 * of it the host partition gets: of its own functions all that overlaps nothing
 * else, less the pages that hold an MSI-X table, for who writes there interrupts
 * whom he likes. The registers are the device's word and not trusted. [PCI 3.0
 * "Base Addresses", "MSI-X Capability and Table Structure"]
 */
#include "proto/host_info.h"
#include "pci.h"

#define PAGE		4096ull
#define PAGE_2M		0x200000ull
#define BAR_64		0x4u
#define BRIDGE_BARS	2u
#define IO_FIRST	0x1000u		/* below are the board's own devices */
#define IO_END		0x10000u
#define NOWHERE		0xffffu
#define ISA_LINES	16u
#define IDE_NATIVE_1	0x100u		/* programming interface, in register 8 */
#define IDE_NATIVE_2	0x400u

/* One BAR: its length is the value of the lowest bit that can be written. One
 * that the firmware has given no place, or of a length that cannot be, is none,
 * nor is the last with an upper half. */
static void bar_read(uint32_t address, uint32_t reg, bool last, struct boot_pci_bar *bar)
{
	uint32_t low = pci_config_read(address, reg), high = 0, mask_high = 0;
	uint32_t fixed = (low & 1) != 0 ? 0x3 : 0xf, mask;
	bool is_64 = (low & (BAR_64 | 1)) == BAR_64, wide = is_64 && !last;

	pci_config_write(address, reg, UINT32_MAX);
	mask = pci_config_read(address, reg) & ~fixed;
	pci_config_write(address, reg, low);
	if (wide) {
		high = pci_config_read(address, reg + 4);
		pci_config_write(address, reg + 4, UINT32_MAX);
		mask_high = pci_config_read(address, reg + 4);
		pci_config_write(address, reg + 4, high);
	}
	/* the upper half of a port's may be wired to 0 */
	mask |= (low & 1) != 0 ? 0xffff0000 : 0;
	bar->flags = (low & 1) != 0 ? BOOT_BAR_IO : (wide ? BOOT_BAR_64 : 0);
	bar->base = (uint64_t)high << 32 | (low & ~fixed);
	bar->size = wide ? -((uint64_t)mask_high << 32 | mask) : (uint32_t)-mask;
	if (wide != is_64 || bar->base == 0 || (bar->size & (bar->size - 1)) != 0) {
		bar->size = 0;
	}
}

/* Where the table of messages is, and the pages that nobody is given for it. A
 * function whose word on that makes no sense sends none by it. */
static void msix_read(struct pci_machine *m, struct boot_pci *is)
{
	uint32_t control = pci_config_read(is->address, is->msix) >> 16;
	uint32_t count = (control & 0x7ff) + 1, at[2];
	uint64_t size[2] = { count * 16, (count + 63) / 64 * 8 };
	bool sound = true;

	for (unsigned i = 0; i < 2; i++) {
		const struct boot_pci_bar *bar;

		at[i] = pci_config_read(is->address, is->msix + 4 + 4 * i);
		bar = &is->bar[(at[i] & 7) < BOOT_PCI_BARS ? at[i] & 7 : 0];
		sound = sound && (at[i] & 7) < BOOT_PCI_BARS && (bar->flags & BOOT_BAR_IO) == 0 &&
			(at[i] & ~7u) + size[i] <= bar->size;
	}
	if (!sound || m->hidden_count + 2 > 2 * BOOT_MAX_PCI) {
		is->msix = 0;
		return;
	}
	is->msix_count = (uint16_t)count;
	is->msix_table = is->bar[at[0] & 7].base + (at[0] & ~7u);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t base = is->bar[at[i] & 7].base + (at[i] & ~7u);

		m->hidden[m->hidden_count++] = (struct pci_range) {
			base & ~(PAGE - 1), (base + size[i] + PAGE - 1) & ~(PAGE - 1) };
	}
}

/* Is the console there? */
static bool has_console(const struct pci_machine *m, const struct boot_pci_bar *bar)
{
	return (bar->flags & BOOT_BAR_IO) ==
	       (m->console.kind == BOOT_UART_PORTS ? BOOT_BAR_IO : 0) &&
	       m->console.base - bar->base < bar->size;
}

/**
 * Reads the BARs of all functions, but for the machine's own bridges to its
 * processors: while a length is found out the function answers nowhere, so nobody
 * may be using it. One that the console is on is nobody's.
 */
void pci_bars_read(struct pci_machine *m)
{
	for (unsigned i = 0; i < m->count; i++) {
		struct pci_function *f = &m->function[i];
		struct boot_pci *is = &f->is;
		unsigned bars = f->header == 0 ? BOOT_PCI_BARS : f->header == 1 ? BRIDGE_BARS : 0;
		uint32_t command = pci_config_read(is->address, PCI_COMMAND) & 0xffff;

		if (is->class >> 16 == PCI_CLASS_HOST_BRIDGE) {
			continue;
		}
		pci_config_write(is->address, PCI_COMMAND,
				 command & ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
		for (unsigned b = 0; b < bars; b++) {
			bar_read(is->address, PCI_BAR + 4 * b, b + 1 == bars, &is->bar[b]);
			f->wanted = f->wanted && !has_console(m, &is->bar[b]);
			b += (is->bar[b].flags & BOOT_BAR_64) != 0;
		}
		pci_config_write(is->address, PCI_COMMAND, command);
		if (f->wanted && is->msix != 0) {
			msix_read(m, is);
		}
	}
}

static bool overlap(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end)
{
	return a < b_end && b < a_end;
}

/* Is [base, end), memory or ports, nobody else's? */
static bool range_free(const struct pci_machine *m, const struct boot_info *info, uint64_t base,
		       uint64_t end, uint32_t io)
{
	for (unsigned i = 0; i < m->count; i++) {
		const struct pci_function *f = &m->function[i];

		for (unsigned b = 0; b < BOOT_PCI_BARS && !f->wanted; b++) {
			const struct boot_pci_bar *bar = &f->is.bar[b];

			if ((bar->flags & BOOT_BAR_IO) == io &&
			    overlap(base, end, bar->base, bar->base + bar->size)) {
				return false;
			}
		}
	}
	for (unsigned i = 0; i < m->taken_count && io == 0; i++) {
		if (overlap(base, end, m->taken[i].base, m->taken[i].end)) {
			return false;
		}
	}
	for (uint32_t i = 1; i < info->partition_count && io != 0; i++) {
		const struct boot_partition *p = &info->partitions[i];

		for (uint32_t k = 0; k < p->port_count; k++) {
			if (p->ports[k].policy == BOOT_PORT_NATIVE &&
			    overlap(base, end, p->ports[k].first, p->ports[k].last + 1ull)) {
				return false;
			}
		}
	}
	return true;
}

/* Adds ports; false: another partition has them, or there is no room. */
static bool ports_give(const struct pci_machine *m, struct boot_info *info, uint64_t first,
		       uint64_t size)
{
	struct boot_partition *p = &info->partitions[0];

	if (first + size > IO_END || !range_free(m, info, first, first + size, BOOT_BAR_IO) ||
	    p->port_count == BOOT_MAX_PORTS) {
		return false;
	}
	p->ports[p->port_count++] = (struct boot_port) {
		.first = (uint16_t)first, .last = (uint16_t)(first + size - 1),
		.policy = BOOT_PORT_NATIVE };
	return true;
}

/* The end of what can be shown from at on; at itself moves behind what cannot. */
static uint64_t shown_until(const struct pci_machine *m, uint64_t *at, uint64_t end)
{
	for (unsigned i = 0; i < m->hidden_count; i++) {
		if (m->hidden[i].base <= *at && *at < m->hidden[i].end) {
			*at = m->hidden[i].end;
			return *at;
		}
		if (m->hidden[i].base > *at && m->hidden[i].base < end) {
			end = m->hidden[i].base;
		}
	}
	return end;
}

/* The whole pages of a BAR become device memory; false: they may not, or there is
 * no room, and nothing has been added. */
static bool memory_give(struct pci_machine *m, struct boot_info *info, struct boot_pci_bar *bar)
{
	struct boot_partition *p = &info->partitions[0];
	uint64_t base = bar->base & ~(PAGE - 1), end = bar->base + bar->size;
	uint64_t align = bar->size < PAGE_2M ? PAGE : PAGE_2M, gpa, until;
	uint32_t before = p->mmio_count;

	/* no sum wraps: a BAR ends where it cannot be addressed */
	if (bar->size > m->address_end || bar->base > m->address_end - bar->size) {
		return false;
	}
	end = (end + PAGE - 1) & ~(PAGE - 1);
	gpa = (m->next_gpa + align - 1) & ~(align - 1);
	if (gpa + (end - base) > HOST_BAR_GPA + HOST_BAR_SIZE ||
	    memmap_overlaps(m->map, base, end) || !range_free(m, info, base, end, 0)) {
		return false;
	}
	for (uint64_t at = base; at < end; at = until) {
		uint64_t from = at;

		until = shown_until(m, &at, end);
		if (at != from) {
			continue;
		}
		if (p->mmio_count == BOOT_MAX_MMIO) {
			p->mmio_count = before;
			return false;
		}
		p->mmio[p->mmio_count++] = (struct boot_region) {
			.gpa = gpa + (at - base), .hpa = at, .size = until - at,
			.flags = BOOT_MAP_WRITE | BOOT_MAP_UNCACHED };
	}
	bar->gpa = gpa + (bar->base - base);
	m->next_gpa = gpa + (end - base);
	return true;
}

/* The host partition's line of that input, or the place for a new one; BOOT_MAX_IRQS:
 * there is none. */
static uint32_t line_find(const struct boot_partition *p, uint32_t gsi)
{
	uint32_t line = 0;

	while (line < p->irq_count && p->irqs[line].gsi != gsi) {
		line++;
	}
	return line;
}

/* 1 + that line; 0: it is none, or of another kind. */
static uint8_t line_give(struct boot_partition *p, uint32_t gsi, uint32_t flags)
{
	uint32_t line = line_find(p, gsi);

	if (line == BOOT_MAX_IRQS) {
		return 0;
	}
	if (line == p->irq_count) {
		p->irqs[p->irq_count++] = (struct boot_irq) { .gsi = gsi, .flags = flags };
	}
	return (p->irqs[line].flags & BOOT_IRQ_LEVEL) == flags ? (uint8_t)(line + 1) : 0;
}

/* An IDE channel that works as the ISA device of old: its ports, and its interrupt
 * as a line of the host partition's; 0: it cannot have them. [PCI IDE Controller
 * Specification "Compatibility and Native-PCI Mode"] */
static uint8_t ide_give(const struct pci_machine *m, struct boot_info *info, uint32_t command,
			uint32_t control, uint32_t gsi)
{
	struct boot_partition *p = &info->partitions[0];

	if (p->port_count + 2 > BOOT_MAX_PORTS || line_find(p, gsi) == BOOT_MAX_IRQS ||
	    !ports_give(m, info, command, 8) || !ports_give(m, info, control, 1)) {
		return 0;
	}
	return line_give(p, gsi, 0);
}

/* The line of a function that sends no messages: the input that the firmware has
 * chosen for it at the controllers of old, which the I/O APIC has under the same
 * number. [PCI 3.0 "Interrupt Line"] */
static uint8_t intx_give(struct boot_info *info, const struct boot_pci *is)
{
	uint32_t reg = pci_config_read(is->address, PCI_INTERRUPT), gsi = reg & 0xff;

	if ((reg & PCI_INTERRUPT_PIN) == 0 || gsi == 0 || gsi >= ISA_LINES) {
		return 0;
	}
	return line_give(&info->partitions[0], gsi, BOOT_IRQ_LEVEL);
}

/* A place in boot_info for function i and the bridges above that have none yet;
 * false: there is no room for all. */
static bool place(struct pci_machine *m, struct boot_info *info, unsigned i)
{
	unsigned missing = 0, at;

	for (at = i; at != BOOT_PCI_ROOT; at = m->function[at].is.parent) {
		missing += m->function[at].place == NOWHERE;
	}
	if (missing > BOOT_MAX_PCI - info->pci_count) {
		return false;
	}
	for (at = i; at != BOOT_PCI_ROOT; at = m->function[at].is.parent) {
		struct pci_function *f = &m->function[at];

		if (f->place == NOWHERE) {
			f->place = (uint16_t)info->pci_count++;
		}
	}
	return true;
}

/* What the function at that place of boot_info brings with it. */
static void function_give(struct pci_machine *m, struct boot_info *info, struct boot_pci *is)
{
	is->flags |= BOOT_PCI_OWNED;
	for (unsigned b = 0; b < BOOT_PCI_BARS; b++) {
		struct boot_pci_bar *bar = &is->bar[b];

		if (bar->size == 0) {
			continue;
		}
		if ((bar->flags & BOOT_BAR_IO) != 0 ? bar->base < IO_FIRST ||
		    !ports_give(m, info, bar->base, bar->size) : !memory_give(m, info, bar)) {
			/* no message is written where it must not be, either */
			if (is->msix_table - bar->base < bar->size) {
				is->msix = is->msix_count = 0;
			}
			bar->size = 0;
			if (m->refused++ == 0) {
				m->refused_address = is->address;
				m->refused_bar = b;
			}
		}
	}
	if (is->class >> 16 == PCI_CLASS_IDE) {
		is->irq[0] = is->class & IDE_NATIVE_1 ? 0 : ide_give(m, info, 0x1f0, 0x3f6, 14);
		is->irq[1] = is->class & IDE_NATIVE_2 ? 0 : ide_give(m, info, 0x170, 0x376, 15);
	} else if (is->msi == 0 && is->msix == 0) {
		is->irq[0] = intx_give(info, is);
	}
}

/**
 * Gives the host partition, which is partition 0 of *info, the functions that are
 * wanted for it, with all that they need, and describes them in *info; their BARs
 * have been read. Of more functions than can be told apart it gives none.
 */
void pci_give(struct pci_machine *m, struct boot_info *info)
{
	m->next_gpa = HOST_BAR_GPA;
	for (unsigned i = 0; i < m->count; i++) {
		m->function[i].place = NOWHERE;
	}
	for (unsigned i = 0; i < m->count; i++) {
		m->function[i].wanted = m->function[i].wanted && !m->too_many && place(m, info, i);
	}
	for (unsigned i = 0; i < m->count; i++) {
		const struct pci_function *f = &m->function[i];

		if (f->place != NOWHERE) {
			info->pci[f->place] = f->is;
			info->pci[f->place].parent = f->is.parent == BOOT_PCI_ROOT ? BOOT_PCI_ROOT :
						     m->function[f->is.parent].place;
		}
	}
	for (unsigned i = 0; i < m->count; i++) {
		if (m->function[i].wanted) {
			function_give(m, info, &info->pci[m->function[i].place]);
		}
	}
}
