/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration mechanism 1. A BAR shows its size after all ones were
 * written and its one fixed address otherwise: the hypervisor maps the channel
 * at that address whatever a driver writes.
 *
 * Pure: all state is in *pci. Every access is Linux's and may be anything; an
 * offset is below 256 by construction, and what is not writable is constant.
 * The command register and MSI-X control only remember: the devices answer in
 * any state, and what holds interrupts back is IntControl and the table's mask
 * bits (docs/channel.md). [PCI 3.0 "Software Generation of Configuration
 * Transactions", "Base Addresses", "MSI-X Capability and Table Structures"]
 */
#include <string.h>

#include "abi/channel.h"
#include "proto/channel_device.h"
#include "host-bridge/guest/pci_model.h"

#define ADDRESS_ENABLE		0x80000000u
#define PORT_DATA		0xcfcu

/* Offsets in a type 0 header. CFG_MSIX is where we put our one capability. */
#define CFG_COMMAND		0x04
#define CFG_STATUS		0x06
#define CFG_CLASS		0x08	/* revision, then class code */
#define CFG_BAR			0x10
#define CFG_BAR_END		0x28
#define CFG_SUBSYSTEM		0x2c
#define CFG_CAP_POINTER		0x34
#define CFG_INTERRUPT_LINE	0x3c
#define CFG_MSIX		0x40

#define COMMAND_IO_MEM_MASTER	0x0007u
#define COMMAND_INTX_DISABLE	0x0400u
#define STATUS_CAP_LIST		0x0010u
#define CAP_ID_MSIX		0x11u
#define MSIX_ENABLE_AND_MASK	0xc000u
#define BAR_IO			0x1u
#define BAR_MEM64_PREFETCH	0xcu
#define MSIX_BAR		1u

/* The bridge only has to be one: Linux trusts mechanism 1 when it finds the
 * class. Identity: the generic host bridge of QEMU's Red Hat range. */
#define BRIDGE_IDENTITY		0x00081b36u
#define BRIDGE_CLASS		0x06000000u

static void put(uint8_t *at, uint32_t value, unsigned bytes)
{
	memcpy(at, &value, bytes);
}

/** Devices as at power-on: the host bridge as device 0, nothing else. */
void pci_model_reset(struct pci_model *pci)
{
	struct pci_function *bridge = &pci->function[0];

	memset(pci, 0, sizeof(*pci));
	put(bridge->value, BRIDGE_IDENTITY, 4);
	put(bridge->value + CFG_CLASS, BRIDGE_CLASS, 4);
	pci->count = 1;
}

/* A BAR with a fixed address; mask has the bits a driver can size: all above
 * the size, which is a power of two. */
static void set_bar(struct pci_function *f, unsigned i, uint32_t address,
		    uint32_t mask)
{
	f->bar[i] = address;
	f->bar_mask[i] = mask;
	put(f->value + CFG_BAR + i * 4, address, 4);
}

/**
 * The next channel's device; its number, ports and addresses follow from the
 * order of calls, as the hypervisor computes them from the channel's number.
 * region_size (bytes) is rounded up to a power of two. A channel that does not
 * lead to the host (host false) is of another class: what is said on it is its
 * ends' matter, and no driver of ours is to be found for it. Beyond
 * CHANNEL_GUEST_MAX: ignored.
 */
void pci_model_add_channel(struct pci_model *pci, uint32_t region_size,
			   bool host)
{
	unsigned channel = pci->count - 1;
	uint32_t bar_size = CHANNEL_PAGE;
	struct pci_function *f;

	if (channel >= CHANNEL_GUEST_MAX) {
		return;
	}
	while (bar_size < region_size) {
		bar_size *= 2;
	}
	f = &pci->function[pci->count++];
	put(f->value, CHANNEL_PCI_VENDOR | (uint32_t)CHANNEL_PCI_DEVICE << 16, 4);
	put(f->value + CFG_CLASS, (host ? CHANNEL_PCI_CLASS :
				   CHANNEL_PCI_CLASS_OTHER) << 8, 4);
	put(f->value + CFG_SUBSYSTEM,
	    CHANNEL_PCI_VENDOR | (uint32_t)CHANNEL_PCI_DEVICE << 16, 4);
	put(f->value + CFG_STATUS, STATUS_CAP_LIST, 2);
	f->value[CFG_CAP_POINTER] = CFG_MSIX;
	put(f->writable + CFG_COMMAND,
	    COMMAND_IO_MEM_MASTER | COMMAND_INTX_DISABLE, 2);
	/* Scratch for the system; the pin register stays 0, no INTx. */
	f->writable[CFG_INTERRUPT_LINE] = 0xff;
	set_bar(f, 0, (CHANNEL_GUEST_IO_PORT + channel * CHANNEL_IO_SIZE) |
		BAR_IO, ~(CHANNEL_IO_SIZE - 1));
	set_bar(f, MSIX_BAR, CHANNEL_GUEST_MSIX_GPA + channel * CHANNEL_PAGE,
		~(CHANNEL_PAGE - 1));
	set_bar(f, 2, (CHANNEL_GUEST_REGION_GPA + channel * 0x04000000u) |
		BAR_MEM64_PREFETCH, ~(bar_size - 1));
	set_bar(f, 3, 0, ~0u);		/* upper half of BAR 2 */
	put(f->value + CFG_MSIX, CAP_ID_MSIX, 2);
	/* The table's size, less one. */
	put(f->value + CFG_MSIX + 2, CHANNEL_MSIX_VECTORS - 1, 2);
	put(f->writable + CFG_MSIX + 2, MSIX_ENABLE_AND_MASK, 2);
	put(f->value + CFG_MSIX + 4, CHANNEL_MSIX_TABLE_OFFSET | MSIX_BAR, 4);
	put(f->value + CFG_MSIX + 8, CHANNEL_MSIX_PBA_OFFSET | MSIX_BAR, 4);
}

/* A byte that Linux can write, other than of a BAR, which has one address
 * whatever is written: the next from *offset on. */
static bool next_writable(const struct pci_function *f, unsigned *offset)
{
	while (*offset < sizeof(f->writable) && !f->writable[*offset]) {
		++*offset;
	}
	return *offset < sizeof(f->writable);
}

/** See pci_model.h. */
void pci_model_save(const struct pci_model *pci, uint8_t saved[])
{
	memcpy(saved, &pci->address, 4);
	saved += 4;
	for (unsigned i = 1; i < pci->count; i++) {
		const struct pci_function *f = &pci->function[i];

		for (unsigned at = 0; next_writable(f, &at); at++) {
			*saved++ = f->value[at];
		}
	}
}

/** See pci_model.h. */
void pci_model_restore(struct pci_model *pci, const uint8_t saved[])
{
	memcpy(&pci->address, saved, 4);
	pci->address &= ~3u;
	saved += 4;
	for (unsigned i = 1; i < pci->count; i++) {
		struct pci_function *f = &pci->function[i];

		for (unsigned at = 0; next_writable(f, &at); at++) {
			f->value[at] = (uint8_t)(
				(f->value[at] & ~f->writable[at]) |
				(*saved++ & f->writable[at]));
		}
	}
}

/* The function the address register selects: bus 0, function 0 only, and not
 * unless the enable bit is set. Else NULL: no device. */
static struct pci_function *selected(struct pci_model *pci)
{
	unsigned device = pci->address >> 11 & 0x1f;
	unsigned other = pci->address & 0x00ff0700;

	if (!(pci->address & ADDRESS_ENABLE) || other != 0 ||
	    device >= pci->count) {
		return NULL;
	}
	return &pci->function[device];
}

/**
 * An input of size 1, 2 or 4 from 0xcf8..0xcff; any port offset and size is
 * safe. All ones where there is nothing: that is how a bus says so. Only a
 * whole dword at 0xcf8 is the address register.
 */
uint32_t pci_model_in(struct pci_model *pci, unsigned port, unsigned size)
{
	struct pci_function *f = selected(pci);
	unsigned offset = (pci->address & 0xfc) + (port & 3);
	uint32_t value = 0;

	if (port == PCI_MODEL_PORT && size == 4) {
		return pci->address;
	}
	if (port < PORT_DATA || !f || (port & 3) + size > 4) {
		return ~0u;
	}
	memcpy(&value, f->value + offset, size);
	return value;
}

/* All ones asks for the size; everything else "sets" the one address. Type bits
 * stay. A BAR that does not exist stays 0. [PCI 3.0 "Base Addresses"] */
static void write_bar(struct pci_function *f, unsigned i, uint32_t value)
{
	uint32_t mask = f->bar_mask[i];
	uint32_t type = f->bar[i] & ~mask;

	put(f->value + CFG_BAR + i * 4,
	    mask && (value & mask) == mask ? mask | type : f->bar[i], 4);
}

/**
 * An output of size 1, 2 or 4 to 0xcf8..0xcff; what is not writable does not
 * change. value's bits above the size are not looked at.
 */
void pci_model_out(struct pci_model *pci, unsigned port, unsigned size,
		   uint32_t value)
{
	struct pci_function *f = selected(pci);
	unsigned offset = (pci->address & 0xfc) + (port & 3);

	if (port == PCI_MODEL_PORT && size == 4) {
		pci->address = value & ~3u;
		return;
	}
	if (port < PORT_DATA || !f || (port & 3) + size > 4) {
		return;
	}
	if (offset >= CFG_BAR && offset < CFG_BAR_END) {
		/* Drivers write BARs whole; less does nothing. */
		if (size == 4) {
			write_bar(f, (offset - CFG_BAR) / 4, value);
		}
		return;
	}
	for (unsigned i = 0; i < size; i++) {
		uint8_t mask = f->writable[offset + i];
		uint8_t byte = (uint8_t)(value >> (8 * i));

		f->value[offset + i] = (uint8_t)(
			(f->value[offset + i] & ~mask) | (byte & mask));
	}
}
