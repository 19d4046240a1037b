/* SPDX-License-Identifier: MIT */
/*
 * ATA disks behind a PCI IDE controller in compatibility mode with bus-master
 * DMA (PIIX and what is made like it): two channels, each with its ports, its
 * interrupt (14, 15) and up to two disks, which take turns.
 */
#ifndef ISTHMUS_ATA_H
#define ISTHMUS_ATA_H

#include "drivers/disk.h"

struct ata_ports {
	uint16_t command;		/* 0x1f0, 0x170 */
	uint16_t control;		/* 0x3f6, 0x376 */
	uint16_t bus_master;		/* 8 ports of the function's BAR 4 */
};

struct ata_channel;

/* NULL: no memory. */
struct ata_channel *ata_channel_new(const struct ata_ports *ports);
/* Device 0 or 1. One that is not there has failed and is "absent". */
struct disk *ata_disk(struct ata_channel *channel, unsigned device);
/* The channel's interrupt. */
void ata_interrupt(struct ata_channel *channel);

#endif
