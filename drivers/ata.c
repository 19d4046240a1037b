/* SPDX-License-Identifier: MIT */
/*
 * The driver of PCI IDE channels. One command at a time is on a channel; it is
 * "holder"'s, and the other disk's waits. What the disks say is read once.
 *
 * Cited: [PIIX3 "IDE Controller Register Description"], [Bus Master IDE], which
 * is the Programming Interface for Bus Master IDE Controller, revision 1.0, and
 * [ATA/ATAPI-6].
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/ata.h"
#include "drivers/ata_identify.h"
#include "drivers/portio.h"
#include "host-bridge/dev/dma.h"

/* Command block. */
#define REG_DATA	0
#define REG_FEATURES	1
#define REG_COUNT	2
#define REG_LBA_LOW	3
#define REG_LBA_MID	4
#define REG_LBA_HIGH	5
#define REG_DEVICE	6
#define REG_STATUS	7		/* read: ends the interrupt */
#define REG_COMMAND	7

#define CONTROL_NIEN	0x02u
#define CONTROL_SRST	0x04u

#define BM_COMMAND	0
#define BM_STATUS	2
#define BM_PRD_TABLE	4
#define BM_START	0x01u
#define BM_TO_MEMORY	0x08u
#define BM_ACTIVE	0x01u
#define BM_ERROR	0x02u
#define BM_INTERRUPT	0x04u

#define DEVICE_1	0x10u
#define NOTHING		0xffu		/* what a bus without a device reads */

/* Bochs has memory for so much of one command; and LBA of 28 bits has no
 * more. */
#define BYTES_MAX	(128u << 10)
#define SEGS_MAX	64u
/* A segment may cross one boundary of 64 KiB for each that it is long. */
#define PRDS		(SEGS_MAX + BYTES_MAX / 65536 + 1)
#define PRD_LAST	0x80000000u

enum step { STEP_CHANNEL, STEP_RESET, STEP_RESET_END, STEP_BUSY,
	    STEP_IDENTIFY, STEP_WEAR };

struct prd {
	uint32_t address;
	uint32_t bytes;			/* 0: 64 KiB */
};

struct ata_disk {
	struct disk disk;
	struct ata_channel *channel;
	uint8_t select;
	bool waits;			/* its command, for the channel */
	bool wear_asked;		/* once only */
	uint64_t wear_deadline;
	struct ata_identify id;
};

struct ata_channel {
	struct ata_ports ports;
	struct ata_disk disks[2];
	struct ata_disk *holder;
	/* What the controller reads: one page, so in one run of 64 KiB. */
	struct {
		struct prd prds[PRDS];
		uint64_t trim[ATA_TRIM_BYTES / 8];
	} *shared;
};

static uint8_t in(struct ata_channel *channel, unsigned reg)
{
	return port_in8((uint16_t)(channel->ports.command + reg));
}

static void out(struct ata_channel *channel, unsigned reg, uint8_t value)
{
	port_out8((uint16_t)(channel->ports.command + reg), value);
}

static uint8_t bm_in(struct ata_channel *channel, unsigned reg)
{
	return port_in8((uint16_t)(channel->ports.bus_master + reg));
}

static void bm_out(struct ata_channel *channel, unsigned reg, uint8_t value)
{
	port_out8((uint16_t)(channel->ports.bus_master + reg), value);
}

/* Stops the engine; it then touches no memory. [Bus Master IDE "Bus Master IDE
 * Command Register"] */
static void bm_stop(struct ata_channel *channel)
{
	bm_out(channel, BM_COMMAND, 0);
	bm_out(channel, BM_STATUS, BM_ERROR | BM_INTERRUPT |
	       (bm_in(channel, BM_STATUS) & 0x60));
}

/* An entry never crosses a boundary of 64 KiB [Bus Master IDE "Physical Region
 * Descriptor"]. */
static unsigned add_prds(struct prd *prds, unsigned n, const void *data,
			 uint32_t len)
{
	uint64_t bus = dma_bus(data);

	while (len > 0 && n < PRDS) {
		uint32_t room = 65536u - (uint32_t)(bus & 0xffff);
		uint32_t part = len < room ? len : room;

		prds[n++] = (struct prd) { (uint32_t)bus, part & 0xffff };
		bus += part;
		len -= part;
	}
	return n;
}

static void set_prds(struct ata_channel *channel, const struct block_req *req)
{
	struct prd *prds = channel->shared->prds;
	unsigned n = 0;

	if (req->op == BLOCK_DISCARD) {
		n = add_prds(prds, n, channel->shared->trim, ATA_TRIM_BYTES);
	}
	for (unsigned i = 0; req->op <= BLOCK_WRITE && i < req->seg_count;
	     i++) {
		n = add_prds(prds, n, req->segs[i].data, req->segs[i].len);
	}
	prds[n - 1].bytes |= PRD_LAST;
	port_out32(channel->ports.bus_master + BM_PRD_TABLE,
		   (uint32_t)dma_bus(prds));
}

/* Two bytes go to registers one behind the other, the upper one first
 * [ATA/ATAPI-6 "48-bit Address feature set"]. */
static void out_command(struct ata_disk *ata, const struct ata_command *c)
{
	struct ata_channel *channel = ata->channel;
	uint8_t device = ata->select | c->device;

	if (c->ext) {
		out(channel, REG_DEVICE, device);
		out(channel, REG_FEATURES, (uint8_t)(c->features >> 8));
		out(channel, REG_COUNT, (uint8_t)(c->count >> 8));
		out(channel, REG_LBA_LOW, (uint8_t)(c->lba >> 24));
		out(channel, REG_LBA_MID, (uint8_t)(c->lba >> 32));
		out(channel, REG_LBA_HIGH, (uint8_t)(c->lba >> 40));
	} else {
		device |= (uint8_t)(c->lba >> 24 & 0xf);
		out(channel, REG_DEVICE, device);
	}
	out(channel, REG_FEATURES, (uint8_t)c->features);
	out(channel, REG_COUNT, (uint8_t)c->count);
	out(channel, REG_LBA_LOW, (uint8_t)c->lba);
	out(channel, REG_LBA_MID, (uint8_t)(c->lba >> 8));
	out(channel, REG_LBA_HIGH, (uint8_t)(c->lba >> 16));
	out(channel, REG_COMMAND, c->command);
}

/* The channel is the disk's: its command begins. */
static void execute(struct ata_disk *ata)
{
	struct ata_channel *channel = ata->channel;
	struct disk_cmd *cmd = &ata->disk.cmds[0];
	struct ata_command command;
	uint8_t direction = cmd->req->op == BLOCK_READ ? BM_TO_MEMORY : 0;

	channel->holder = ata;
	ata->waits = false;
	disk_again(&ata->disk, 0);
	ata_command(&ata->id, cmd, channel->shared->trim, &command);
	bm_stop(channel);
	if (cmd->req->op == BLOCK_FLUSH) {
		out_command(ata, &command);
		return;
	}
	set_prds(channel, cmd->req);
	bm_out(channel, BM_COMMAND, direction);
	out_command(ata, &command);
	bm_out(channel, BM_COMMAND, direction | BM_START);
}

/* The other disk first, so both have their turn. */
static void release(struct ata_disk *ata)
{
	struct ata_channel *channel = ata->channel;
	struct ata_disk *other = &channel->disks[ata == channel->disks];

	if (channel->holder != ata) {
		return;
	}
	channel->holder = NULL;
	if (other->waits) {
		execute(other);
	} else if (ata->waits) {
		execute(ata);
	}
}

/* Waiting for the channel is not the disk's delay: that is bounded by the other
 * one's limits. */
static void give(struct disk *disk, unsigned tag)
{
	struct ata_disk *ata = (struct ata_disk *)disk;

	ata->waits = true;
	disk->cmds[tag].deadline = UINT64_MAX;
	if (!ata->channel->holder) {
		execute(ata);
	}
}

/* Interrupts again, and none of before: a start turns them off for both disks. */
static void listen(struct ata_channel *channel)
{
	(void)in(channel, REG_STATUS);
	port_out8(channel->ports.control, 0);
	bm_stop(channel);
}

/* How the command went: the device's word, and the engine's: one that is still
 * active has been given less than it has memory for [Bus Master IDE "Bus Master
 * IDE Status Register"]. */
static int verdict(struct disk *disk, uint8_t status, uint8_t bm)
{
	if (status & (ATA_ERR | ATA_DF) || bm & BM_ERROR) {
		return EIO;
	}
	if (status & ATA_DRQ || bm & BM_ACTIVE) {
		disk->nonsense++;
		return EIO;
	}
	return 0;
}

/* The engine's interrupt bit is set by the disk's interrupt once all data are in
 * memory. */
static bool look(struct disk *disk)
{
	struct ata_disk *ata = (struct ata_disk *)disk;
	struct ata_channel *channel = ata->channel;
	uint8_t bm, status;

	if (channel->holder != ata) {
		return true;
	}
	bm = bm_in(channel, BM_STATUS);
	if (!(bm & BM_INTERRUPT)) {
		return true;
	}
	status = in(channel, REG_STATUS);
	if (status & ATA_BSY) {
		disk->nonsense++;
		return true;
	}
	bm_stop(channel);
	disk_end(disk, 0, verdict(disk, status, bm));
	release(ata);
	return true;
}

static int fail(struct disk *disk, const char *why)
{
	disk->why = why;
	return EIO;
}

static int absent(struct disk *disk)
{
	disk->absent = true;
	return fail(disk, "nothing is there");
}

/* Whether a disk answers, by what the reset has left in the registers
 * [ATA/ATAPI-6 "Signature and persistence"]. */
static int signature(struct ata_disk *ata)
{
	struct ata_channel *channel = ata->channel;
	uint8_t status;

	out(channel, REG_DEVICE, ata->select | ATA_DEVICE_LBA);
	status = in(channel, REG_STATUS);
	if (status == 0 || (status & 0x7f) == (NOTHING & 0x7f)) {
		return absent(&ata->disk);
	}
	if (status & ATA_BSY) {
		return EAGAIN;
	}
	if (in(channel, REG_LBA_MID) != 0 || in(channel, REG_LBA_HIGH) != 0) {
		return absent(&ata->disk);
	}
	out_command(ata, &(struct ata_command) {
		.command = ATA_IDENTIFY_DEVICE });
	disk_step(&ata->disk, STEP_IDENTIFY, DISK_START_MS);
	return EAGAIN;
}

/* The answer to a question while it starts, if it is there: 512 bytes. 0, EAGAIN or
 * EIO. */
static int answer(struct ata_channel *channel, uint16_t *words)
{
	uint8_t status = in(channel, REG_STATUS);

	if (status & (ATA_ERR | ATA_DF)) {
		return EIO;
	}
	if (status & ATA_BSY || !(status & ATA_DRQ)) {
		return EAGAIN;
	}
	for (unsigned i = 0; i < 256; i++) {
		words[i] = port_in16(channel->ports.command + REG_DATA);
	}
	return 0;
}

/* The channel takes requests. */
static int ready(struct ata_disk *ata)
{
	listen(ata->channel);
	release(ata);
	return 0;
}

/* Ends whatever the channel does. */
static int reset(struct ata_disk *ata)
{
	bm_stop(ata->channel);
	port_out8(ata->channel->ports.control, CONTROL_NIEN | CONTROL_SRST);
	disk_step(&ata->disk, STEP_RESET, DISK_START_MS);
	return EAGAIN;
}

/* A disk that does not know that log is as good as any; one that does not answer is
 * started anew, and not asked again. */
static int told_wear(struct ata_disk *ata)
{
	uint16_t words[256];
	uint64_t page[64];
	int error = answer(ata->channel, words);

	if (error == EAGAIN) {
		return loop_uptime_ms() < ata->wear_deadline ? EAGAIN
							     : reset(ata);
	}
	if (error == 0) {
		memcpy(page, words, sizeof(page));
		ata->disk.wear = ata_wear(page);
	}
	return ready(ata);
}

/* What it is. */
static int identified(struct ata_disk *ata)
{
	const struct ata_command wear = ata_wear_command();
	uint16_t words[256];
	const char *why;
	int error = answer(ata->channel, words);

	if (error != 0) {
		return error == EAGAIN ? error :
		       fail(&ata->disk, "it does not say what it is");
	}
	why = ata_identify(words, &ata->id);
	if (!why && !ata_identify_apply(&ata->disk, &ata->id)) {
		why = "it is another disk than before";
	}
	if (why) {
		return fail(&ata->disk, why);
	}
	ata->disk.dev.max_sectors = BYTES_MAX / ata->id.sector_size;
	ata->disk.dev.max_segs = SEGS_MAX;
	if (ata->wear_asked || !ata_wears(&ata->id)) {
		return ready(ata);
	}
	ata->wear_asked = true;
	ata->wear_deadline = loop_uptime_ms() + ATA_WEAR_MS;
	out_command(ata, &wear);
	disk_step(&ata->disk, STEP_WEAR, DISK_START_MS);
	return EAGAIN;
}

/* A start resets the channel, both its disks: none has a command then. Without
 * interrupts; the reset takes at least 5 us, and its end 2 ms before anybody may
 * look [ATA/ATAPI-6 "Software reset protocol"]: less than a step. */
static int begin(struct disk *disk)
{
	struct ata_disk *ata = (struct ata_disk *)disk;
	struct ata_channel *channel = ata->channel;

	switch (disk->step) {
	case STEP_CHANNEL:
		ata->waits = false;
		disk_step(disk, STEP_CHANNEL, DISK_START_MS);
		if (channel->holder && channel->holder != ata) {
			return EAGAIN;
		}
		channel->holder = ata;
		return reset(ata);
	case STEP_RESET:
		port_out8(channel->ports.control, CONTROL_NIEN);
		disk_step(disk, STEP_RESET_END, DISK_START_MS);
		return EAGAIN;
	case STEP_RESET_END:
		disk_step(disk, STEP_BUSY, DISK_START_MS);
		return EAGAIN;
	case STEP_BUSY:
		return signature(ata);
	case STEP_IDENTIFY:
		return identified(ata);
	default:
		return told_wear(ata);
	}
}

static bool stop(struct disk *disk, bool at_last)
{
	struct ata_disk *ata = (struct ata_disk *)disk;

	(void)at_last;
	ata->waits = false;
	if (ata->channel->holder == ata) {
		listen(ata->channel);
		release(ata);
	}
	return true;
}

/** The channel's interrupt; also one that nobody has a command for. */
void ata_interrupt(struct ata_channel *channel)
{
	if (channel->holder) {
		disk_interrupt(&channel->holder->disk);
	} else {
		(void)in(channel, REG_STATUS);
	}
}

struct disk *ata_disk(struct ata_channel *channel, unsigned device)
{
	return &channel->disks[device].disk;
}

/** See ata.h. Its disks are not started yet. */
struct ata_channel *ata_channel_new(const struct ata_ports *ports)
{
	static const struct disk_ops ops = {
		.begin = begin, .give = give, .look = look, .stop = stop,
	};
	struct ata_channel *channel = calloc(1, sizeof(*channel));

	if (!channel) {
		return NULL;
	}
	channel->shared = dma_alloc(sizeof(*channel->shared), 4096);
	if (!channel->shared) {
		free(channel);
		return NULL;
	}
	channel->ports = *ports;
	for (unsigned i = 0; i < 2; i++) {
		channel->disks[i].channel = channel;
		channel->disks[i].select = i ? DEVICE_1 : 0;
		channel->disks[i].disk.dev.depth = 1;
		disk_init(&channel->disks[i].disk, &ops);
	}
	return channel;
}
