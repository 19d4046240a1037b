/* SPDX-License-Identifier: MIT */
/* An 82540EM or 82574L as their manuals have them, as far as the driver uses it, and
 * how it can misbehave. */
#ifndef FAKE_NIC_E1000_H
#define FAKE_NIC_E1000_H

#include "nic_fixture.h"
#include "drivers/e1000.h"

#define REGS	((volatile void *)0x1000)

/* The card. What is not 0 at the beginning of a test is set in setup(). */
extern struct fake_e1000 {
	uint32_t regs[E1000_REGS_BYTES / 4];
	uint32_t icr, ims;
	uint8_t mac[6];
	bool link, msix;
	/* The reset leaves registers as they are, as QEMU's does. */
	bool keeps;
	bool eeprom_only;		/* where its address is */
	uint8_t errors, status;		/* of what comes */
} dev;

void e1000_step(void);
bool e1000_arrive(const uint8_t *data, size_t len);
void e1000_link(bool up);
/* A descriptor as the card writes it, the next one. */
bool e1000_write(uint16_t length, uint8_t status, uint8_t errors);

#endif
