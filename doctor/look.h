/* SPDX-License-Identifier: MIT */
/*
 * What reads the machine for the checks. look_cpu.c runs on any CPU; the others on
 * the boot CPU, with the firmware.
 */
#ifndef ISTHMUS_DOCTOR_LOOK_H
#define ISTHMUS_DOCTOR_LOOK_H

#include "boot/memmap.h"
#include "facts.h"

/* look_cpu.c */
void look_cpu(struct cpu_facts *c);
void look_processor(struct facts *f);

/* look_board.c */
void look_board(struct facts *f, uint64_t rsdp, const struct memmap *map);
void look_devices(struct facts *f);

/* look_firmware.c */
void look_firmware(struct facts *f);
void look_memory(struct facts *f, struct memmap *map);
void look_time(struct facts *f);
uint64_t look_rsdp(void);

/* look_all.c */
void look_all_cpus(struct facts *f, uint8_t *pages);

#endif
