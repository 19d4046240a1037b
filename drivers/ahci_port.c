/* SPDX-License-Identifier: MIT */
/*
 * The AHCI driver's commands. A slot is a tag. With NCQ many are under way; what
 * cannot be queued (flush, trim) waits until none is, and is waited for.
 *
 * At an error a queueing disk drops all that it has and does not say in the
 * registers whose the error was [AHCI 1.3.1 "Native Command Queuing Error
 * Recovery"]: the port is started anew, and what was under way is given to it
 * again, one by one and not queued; then the error is the one's whose it is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/ahci_int.h"
#include "host-bridge/dev/dma.h"

/** See ahci_int.h. No piece is as long as an entry may be, 4 MiB. */
void ahci_prd(struct port *port, unsigned slot, unsigned n, const void *data,
	      uint32_t len)
{
	port->shared->tables[slot].prds[n] = (struct prd) {
		.address = dma_bus(data), .last = len - 1,
	};
}

/** See ahci_int.h. [SATA "Register - Host to Device"] */
void ahci_put(struct port *port, unsigned slot, const struct ata_command *c,
	      uint32_t flags, bool queued)
{
	struct table *table = &port->shared->tables[slot];
	struct header *header = &port->shared->headers[slot];
	uint16_t count = queued ? (uint16_t)(slot << 3) : c->count;
	uint16_t features = queued ? c->count : c->features;
	uint8_t device = c->ext ? c->device :
			 (uint8_t)(c->device | (c->lba >> 24 & 0xf));
	uint64_t high = c->ext ? c->lba >> 24 : 0;

	memset(table->fis, 0, sizeof(table->fis));
	table->fis[0] = FIS_H2D;
	table->fis[1] = FIS_COMMAND;
	table->fis[2] = c->command;
	table->fis[3] = (uint8_t)features;
	table->fis[4] = (uint8_t)c->lba;
	table->fis[5] = (uint8_t)(c->lba >> 8);
	table->fis[6] = (uint8_t)(c->lba >> 16);
	table->fis[7] = device;
	table->fis[8] = (uint8_t)high;
	table->fis[9] = (uint8_t)(high >> 8);
	table->fis[10] = (uint8_t)(high >> 16);
	table->fis[11] = (uint8_t)(features >> 8);
	table->fis[12] = (uint8_t)count;
	table->fis[13] = c->ext ? (uint8_t)(count >> 8) : 0;
	header->flags = HEADER_FIS | flags;
	header->bytes = 0;
	header->table = dma_bus(table);
}

/** [AHCI 1.3.1 "System Software Rules", "Building a Command"] */
void ahci_issue(struct port *port, unsigned slot, bool queued)
{
	if (queued) {
		port_set(port, PORT_SACT, 1u << slot);
	}
	port_set(port, PORT_CI, 1u << slot);
}

static bool queueable(struct port *port, unsigned tag)
{
	return port->id.queue > 0 && !(port->alone >> tag & 1) &&
	       port->disk.cmds[tag].req->op <= BLOCK_WRITE;
}

static void execute(struct port *port, unsigned tag, bool queued)
{
	struct disk_cmd *cmd = &port->disk.cmds[tag];
	const struct block_req *req = cmd->req;
	uint64_t *trim = port->shared->trims[tag];
	struct ata_command c;
	uint32_t n = 0;

	disk_again(&port->disk, tag);
	ata_command(&port->id, cmd, trim, &c);
	if (queued) {
		c.command = req->op == BLOCK_READ ? ATA_READ_FPDMA_QUEUED :
			    ATA_WRITE_FPDMA_QUEUED;
		c.ext = true;
		/* After an error it is not queued: a disk must have FUA
		 * there, too. */
		if (req->op == BLOCK_WRITE && req->flags & BLOCK_FUA &&
		    port->id.fua) {
			c.device |= ATA_FUA;
		}
	}
	if (req->op == BLOCK_DISCARD) {
		ahci_prd(port, tag, n++, trim, ATA_TRIM_BYTES);
	}
	for (unsigned i = 0; req->op <= BLOCK_WRITE && i < req->seg_count;
	     i++) {
		ahci_prd(port, tag, n++, req->segs[i].data, req->segs[i].len);
	}
	ahci_put(port, tag, &c, n << HEADER_PIECES |
		 (req->op == BLOCK_READ ? 0 : HEADER_WRITE), queued);
	port->held &= ~(1u << tag);
	*(queued ? &port->queued : &port->plain) |= 1u << tag;
	ahci_issue(port, tag, queued);
}

/* What may begin now. One that is not queued goes before all that came behind it,
 * or it would wait for ever. */
static void begin_held(struct port *port)
{
	uint32_t held = port->held;

	if (port->plain) {
		return;
	}
	for (unsigned tag = 0; tag < SLOTS; tag++) {
		if (held >> tag & 1 && !queueable(port, tag)) {
			if (!port->queued) {
				execute(port, tag, false);
			}
			return;
		}
	}
	for (unsigned tag = 0; tag < SLOTS; tag++) {
		if (held >> tag & 1) {
			execute(port, tag, true);
		}
	}
}

/* Its time begins when the controller has it: what it waits for is bounded by
 * limits of its own. */
static void give(struct disk *disk, unsigned tag)
{
	struct port *port = (struct port *)disk;

	port->held |= 1u << tag;
	disk->cmds[tag].deadline = UINT64_MAX;
	begin_held(port);
}

static void end(struct port *port, unsigned tag, int error)
{
	uint32_t bit = 1u << tag;

	port->queued &= ~bit;
	port->plain &= ~bit;
	port->alone &= ~bit;
	disk_end(&port->disk, tag, error);
}

/* Of one that was not queued the controller says how much it has moved. */
static int verdict(struct port *port, unsigned tag)
{
	const struct block_req *req = port->disk.cmds[tag].req;

	if (port->plain >> tag & 1 && req->op == BLOCK_READ &&
	    port->shared->headers[tag].bytes != disk_bytes(&port->disk, req)) {
		port->disk.nonsense++;
		return EIO;
	}
	return 0;
}

/* The rest is under way no more: the port is started anew. */
static void on_error(struct port *port)
{
	if (port->plain) {
		end(port, (unsigned)__builtin_ctz(port->plain), EIO);
	}
	port->alone |= port->queued;
}

/* What both registers show to be done, of what is under way. Causes first: what
 * is done after that interrupts again. */
static bool look(struct disk *disk)
{
	struct port *port = (struct port *)disk;
	uint32_t causes = port_reg(port, PORT_IS);
	uint32_t busy, done;

	port_set(port, PORT_IS, causes);
	mmio_out32(port->ahci->regs.base, HBA_IS, 1u << port->number);
	busy = port_reg(port, PORT_CI) | port_reg(port, PORT_SACT);
	done = (port->queued | port->plain) & ~busy;
	if (causes & IS_ERRORS) {
		done &= ~port->plain;
	}
	for (; done; done &= done - 1) {
		unsigned tag = (unsigned)__builtin_ctz(done);

		end(port, tag, verdict(port, tag));
	}
	if (causes & IS_ERRORS) {
		on_error(port);
		return false;
	}
	begin_held(port);
	return true;
}

/* Both engines of the port are to stand still [AHCI 1.3.1 "Port x Command and
 * Status"]; if they do not, the controller loses the bus. */
static bool stop(struct disk *disk, bool at_last)
{
	struct port *port = (struct port *)disk;
	uint32_t cmd = port_reg(port, PORT_CMD);

	port_set(port, PORT_IE, 0);
	if (cmd & CMD_CR) {
		port_set(port, PORT_CMD, cmd & ~CMD_ST);
	} else {
		port_set(port, PORT_CMD, cmd & ~(CMD_ST | CMD_FRE));
	}
	cmd = port_reg(port, PORT_CMD);
	if (cmd & (CMD_CR | CMD_FR) && at_last) {
		port->ahci->regs.cut(port->ahci->regs.arg);
		return true;
	}
	return !(cmd & (CMD_CR | CMD_FR));
}

/** See ahci.h. A port that nobody knows is not looked at again: its bit is
 * cleared. */
void ahci_interrupt(struct ahci *ahci)
{
	uint32_t ports = mmio_in32(ahci->regs.base, HBA_IS);

	for (; ports; ports &= ports - 1) {
		struct port *port = ahci->ports[__builtin_ctz(ports)];

		if (port && port->disk.state == DISK_READY) {
			disk_interrupt(&port->disk);
		} else {
			mmio_out32(ahci->regs.base, HBA_IS, ports & -ports);
		}
	}
}

struct disk *ahci_disk(struct ahci *ahci, unsigned port)
{
	return ahci->ports[port] ? &ahci->ports[port]->disk : NULL;
}

static bool add_port(struct ahci *ahci, unsigned number)
{
	static const struct disk_ops ops = {
		.begin = ahci_begin, .give = give, .look = look, .stop = stop,
	};
	struct port *port = calloc(1, sizeof(*port));

	if (!port) {
		return false;
	}
	port->shared = dma_alloc(sizeof(*port->shared), 1024);
	if (!port->shared) {
		free(port);
		return false;
	}
	port->ahci = ahci;
	port->number = number;
	disk_init(&port->disk, &ops);
	ahci->ports[number] = port;
	return true;
}

/** See ahci.h. Ports beyond the registers that it has are not there. */
struct ahci *ahci_new(const struct ahci_regs *regs)
{
	struct ahci *ahci = calloc(1, sizeof(*ahci));
	uint32_t implemented;

	if (!ahci) {
		return NULL;
	}
	ahci->regs = *regs;
	mmio_out32(regs->base, HBA_GHC, GHC_AE);
	ahci->cap = mmio_in32(regs->base, HBA_CAP);
	implemented = mmio_in32(regs->base, HBA_PI);
	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		if (implemented >> i & 1 && PORT(i + 1) <= regs->size &&
		    !add_port(ahci, i)) {
			break;
		}
	}
	mmio_out32(regs->base, HBA_GHC, GHC_AE | GHC_IE);
	return ahci;
}
