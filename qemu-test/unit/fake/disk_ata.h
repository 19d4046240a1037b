/* SPDX-License-Identifier: MIT */
/* A PCI IDE channel with two disks [ATA/ATAPI-6], and how they can misbehave. */
#ifndef FAKE_DISK_ATA_H
#define FAKE_DISK_ATA_H

#include "disk_fixture.h"
#include "drivers/ata.h"

#define COMMAND		0x1f0u
#define CONTROL		0x3f6u
#define BUS_MASTER	0xc040u

extern struct drive {
	bool present, packet;		/* a CD-ROM's signature */
	uint16_t identify[256];
	uint64_t base;			/* where its sectors are in medium */
	unsigned sector_size, commands[256];
	/* How it misbehaves. */
	int error_at, hang_at;
	uint64_t wear[64];		/* that page of its log; 0: none */
	bool wear_hangs;
	bool hangs, short_dma, drq_stays, no_reset, bm_error;
	unsigned hang_next;
} drives[2];

/* The channel. */
extern struct fake_ata {
	uint8_t control, status, selected, device;
	uint16_t features, count;	/* as written last, and before */
	uint16_t lba[3];
	const uint16_t *data;		/* what the data register gives */
	unsigned data_at;
	uint8_t bm_command, bm_status;
	uint32_t prd_table;
	uint8_t command;		/* runs, or 0 */
	unsigned resets, delay;
	bool interrupt, floats;
} ch;

bool fake_step(void);
void set_text(uint16_t *words, const char *text, unsigned count);
void sum(uint16_t *words);
void make(struct drive *d, unsigned sector_size);

#endif
