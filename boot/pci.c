/* SPDX-License-Identifier: MIT */
/*
 * The functions of the machine's PCI buses: found, described, stopped. What they
 * say of themselves is not trusted: numbers of buses may form circles, lists of
 * capabilities may have no end. No hardware is touched but through
 * pci_config_*(), so that the build machine can test it. [PCI 3.0 "PCI
 * Configuration"]
 */
#include <string.h>

#include "pci.h"

#define BUSES		256u
#define HEADER_KIND	0x7fu		/* of the byte */
#define LIST_MAX	48u		/* as many fit between 0x40 and 0xff */
#define LIST_FIRST	0x40u

/* [PCIe "PCI Express Capabilities Register"] */
enum {
	EXPRESS_ROOT_PORT = 4, EXPRESS_UPSTREAM = 5, EXPRESS_DOWNSTREAM = 6,
};

enum {
	CAP_MSI = 0x05, CAP_EXPRESS = 0x10, CAP_MSIX = 0x11,
};

/* The capabilities that matter, the first of a kind; a list that leads in a
 * circle ends by the count. */
static void capabilities_read(struct pci_function *f)
{
	struct boot_pci *is = &f->is;
	uint32_t at;

	if ((pci_config_read(is->address, PCI_COMMAND) & PCI_STATUS_LIST) == 0) {
		return;
	}
	at = pci_config_read(is->address, PCI_CAPABILITIES) & 0xfc;
	for (unsigned i = 0; i < LIST_MAX && at >= LIST_FIRST; i++) {
		uint32_t head = pci_config_read(is->address, at);
		uint8_t id = head & 0xff;
		uint16_t *to = id == CAP_MSI ? &is->msi : id == CAP_MSIX ? &is->msix :
			       id == CAP_EXPRESS ? &is->express : NULL;

		if (to != NULL && *to == 0) {
			*to = (uint16_t)at;
		}
		at = head >> 8 & 0xfc;
	}
}

/* Nobody owns a bridge, which decides what reaches others, nor an IOMMU. */
static bool is_wanted(const struct pci_function *f, const struct manifest *manifest)
{
	bool wanted = false;

	for (uint32_t i = 0; i < manifest->pci_rule_count; i++) {
		wanted |= pci_rule_is_for(&manifest->pci_rule[i], &f->is);
	}
	return wanted && f->header == 0 && f->is.class >> 24 != PCI_CLASS_BRIDGE &&
	       f->is.class >> 16 != PCI_CLASS_IOMMU;
}

/* Takes bus mastering from a function, and its line, which others may have, too;
 * returns 1 if it was bus master. */
static unsigned stop(uint32_t address)
{
	uint32_t command = pci_config_read(address, PCI_COMMAND) & 0xffff;

	/* zeros leave the status half as it is */
	pci_config_write(address, PCI_COMMAND,
			 (command & ~PCI_COMMAND_MASTER) | PCI_COMMAND_NO_INTX);
	return (command & PCI_COMMAND_MASTER) != 0;
}

/* Notes the function at the address, or stops it at once, if it is one too many;
 * false: nothing is there. */
static bool function_add(struct pci_machine *m, const struct manifest *manifest,
			 uint32_t address)
{
	struct pci_function *f = &m->function[m->count];
	uint32_t id = pci_config_read(address, PCI_ID);

	if ((id & 0xffff) == 0xffff) {
		return false;
	}
	if (m->count == PCI_MAX) {
		m->too_many = true;
		m->stopped += stop(address);
		return true;
	}
	*f = (struct pci_function) { .is = {
		.address = address, .id = id, .parent = BOOT_PCI_ROOT,
		.class = pci_config_read(address, PCI_CLASS) } };
	f->header = pci_config_read(address, PCI_HEADER) >> 16 & HEADER_KIND;
	f->secondary = f->header == 1 ? pci_config_read(address, PCI_BUSES) >> 8 & 0xff : 0;
	f->wanted = is_wanted(f, manifest);
	if (f->header <= 1) {
		capabilities_read(f);
	}
	m->count++;
	return true;
}

/* Whatever bridges say: all buses are looked at. */
static void segment_scan(struct pci_machine *m, const struct manifest *manifest, uint32_t segment,
			 uint32_t bus, uint32_t bus_last)
{
	for (uint32_t a = bus << 8; a < (bus_last + 1) << 8; a++) {
		uint32_t address = segment << 16 | a;
		bool present = function_add(m, manifest, address);

		/* none, or a single function */
		if (a % 8 == 0 && (!present ||
				   !(pci_config_read(address, PCI_HEADER) & PCI_HEADER_MULTI))) {
			a += 7;
		}
	}
}

/* The bridge that leads to the bus of a function. Its own bus must have a lower
 * number, so that nobody is above himself; nonsense makes a root bus of it. */
static uint16_t parent_of(const struct pci_machine *m, const struct boot_pci *is)
{
	uint32_t bus = is->address >> 8;

	for (unsigned i = 0; i < m->count; i++) {
		const struct pci_function *f = &m->function[i];

		if (f->header == 1 && f->is.address >> 16 == is->address >> 16 &&
		    f->secondary == (bus & 0xff) && f->is.address >> 8 < bus) {
			return (uint16_t)i;
		}
	}
	return BOOT_PCI_ROOT;
}

/* A bridge to conventional PCI, or from it, whose functions all come as one to an
 * IOMMU: as the bridge, or as the first one of its bus. [PCIe to PCI/PCI-X Bridge
 * "Requester ID"] */
static bool is_conventional(const struct pci_function *f)
{
	uint32_t type = pci_config_read(f->is.address, f->is.express) >> 20 & 0xf;

	return f->is.express == 0 || (type != EXPRESS_ROOT_PORT && type != EXPRESS_UPSTREAM &&
				      type != EXPRESS_DOWNSTREAM);
}

/* Where there is an IOMMU nobody gets one of several functions that it cannot tell
 * apart: what one may reach the others would. */
static void shared_refuse(struct pci_machine *m)
{
	for (unsigned i = 0; i < m->count; i++) {
		struct pci_function *f = &m->function[i];
		uint32_t up = f->is.parent;

		while (up != BOOT_PCI_ROOT && !is_conventional(&m->function[up])) {
			up = m->function[up].is.parent;
		}
		if (f->wanted && up != BOOT_PCI_ROOT) {
			f->wanted = false;
			if (m->shared++ == 0) {
				m->shared_address = f->is.address;
				m->shared_bridge = m->function[up].is.address;
			}
		}
	}
}

/**
 * Finds all functions, by the windows of *info, and marks those that the manifest
 * gives to the host partition. Behind which IOMMUs they are *info tells, too. *m is
 * zeroed, but for map and address_end.
 */
void pci_scan(struct pci_machine *m, const struct boot_info *info,
	      const struct manifest *manifest)
{
	segment_scan(m, manifest, 0, 0, BUSES - 1);
	for (uint32_t i = 0; i < info->ecam_count; i++) {
		const struct boot_ecam *w = &info->ecam[i];

		if (w->segment != 0) {
			segment_scan(m, manifest, w->segment, w->bus_first, w->bus_last);
		}
	}
	for (unsigned i = 0; i < m->count; i++) {
		m->function[i].is.parent = parent_of(m, &m->function[i].is);
	}
	if (info->iommus.unit_count != 0) {
		shared_refuse(m);
	}
}

/**
 * Takes from all functions what reaches memory without a processor, bus mastering
 * and messages that interrupt, and their lines. From bridges too: who starts a device later starts
 * what is between it and memory.
 */
void pci_stop(struct pci_machine *m)
{
	for (unsigned i = 0; i < m->count; i++) {
		const struct boot_pci *is = &m->function[i].is;

		m->stopped += stop(is->address);
		if (is->msi != 0) {
			pci_config_write(is->address, is->msi,
					 pci_config_read(is->address, is->msi) & ~PCI_MSI_ENABLE);
		}
		if (is->msix != 0) {
			pci_config_write(is->address, is->msix,
					 pci_config_read(is->address, is->msix) & ~PCI_MSIX_ENABLE);
		}
	}
}

/** No BAR that overlaps [base, end) is given to anybody: at most PCI_TAKEN_MAX. */
void pci_take(struct pci_machine *m, uint64_t base, uint64_t end)
{
	if (m->taken_count < PCI_TAKEN_MAX) {
		m->taken[m->taken_count++] = (struct pci_range) { base, end };
	}
}
