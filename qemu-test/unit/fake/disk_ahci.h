/* SPDX-License-Identifier: MIT */
/* An AHCI controller [AHCI 1.3.1] with a disk at port 2, and how they can misbehave. */
#ifndef FAKE_DISK_AHCI_H
#define FAKE_DISK_AHCI_H

#include "disk_fixture.h"
#include "drivers/ahci.h"

#define REGS	((volatile void *)0x1000)
#define SIZE	0x300u			/* four ports */

/* The controller, and the disk behind port 2. */
extern struct fake_ahci {
	uint32_t ghc, is, cap, cap2, bohc;
	unsigned bohc_delay;
	uint16_t identify[256];
	unsigned sector_size, commands[256], resets;
	uint64_t wear[64];		/* its log; 0: it has none */
	bool dropped;			/* after an error: nothing is done */
	unsigned busy;			/* after a link reset: ms */
	uint8_t last_device;
	/* How it misbehaves. */
	bool wear_hangs;
	bool reverse, hangs, engine_stuck, short_read, keeps_ci;
	unsigned hang_next;
	int error_at;
	bool interrupt;
} dev;

extern struct port {
	uint32_t clb, fb, is, ie, cmd, tfd, sig, ssts, sctl, serr, sact, ci;
} ports[4];

void cause(struct port *p, uint32_t bits);
bool fake_step(void);
void set_text(uint16_t *words, const char *text, unsigned count);
void make(unsigned sector_size);

#endif
