/* SPDX-License-Identifier: MIT */
/* What an ATA disk says of itself, and what it can be asked for; for both kinds
 * of host controllers. */
#ifndef ISTHMUS_ATA_IDENTIFY_H
#define ISTHMUS_ATA_IDENTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/disk.h"

/* Commands [ATA/ATAPI-6 "Command Descriptions"; ACS-3 for trim and NCQ]. */
#define ATA_DATA_SET_MANAGEMENT		0x06u	/* features 1: trim */
#define ATA_READ_DMA_EXT		0x25u
#define ATA_READ_LOG_EXT		0x2fu
#define ATA_WRITE_DMA_EXT		0x35u
#define ATA_WRITE_DMA_FUA_EXT		0x3du
#define ATA_READ_FPDMA_QUEUED		0x60u
#define ATA_WRITE_FPDMA_QUEUED		0x61u
#define ATA_READ_DMA			0xc8u
#define ATA_WRITE_DMA			0xcau
#define ATA_FLUSH_CACHE			0xe7u
#define ATA_FLUSH_CACHE_EXT		0xeau
#define ATA_IDENTIFY_DEVICE		0xecu

/* Status. */
#define ATA_BSY		0x80u
#define ATA_DRDY	0x40u
#define ATA_DF		0x20u
#define ATA_DRQ		0x08u
#define ATA_ERR		0x01u

#define ATA_DEVICE_LBA	0x40u
#define ATA_FUA		0x80u		/* in "device", queued */

#define ATA_TRIM_BYTES	512u		/* of one request: 64 ranges */

struct ata_identify {
	char model[41], serial[21];
	uint64_t sectors;
	uint32_t sector_size;
	bool lba48, flush, flush_ext, fua, trim, rotational;
	bool logs;			/* it may have one of its wear */
	unsigned queue;			/* of NCQ; 0: none */
};

/* The registers of a command. */
struct ata_command {
	uint8_t command, device;
	uint16_t features, count;
	uint64_t lba;
	bool ext;			/* they are of two bytes */
};

/* From the 256 words of IDENTIFY DEVICE; returns why it cannot be used, or
 * NULL. */
const char *ata_identify(const uint16_t *words, struct ata_identify *id);
/* Into disk->dev at the first start; later compares: false, it is another. */
bool ata_identify_apply(struct disk *disk, const struct ata_identify *id);
/* The command for a sector of its log that tells how worn it is, if it does, which is
 * worth asking once; and what that says, in per cent of its life: -1, it does not. */
#define ATA_WEAR_MS	1000u		/* for its answer */
bool ata_wears(const struct ata_identify *id);
struct ata_command ata_wear_command(void);
int ata_wear(const uint64_t *page);
/* The command for a request, or for its next piece; trim's ranges go to trim.
 * Not queued. Sets cmd->piece. */
void ata_command(const struct ata_identify *id, struct disk_cmd *cmd,
		 uint64_t *trim, struct ata_command *command);

#endif
