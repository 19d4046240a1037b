/* SPDX-License-Identifier: MIT */
/*
 * IDENTIFY DEVICE and the choice of commands. Pure. What a disk says of itself
 * is believed as far as it is possible; a size that it does not have makes its
 * own commands fail.
 */
#include <string.h>

#include "drivers/ata_identify.h"

/* Words of IDENTIFY DEVICE. */
#define WORD_GENERAL		0
#define WORD_SERIAL		10
#define WORD_MODEL		27
#define WORD_CAPABILITIES	49
#define WORD_SECTORS_28		60
#define WORD_QUEUE_DEPTH	75
#define WORD_SATA		76
#define WORD_COMMANDS_2		83
#define WORD_COMMANDS_3		84
#define WORD_SECTORS_48		100
#define WORD_SECTOR_SIZE	106
#define WORD_SECTOR_WORDS	117
#define WORD_TRIM		169
#define WORD_ROTATION		217
#define WORD_INTEGRITY		255

#define LBA28_END	(1ull << 28)
#define LBA48_END	(1ull << 48)
#define TRIM_RANGE	65535u		/* sectors */

/* [ACS-3 "Device Statistics log", "Solid State Device Statistics"] */
#define LOG_STATISTICS	0x04u
#define PAGE_SOLID	0x07u
#define PAGE_OF(head)	((head) >> 16 & 0xff)
#define STATISTIC_VALID	(3ull << 62)	/* it has it, and knows it */

/* Some words are valid only if bit 15 is 0 and bit 14 is 1. */
static bool valid(uint16_t word)
{
	return (word & 0xc000) == 0x4000;
}

static bool bit(uint16_t word, unsigned n)
{
	return word >> n & 1;
}

/* Two characters a word, the first one in the upper byte. */
static void text(char *to, size_t size, const uint16_t *words, size_t count)
{
	char plain[40];

	for (size_t i = 0; i < count; i++) {
		plain[2 * i] = (char)(words[i] >> 8);
		plain[2 * i + 1] = (char)words[i];
	}
	disk_text(to, size, plain, 2 * count);
}

/* [ATA/ATAPI-6 "Word 255: Integrity word"] */
static bool intact(const uint16_t *words)
{
	uint8_t sum = 0;

	if ((words[WORD_INTEGRITY] & 0xff) != 0xa5) {
		return true;
	}
	for (unsigned i = 0; i < 256; i++) {
		sum = (uint8_t)(sum + words[i] + (words[i] >> 8));
	}
	return sum == 0;
}

static uint64_t number(const uint16_t *words, unsigned count)
{
	uint64_t value = 0;

	while (count-- > 0) {
		value = value << 16 | words[count];
	}
	return value;
}

static uint32_t sector_size(const uint16_t *words)
{
	if (valid(words[WORD_SECTOR_SIZE]) && bit(words[WORD_SECTOR_SIZE], 12)) {
		uint64_t size = number(words + WORD_SECTOR_WORDS, 2) * 2;

		return size == 512 || size == 4096 ? (uint32_t)size : 0;
	}
	return 512;
}

/** See ata_identify.h. */
const char *ata_identify(const uint16_t *words, struct ata_identify *id)
{
	uint16_t commands = valid(words[WORD_COMMANDS_2]) ?
			    words[WORD_COMMANDS_2] : 0;

	memset(id, 0, sizeof(*id));
	if (!intact(words)) {
		return "what it says of itself is damaged";
	}
	if (bit(words[WORD_GENERAL], 15) ||
	    !bit(words[WORD_CAPABILITIES], 9) ||
	    !bit(words[WORD_CAPABILITIES], 8)) {
		return "it has no LBA, or no DMA";
	}
	text(id->model, sizeof(id->model), words + WORD_MODEL, 20);
	text(id->serial, sizeof(id->serial), words + WORD_SERIAL, 10);
	id->lba48 = bit(commands, 10);
	id->flush = bit(commands, 12) || bit(commands, 13);
	id->flush_ext = bit(commands, 13) && id->lba48;
	id->fua = id->lba48 && valid(words[WORD_COMMANDS_3]) &&
		  bit(words[WORD_COMMANDS_3], 6);
	id->sectors = id->lba48 ? number(words + WORD_SECTORS_48, 4) :
		      number(words + WORD_SECTORS_28, 2);
	if (id->sectors > (id->lba48 ? LBA48_END : LBA28_END)) {
		id->sectors = id->lba48 ? LBA48_END : LBA28_END;
	}
	id->sector_size = sector_size(words);
	id->trim = id->lba48 && bit(words[WORD_TRIM], 0);
	id->rotational = words[WORD_ROTATION] > 0x400 &&
			 words[WORD_ROTATION] != 0xffff;
	id->logs = id->lba48 && valid(words[WORD_COMMANDS_3]) &&
		   bit(words[WORD_COMMANDS_3], 5);
	/* Bit 8 of the word: NCQ; 0 and all ones: it has no such word. */
	if (words[WORD_SATA] != 0xffff && bit(words[WORD_SATA], 8) &&
	    id->lba48) {
		id->queue = (words[WORD_QUEUE_DEPTH] & 31u) + 1;
	}
	return id->sector_size == 0 ?
	       "its sectors are neither of 512 nor 4096 bytes" : NULL;
}

/** See ata_identify.h. Limits of a controller are not set here. */
bool ata_identify_apply(struct disk *disk, const struct ata_identify *id)
{
	struct block_dev *dev = &disk->dev;
	char serial[sizeof(dev->serial)];

	disk_text(serial, sizeof(serial), id->serial, strlen(id->serial));
	if (dev->sector_size) {
		return dev->sector_size == id->sector_size &&
		       dev->sectors == id->sectors &&
		       strcmp(dev->serial, serial) == 0;
	}
	dev->sector_size = id->sector_size;
	dev->sectors = id->sectors;
	strcpy(dev->serial, serial);
	disk_text(dev->model, sizeof(dev->model), id->model, strlen(id->model));
	dev->features = (id->flush ? BLOCK_HAS_FLUSH : 0) |
			(id->fua ? BLOCK_HAS_FUA : 0) |
			(id->trim ? BLOCK_HAS_DISCARD : 0) |
			(id->rotational ? BLOCK_ROTATIONAL : 0);
	return true;
}

/** See ata_identify.h. */
bool ata_wears(const struct ata_identify *id)
{
	return id->logs && !id->rotational;
}

/** See ata_identify.h. [ACS-3 "READ LOG EXT"] */
struct ata_command ata_wear_command(void)
{
	return (struct ata_command) {
		.command = ATA_READ_LOG_EXT, .count = 1, .ext = true,
		.lba = PAGE_SOLID << 8 | LOG_STATISTICS,
	};
}

/** See ata_identify.h. */
int ata_wear(const uint64_t *page)
{
	return PAGE_OF(page[0]) == PAGE_SOLID &&
	       (page[1] & STATISTIC_VALID) == STATISTIC_VALID ?
	       (int)(page[1] & 0xff) : -1;
}

/* [ACS-3 "DATA SET MANAGEMENT command", "Trim"]: up to 64 ranges, each 48 bits
 * of address and 16 of length. */
static void trim_command(struct disk_cmd *cmd, uint64_t *trim,
			 struct ata_command *command)
{
	uint64_t at = cmd->req->sector + cmd->done;
	uint32_t left = cmd->piece;

	memset(trim, 0, ATA_TRIM_BYTES);
	for (unsigned i = 0; i < ATA_TRIM_BYTES / 8 && left > 0; i++) {
		uint32_t part = left < TRIM_RANGE ? left : TRIM_RANGE;

		trim[i] = at | (uint64_t)part << 48;
		at += part;
		left -= part;
	}
	cmd->piece -= left;
	command->command = ATA_DATA_SET_MANAGEMENT;
	command->features = 1;
	command->count = 1;
	command->ext = true;
}

/** See ata_identify.h. Of commands with addresses of 28 bits it makes use where
 * they reach, for all disks have them. */
void ata_command(const struct ata_identify *id, struct disk_cmd *cmd,
		 uint64_t *trim, struct ata_command *command)
{
	const struct block_req *req = cmd->req;
	bool fua = req->flags & BLOCK_FUA && id->fua;

	memset(command, 0, sizeof(*command));
	command->device = ATA_DEVICE_LBA;
	if (req->op == BLOCK_FLUSH) {
		command->command = id->flush_ext ? ATA_FLUSH_CACHE_EXT :
				   ATA_FLUSH_CACHE;
		command->ext = id->flush_ext;
		return;
	}
	if (req->op == BLOCK_DISCARD) {
		trim_command(cmd, trim, command);
		return;
	}
	command->lba = req->sector;
	command->count = (uint16_t)req->sectors;
	command->ext = req->sectors > 256 ||
		       req->sector + req->sectors > LBA28_END ||
		       (fua && req->op == BLOCK_WRITE);
	if (req->op == BLOCK_READ) {
		command->command = command->ext ? ATA_READ_DMA_EXT :
				   ATA_READ_DMA;
	} else {
		command->command = !command->ext ? ATA_WRITE_DMA : fua ?
				   ATA_WRITE_DMA_FUA_EXT : ATA_WRITE_DMA_EXT;
	}
}
