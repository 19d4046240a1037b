/* SPDX-License-Identifier: MIT */
/* The one instruction form that is looked at: see x86/mmio.c. */
#ifndef ISTHMUS_MMIO_H
#define ISTHMUS_MMIO_H

#include <types.h>

struct mmio_mov {
	bool write, has_imm;
	uint32_t gpr;		/* register number */
	uint32_t imm;
	uint32_t length;	/* of the instruction, bytes */
};

bool mmio_decode(const uint8_t *bytes, uint32_t len, struct mmio_mov *out);

#endif
