/* SPDX-License-Identifier: MIT */
/* What the AHCI driver's two files share: ahci_start.c makes a port ready,
 * ahci_port.c gives it requests. */
#ifndef ISTHMUS_AHCI_INT_H
#define ISTHMUS_AHCI_INT_H

#include <assert.h>

#include "drivers/ahci.h"
#include "drivers/ata_identify.h"
#include "drivers/mmio.h"

/* [AHCI 1.3.1 "Generic Host Control"] */
#define HBA_CAP		0x00
#define HBA_GHC		0x04
#define HBA_IS		0x08
#define HBA_PI		0x0c
#define HBA_CAP2	0x24
#define HBA_BOHC	0x28
#define CAP_S64A	(1u << 31)
#define CAP_SNCQ	(1u << 30)
#define GHC_AE		(1u << 31)
#define GHC_IE		(1u << 1)
#define CAP2_BOH	1u
#define BOHC_BOS	1u
#define BOHC_OOS	2u

/* [AHCI 1.3.1 "Port Registers (one set per port)"] */
#define PORT(port)	(0x100u + 0x80u * (port))
#define PORT_CLB	0x00
#define PORT_FB		0x08
#define PORT_IS		0x10
#define PORT_IE		0x14
#define PORT_CMD	0x18
#define PORT_TFD	0x20
#define PORT_SIG	0x24
#define PORT_SSTS	0x28
#define PORT_SCTL	0x2c
#define PORT_SERR	0x30
#define PORT_SACT	0x34
#define PORT_CI		0x38

#define IS_DHRS		(1u << 0)	/* a command's end */
#define IS_SDBS		(1u << 3)	/* of queued ones */
#define IS_INFS		(1u << 26)
#define IS_IFS		(1u << 27)
#define IS_HBDS		(1u << 28)
#define IS_HBFS		(1u << 29)
#define IS_TFES		(1u << 30)	/* an error of the disk's */
#define IS_ERRORS	(IS_IFS | IS_HBDS | IS_HBFS | IS_TFES)

#define CMD_ST		(1u << 0)
#define CMD_SUD		(1u << 1)
#define CMD_POD		(1u << 2)
#define CMD_FRE		(1u << 4)
#define CMD_FR		(1u << 14)
#define CMD_CR		(1u << 15)

#define SLOTS		32u
#define SEGS_MAX	64u
#define BYTES_MAX	(1u << 20)	/* of one request */

#define FIS_H2D		0x27u
#define FIS_COMMAND	0x80u
#define HEADER_FIS	5u		/* its length in words */
#define HEADER_WRITE	(1u << 6)
#define HEADER_PIECES	16		/* shift */

struct header {
	uint32_t flags;			/* entries << 16 | HEADER_* */
	volatile uint32_t bytes;	/* moved, as the controller says */
	uint64_t table;
	uint32_t reserved[4];
};

struct prd {
	uint64_t address;
	uint32_t reserved;
	uint32_t last;			/* byte: length - 1 */
};

struct table {
	uint8_t fis[64], packet[16], reserved[48];
	struct prd prds[SEGS_MAX];
};

/* All that the controller reads and writes for a port, beside the data. */
struct shared {
	struct header headers[SLOTS];
	_Alignas(256) uint8_t received[256];
	_Alignas(128) struct table tables[SLOTS];
	uint64_t trims[SLOTS][ATA_TRIM_BYTES / 8];
	uint16_t identify[256];		/* or a sector of a log */
};

static_assert(sizeof(struct header) == 32 && sizeof(struct prd) == 16 &&
	      sizeof(struct table) % 128 == 0, "AHCI's");

struct port {
	struct disk disk;
	struct ahci *ahci;
	unsigned number;
	struct shared *shared;
	struct ata_identify id;
	uint64_t link_deadline, no_link_deadline;	/* of a start */
	uint64_t wear_deadline;
	bool wear_asked;		/* once only */
	/* Tags. Queued commands and others are never on a port at once. */
	uint32_t held;			/* not yet with the controller */
	uint32_t queued, plain;		/* they are */
	uint32_t alone;			/* are not to be queued: after an error */
};

struct ahci {
	struct ahci_regs regs;
	uint32_t cap;
	struct port *ports[AHCI_PORTS];
};

int ahci_begin(struct disk *disk);
/* Memory for a command's data, its nth piece. */
void ahci_prd(struct port *port, unsigned slot, unsigned n, const void *data,
	      uint32_t len);
/* The command. flags: how many pieces << 16, and HEADER_WRITE; queued: NCQ's,
 * which has its count elsewhere. */
void ahci_put(struct port *port, unsigned slot, const struct ata_command *c,
	      uint32_t flags, bool queued);
void ahci_issue(struct port *port, unsigned slot, bool queued);

static inline uint32_t port_reg(struct port *port, uint32_t at)
{
	return mmio_in32(port->ahci->regs.base, PORT(port->number) + at);
}

static inline void port_set(struct port *port, uint32_t at, uint32_t value)
{
	mmio_out32(port->ahci->regs.base, PORT(port->number) + at, value);
}

#endif
