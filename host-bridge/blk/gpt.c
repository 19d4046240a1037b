/* SPDX-License-Identifier: MIT */
/*
 * Partition tables. What is on a disk may be anything: each field is checked
 * before it is used, and a table with a part that is not where parts may be, or
 * where another one is, is not used at all: to write to one part of such a disk
 * could harm another.
 *
 * A GPT has two copies; the second one is used where the first is damaged.
 * Nothing is ever repaired. Of an MBR the four primary parts are read.
 * [UEFI 2.10 "GUID Partition Table (GPT) Disk Layout"]
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "host-bridge/blk/gpt.h"
#include "host-bridge/dev/dma.h"
#include "host-bridge/loop/loop.h"

#define MBR_ENTRIES		446	/* 4 of 16 bytes */
#define MBR_SIGNATURE		510
#define MBR_PROTECTIVE		0xeeu
#define MBR_EXTENDED(type)	((type) == 0x05 || (type) == 0x0f || \
				 (type) == 0x85)

#define HEADER_MIN		92u
#define HEADER_REVISION		0x00010000u
#define ENTRY_MIN		128u
#define ENTRY_MAX		4096u
#define ENTRIES_MAX		(256u << 10)	/* bytes of a table */
#define TABLE_BYTES		(ENTRIES_MAX + 4096)	/* in whole sectors */
#define NAME_UNITS		36u

struct header {
	uint64_t here, other;		/* sectors of this copy, the other */
	uint64_t first, last;		/* where parts may be */
	uint64_t entries;		/* sector */
	uint32_t count, size, crc;	/* of entries */
};

/* A disk, and memory for what is read of it. */
struct source {
	struct block_dev *disk;
	uint8_t *data;
};

static uint64_t number(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;

	while (bytes-- > 0) {
		value = value << 8 | at[bytes];
	}
	return value;
}

/* CRC-32 of ISO 3309, four bits at a time; begins with 0. */
static uint32_t crc32(uint32_t crc, const uint8_t *data, size_t len)
{
	uint32_t table[16] = { 0 };

	for (uint32_t i = 1; i < 16; i++) {
		uint32_t value = i;

		for (unsigned bit = 0; bit < 4; bit++) {
			value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
		}
		table[i] = value;
	}
	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc = table[(crc ^ data[i]) & 15] ^ crc >> 4;
		crc = table[(crc ^ data[i] >> 4) & 15] ^ crc >> 4;
	}
	return ~crc;
}

static void on_done(struct block_req *req)
{
	req->priv = req;
}

/* Waits: drivers end each request in bounded time. */
static int read_piece(struct source *source, uint64_t sector, uint32_t sectors,
		      uint8_t *data)
{
	struct block_seg seg = { data, sectors * source->disk->sector_size };
	struct block_req req = {
		.op = BLOCK_READ, .sector = sector, .sectors = sectors,
		.segs = &seg, .seg_count = 1, .done = on_done,
	};

	block_submit(source->disk, &req);
	while (req.priv != &req) {
		loop_step(block_due(source->disk) ? 0 : LOOP_FOREVER);
	}
	return req.error;
}

/* Sectors into source->data. */
static int read_sectors(struct source *source, uint64_t sector,
			uint32_t sectors)
{
	uint8_t *data = source->data;

	while (sectors > 0) {
		uint32_t piece = sectors < source->disk->max_sectors ?
				 sectors : source->disk->max_sectors;
		int error = read_piece(source, sector, piece, data);

		if (error != 0) {
			return error;
		}
		sector += piece;
		sectors -= piece;
		data += piece * source->disk->sector_size;
	}
	return 0;
}

static uint32_t sectors_of(const struct source *source, uint64_t bytes)
{
	uint32_t size = source->disk->sector_size;

	return (uint32_t)((bytes + size - 1) / size);
}

/* The fields of a header that say where what is. The entries lie between the
 * header and the parts, on this copy's side of them. */
static bool header_fits(const struct source *source, const struct header *h)
{
	uint64_t len = sectors_of(source, (uint64_t)h->count * h->size);
	uint64_t end = source->disk->sectors;

	if (h->size < ENTRY_MIN || h->size > ENTRY_MAX ||
	    h->size & (h->size - 1) || h->count == 0 ||
	    h->count > ENTRIES_MAX / h->size) {
		return false;
	}
	if (h->first > h->last || h->last >= end || h->other >= end ||
	    h->entries >= end || len > end - h->entries) {
		return false;
	}
	if (h->here < h->first) {
		return h->entries > h->here && h->entries + len <= h->first;
	}
	return h->here > h->last && h->entries > h->last &&
	       h->entries + len <= h->here;
}

/* The header in source->data, which was read from that sector. */
static bool header_read(const struct source *source, uint64_t sector,
			struct header *h)
{
	uint8_t *at = source->data;
	uint32_t len = (uint32_t)number(at + 12, 4);
	uint32_t crc = (uint32_t)number(at + 16, 4);

	if (memcmp(at, "EFI PART", 8) != 0 ||
	    number(at + 8, 4) != HEADER_REVISION || len < HEADER_MIN ||
	    len > source->disk->sector_size) {
		return false;
	}
	memset(at + 16, 0, 4);
	*h = (struct header) {
		.here = number(at + 24, 8), .other = number(at + 32, 8),
		.first = number(at + 40, 8), .last = number(at + 48, 8),
		.entries = number(at + 72, 8),
		.count = (uint32_t)number(at + 80, 4),
		.size = (uint32_t)number(at + 84, 4),
		.crc = (uint32_t)number(at + 88, 4),
	};
	return crc32(0, at, len) == crc && h->here == sector &&
	       header_fits(source, h);
}

/* Names are of 16-bit units. */
static void name_read(const uint8_t *at, char *name)
{
	unsigned n = 0;

	for (; n < NAME_UNITS; n++) {
		uint64_t unit = number(at + 2 * n, 2);

		if (unit == 0) {
			break;
		}
		name[n] = unit >= ' ' && unit < 127 ? (char)unit : '?';
	}
	name[n] = 0;
}

/* Adds a part that is where it may be; false: it is not. */
static bool add(struct gpt *gpt, const struct gpt_part *part, uint64_t first,
		uint64_t last)
{
	if (part->sectors == 0 || part->first < first || part->first > last ||
	    part->sectors - 1 > last - part->first) {
		return false;
	}
	for (unsigned i = 0; i < gpt->count; i++) {
		const struct gpt_part *p = &gpt->parts[i];

		if (part->first < p->first + p->sectors &&
		    p->first < part->first + part->sectors) {
			return false;
		}
	}
	if (gpt->count == GPT_PARTS) {
		gpt->left_out++;
	} else {
		gpt->parts[gpt->count++] = *part;
	}
	return true;
}

/* The entries in source->data. */
static bool entries_read(const struct source *source, const struct header *h,
			 struct gpt *gpt)
{
	static const uint8_t unused[16];

	gpt->count = gpt->left_out = 0;
	for (uint32_t i = 0; i < h->count; i++) {
		const uint8_t *at = source->data + (size_t)i * h->size;
		struct gpt_part part = { .number = i + 1,
					 .first = number(at + 32, 8) };
		uint64_t last = number(at + 40, 8);

		if (memcmp(at, unused, 16) == 0) {
			continue;
		}
		memcpy(part.type, at, 16);
		memcpy(part.id, at + 16, 16);
		name_read(at + 56, part.name);
		/* 0 .. all ones is no size, and refused by add(). */
		part.sectors = last < part.first ? 0 : last - part.first + 1;
		if (!add(gpt, &part, h->first, h->last)) {
			return false;
		}
	}
	return true;
}

/* One copy: 0; EINVAL: damaged; EIO. */
static int copy_read(struct source *source, uint64_t sector,
		     struct header *h, struct gpt *gpt)
{
	int error = read_sectors(source, sector, 1);
	size_t len;

	if (error != 0) {
		return error;
	}
	if (!header_read(source, sector, h)) {
		return EINVAL;
	}
	len = (size_t)h->count * h->size;
	error = read_sectors(source, h->entries, sectors_of(source, len));
	if (error != 0) {
		return error;
	}
	return crc32(0, source->data, len) == h->crc &&
	       entries_read(source, h, gpt) ? 0 : EINVAL;
}

/* The second copy is in the last sector, whatever the first one says: a damaged
 * one says nothing. A good first one is looked for there, too. */
static int copies_read(struct source *source, struct gpt *gpt)
{
	static struct gpt second;
	struct header h;
	uint64_t last = source->disk->sectors - 1;
	int error = copy_read(source, 1, &h, gpt);

	gpt->kind = "GPT";
	if (error == 0) {
		if (copy_read(source, h.other, &h, &second) != 0) {
			gpt->note = "the second copy of its table is damaged";
		} else if (second.count != gpt->count ||
			   memcmp(second.parts, gpt->parts, gpt->count *
				  sizeof(*gpt->parts)) != 0) {
			gpt->note = "the copies of its table differ; the "
				    "first is used";
		}
		return 0;
	}
	error = copy_read(source, last, &h, gpt);
	if (error == 0) {
		gpt->note = "the first copy of its table is damaged; the "
			    "second is used";
		return 0;
	}
	gpt->count = gpt->left_out = 0;
	gpt->note = "both copies of its table are damaged";
	return error;
}

/* An MBR, or what looks like one: a file system's first sector may have its
 * signature. */
static int mbr_read(const struct source *source, struct gpt *gpt)
{
	const uint8_t *at = source->data + MBR_ENTRIES;
	unsigned n = 0;

	gpt->kind = "MBR";
	for (unsigned i = 0; i < 4; i++, at += 16) {
		struct gpt_part part = {
			.number = i + 1, .first = number(at + 8, 4),
			.sectors = number(at + 12, 4),
		};

		if (at[4] == 0) {
			continue;
		}
		if (at[0] & 0x7f || !add(gpt, &part, 1,
					 source->disk->sectors - 1)) {
			gpt->count = 0;
			gpt->note = "its table makes no sense";
			return EINVAL;
		}
		gpt->parts[gpt->count - 1].type[0] = at[4];
	}
	/* What is a place for others, which nobody reads here, is no part. */
	for (unsigned i = 0; i < gpt->count; i++) {
		if (MBR_EXTENDED(gpt->parts[i].type[0])) {
			gpt->note = "its logical parts are left out";
		} else {
			gpt->parts[n++] = gpt->parts[i];
		}
	}
	gpt->count = n;
	return n > 0 ? 0 : ENOENT;
}

static bool protective(const uint8_t *mbr)
{
	for (unsigned i = 0; i < 4; i++) {
		if (mbr[MBR_ENTRIES + 16 * i + 4] == MBR_PROTECTIVE) {
			return true;
		}
	}
	return false;
}

static int table_read(struct source *source, struct gpt *gpt)
{
	int error = read_sectors(source, 0, 1);

	if (error != 0) {
		gpt->note = "it cannot be read";
		return error;
	}
	if (source->data[MBR_SIGNATURE] != 0x55 ||
	    source->data[MBR_SIGNATURE + 1] != 0xaa) {
		return ENOENT;
	}
	return protective(source->data) ? copies_read(source, gpt) :
	       mbr_read(source, gpt);
}

/**
 * Reads the disk's table: 0, with parts and perhaps a note for the user; ENOENT:
 * it has none; EINVAL: it has one that is of no use, and the note says why; EIO;
 * ENOMEM. At top level: it waits.
 */
int gpt_read(struct block_dev *disk, struct gpt *gpt)
{
	struct source source = { disk, NULL };
	int error;

	memset(gpt, 0, sizeof(*gpt));
	if (disk->sectors < 3) {
		return ENOENT;
	}
	source.data = dma_alloc(TABLE_BYTES, 4096);
	if (!source.data) {
		return ENOMEM;
	}
	error = table_read(&source, gpt);
	dma_free(source.data, TABLE_BYTES);
	return error;
}
