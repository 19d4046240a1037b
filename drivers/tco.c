/* SPDX-License-Identifier: MIT */
/*
 * The watchdog of Intel's chipsets, from ICH9 to the PCHs of series 9, which have
 * it at the same place: the second time that its timer ends without having been
 * loaded anew, the machine is reset. The loader's: it starts it. [ICH9 data sheet
 * "TCO I/O Registers", "GCS-General Control and Status Register"]
 */
#include <stddef.h>

#include "drivers/portio.h"
#include "drivers/tco.h"

#define LPC		(31u << 3)	/* the bridge: bus 0, device 31 */
#define LPC_CLASS	0x0601u
#define LPC_PMBASE	0x40
#define LPC_ACPI_CNTL	0x44		/* bit 7: PMBASE is decoded */
#define LPC_RCBA	0xf0		/* bit 0: it is decoded */
#define RCBA_GCS	0x3410
#define GCS_NO_REBOOT	0x20u
/* From PMBASE on. */
#define TCO		0x60
#define TCO_RLD		0x00
#define TCO1_STS	0x04
#define TCO1_TIMEOUT	0x08u
#define TCO2_STS	0x06
#define TCO2_SECOND	0x02u		/* it has reset the machine */
#define TCO1_CNT	0x08
#define TCO1_HALT	0x800u
#define TCO_TMR		0x12
#define TICKS		20u		/* of 0.6 s */

/* Device ids, from and to: ICH9, ICH10, series 5 to 9. */
static const uint16_t known[][2] = {
	{ 0x2910, 0x291f }, { 0x3a10, 0x3a1f }, { 0x3b00, 0x3b1f }, { 0x1c40, 0x1c5f },
	{ 0x1e40, 0x1e5f }, { 0x8c40, 0x8c5f }, { 0x8cc0, 0x8cdf },
};

/* The port of its first register; 0: the machine has none that is known. */
static uint16_t base(tco_config config)
{
	uint32_t id = config(LPC, 0), device = id >> 16;
	bool found = false;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		found |= device >= known[i][0] && device <= known[i][1];
	}
	if (!found || (id & 0xffff) != 0x8086 || config(LPC, 8) >> 16 != LPC_CLASS ||
	    (config(LPC, LPC_ACPI_CNTL) & 0x80) == 0) {
		return 0;
	}
	return (uint16_t)((config(LPC, LPC_PMBASE) & 0xff80) + TCO);
}

/** See tco.h. */
bool tco_fired(tco_config config)
{
	uint16_t port = base(config);

	return port != 0 && (port_in16(port + TCO2_STS) & TCO2_SECOND) != 0;
}

/**
 * Starts it: from now on a write of 1 to the port that is returned (16 bits) holds it
 * off for 24 seconds. 0: there is none, or the board forbids it to reset.
 */
uint16_t tco_start(tco_config config)
{
	uint16_t port = base(config);
	uint32_t rcba = port != 0 ? config(LPC, LPC_RCBA) : 0;
	volatile uint32_t *gcs = (void *)((uint64_t)(rcba & ~0x3fffu) + RCBA_GCS);

	if ((rcba & 1) == 0) {
		return 0;
	}
	*gcs &= ~GCS_NO_REBOOT;
	if ((*gcs & GCS_NO_REBOOT) != 0) {
		return 0;
	}
	port_out16(port + TCO1_CNT, port_in16(port + TCO1_CNT) | TCO1_HALT);
	port_out16(port + TCO1_STS, TCO1_TIMEOUT);
	port_out16(port + TCO2_STS, TCO2_SECOND);
	port_out16(port + TCO_TMR, TICKS);
	port_out16(port + TCO_RLD, 1);
	port_out16(port + TCO1_CNT, port_in16(port + TCO1_CNT) & ~TCO1_HALT);
	return port + TCO_RLD;
}
