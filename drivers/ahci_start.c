/* SPDX-License-Identifier: MIT */
/*
 * Makes a port of an AHCI controller ready, from whatever state it is in: the
 * firmware gives the controller up, the port's engines stop, its link is reset,
 * and the disk says what it is. All but the first of it again after an error or
 * a hang; the disk must then be the same. [AHCI 1.3.1 "Firmware Specific
 * Initialization", "System Software Specific Initialization"]
 */
#include <errno.h>
#include <string.h>

#include "drivers/ahci_int.h"
#include "host-bridge/dev/dma.h"

#define SIGNATURE_ATA	0x00000101u
#define DET_NONE	0u
#define DET_READY	3u		/* a device, and the link is up */
#define DET_RESET	1u		/* SControl: COMRESET */

/* The firmware may take 2 s [AHCI 1.3.1 "BIOS/OS Handoff"], an engine 500 ms to
 * stop. A device is seen 10 ms after COMRESET if there is one. */
#define OWN_MS		2500u
#define ENGINE_MS	600u
#define NO_DEVICE_MS	100u
#define NO_LINK_MS	1500u

enum step { STEP_OWN, STEP_OWNED, STEP_COMMANDS_OFF, STEP_RECEIVE_OFF,
	    STEP_RESET, STEP_LINK, STEP_BUSY, STEP_IDENTIFY, STEP_WEAR };

static int fail(struct port *port, const char *why)
{
	port->disk.why = why;
	return EIO;
}

static int absent(struct port *port)
{
	port->disk.absent = true;
	return fail(port, "nothing is there");
}

static int next(struct port *port, enum step step, unsigned ms)
{
	disk_step(&port->disk, step, ms);
	return EAGAIN;
}

static void set_address(struct port *port, uint32_t at, const void *what)
{
	uint64_t bus = dma_bus(what);

	port_set(port, at, (uint32_t)bus);
	port_set(port, at + 4, (uint32_t)(bus >> 32));
}

/* [AHCI 1.3.1 "BIOS/OS Handoff Mechanism"] */
static int own(struct port *port)
{
	volatile void *hba = port->ahci->regs.base;

	if (mmio_in32(hba, HBA_CAP2) & CAP2_BOH) {
		mmio_out32(hba, HBA_BOHC,
			   mmio_in32(hba, HBA_BOHC) | BOHC_OOS);
	}
	return next(port, STEP_OWNED, OWN_MS);
}

static int owned(struct port *port)
{
	volatile void *hba = port->ahci->regs.base;

	if (mmio_in32(hba, HBA_CAP2) & CAP2_BOH &&
	    mmio_in32(hba, HBA_BOHC) & BOHC_BOS) {
		return EAGAIN;
	}
	port_set(port, PORT_IE, 0);
	port_set(port, PORT_CMD, port_reg(port, PORT_CMD) & ~CMD_ST);
	return next(port, STEP_COMMANDS_OFF, ENGINE_MS);
}

/* Both engines are off: our memory, and a new link. */
static int reset_link(struct port *port)
{
	if (dma_bus(port->shared) + sizeof(*port->shared) > UINT32_MAX &&
	    !(port->ahci->cap & CAP_S64A)) {
		return fail(port, "it reaches no memory above 4 GiB");
	}
	port->held = port->queued = port->plain = 0;
	memset(port->shared->received, 0, sizeof(port->shared->received));
	set_address(port, PORT_CLB, port->shared->headers);
	set_address(port, PORT_FB, port->shared->received);
	port_set(port, PORT_CMD, port_reg(port, PORT_CMD) | CMD_FRE |
		 CMD_SUD | CMD_POD);
	port_set(port, PORT_SCTL, DET_RESET);
	return next(port, STEP_RESET, DISK_START_MS);
}

/* COMRESET has lasted for a step, more than its 1 ms. */
static int end_reset(struct port *port)
{
	port_set(port, PORT_SCTL, 0);
	port->no_link_deadline = loop_uptime_ms() + NO_DEVICE_MS;
	port->link_deadline = loop_uptime_ms() + NO_LINK_MS;
	return next(port, STEP_LINK, DISK_START_MS);
}

static int link_up(struct port *port)
{
	uint32_t det = port_reg(port, PORT_SSTS) & 15;

	if (det != DET_READY) {
		return loop_uptime_ms() < (det == DET_NONE ?
					   port->no_link_deadline :
					   port->link_deadline) ?
		       EAGAIN : absent(port);
	}
	port_set(port, PORT_SERR, ~0u);
	port_set(port, PORT_IS, ~0u);
	return next(port, STEP_BUSY, DISK_START_MS);
}

/* A sector that the disk has of itself. */
static int ask(struct port *port, const struct ata_command *c, enum step answer)
{
	memset(port->shared->identify, 0, sizeof(port->shared->identify));
	ahci_prd(port, 0, 0, port->shared->identify,
		 sizeof(port->shared->identify));
	ahci_put(port, 0, c, 1u << HEADER_PIECES, false);
	ahci_issue(port, 0, false);
	return next(port, answer, DISK_START_MS);
}

static int ask_what(struct port *port)
{
	struct ata_command c = { .command = ATA_IDENTIFY_DEVICE };

	if (port_reg(port, PORT_TFD) & (ATA_BSY | ATA_DRQ)) {
		return EAGAIN;
	}
	if (port_reg(port, PORT_SIG) != SIGNATURE_ATA) {
		return absent(port);
	}
	port_set(port, PORT_CMD, port_reg(port, PORT_CMD) | CMD_ST);
	return ask(port, &c, STEP_IDENTIFY);
}

static void set_limits(struct port *port)
{
	struct block_dev *dev = &port->disk.dev;
	uint32_t slots = (port->ahci->cap >> 8 & 31) + 1;

	if (!(port->ahci->cap & CAP_SNCQ)) {
		port->id.queue = 0;
	}
	dev->depth = port->id.queue == 0 ? 1 :
		     port->id.queue < slots ? port->id.queue : slots;
	dev->max_sectors = BYTES_MAX / dev->sector_size;
	if (!port->id.lba48) {
		dev->max_sectors = 256;
	}
	dev->max_segs = SEGS_MAX;
}

static int ready(struct port *port)
{
	port_set(port, PORT_IS, ~0u);
	port_set(port, PORT_IE, IS_DHRS | IS_SDBS | IS_ERRORS);
	return 0;
}

/* A disk that does not know that log, or does not answer, is started anew, which
 * ends the command, and is not asked again: it is as good as any. */
static int told_wear(struct port *port)
{
	uint64_t page[64];

	if (port_reg(port, PORT_IS) & IS_ERRORS ||
	    loop_uptime_ms() >= port->wear_deadline) {
		port_set(port, PORT_CMD, port_reg(port, PORT_CMD) & ~CMD_ST);
		return next(port, STEP_COMMANDS_OFF, ENGINE_MS);
	}
	if (port_reg(port, PORT_CI) & 1) {
		return EAGAIN;
	}
	memcpy(page, port->shared->identify, sizeof(page));
	port->disk.wear = ata_wear(page);
	return ready(port);
}

static int identified(struct port *port)
{
	const struct ata_command wear = ata_wear_command();
	uint16_t words[256];
	const char *why;

	if (port_reg(port, PORT_IS) & IS_ERRORS) {
		return fail(port, "it does not say what it is");
	}
	if (port_reg(port, PORT_CI) & 1) {
		return EAGAIN;
	}
	memcpy(words, port->shared->identify, sizeof(words));
	why = ata_identify(words, &port->id);
	if (!why && !ata_identify_apply(&port->disk, &port->id)) {
		why = "it is another disk than before";
	}
	if (why) {
		return fail(port, why);
	}
	set_limits(port);
	if (port->wear_asked || !ata_wears(&port->id)) {
		return ready(port);
	}
	port->wear_asked = true;
	port->wear_deadline = loop_uptime_ms() + ATA_WEAR_MS;
	port_set(port, PORT_IS, ~0u);
	return ask(port, &wear, STEP_WEAR);
}

/** A step of a start. */
int ahci_begin(struct disk *disk)
{
	struct port *port = (struct port *)disk;
	uint32_t cmd = port_reg(port, PORT_CMD);

	switch (disk->step) {
	case STEP_OWN:
		return own(port);
	case STEP_OWNED:
		return owned(port);
	case STEP_COMMANDS_OFF:
		if (cmd & CMD_CR) {
			return EAGAIN;
		}
		port_set(port, PORT_CMD, cmd & ~CMD_FRE);
		return next(port, STEP_RECEIVE_OFF, ENGINE_MS);
	case STEP_RECEIVE_OFF:
		return cmd & CMD_FR ? EAGAIN : reset_link(port);
	case STEP_RESET:
		return end_reset(port);
	case STEP_LINK:
		return link_up(port);
	case STEP_BUSY:
		return ask_what(port);
	case STEP_IDENTIFY:
		return identified(port);
	default:
		return told_wear(port);
	}
}
