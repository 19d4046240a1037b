/* SPDX-License-Identifier: MIT */
/*
 * The file that a template is saved in (docs/templates.md "The file"): a page that
 * says what it is of, the pages of its record, then its memory, each page at its
 * address, holes where there is nothing. Pure.
 */
#ifndef ISTHMUS_LINUX_SAVE_H
#define ISTHMUS_LINUX_SAVE_H

#include <stddef.h>
#include <stdint.h>

#include "abi/boot_info.h"
#include "abi/channel.h"

#define LINUX_SAVE_PAGE		4096u
#define LINUX_SAVE_VERSION	1u
#define LINUX_SAVE_CPU		14u	/* words of CPUID: linux_template.c */
#define LINUX_SAVE_IO		64u
#define LINUX_SAVE_WHY		160u

/* The first page, as it is in the file; what is behind it there is 0. */
struct linux_save {
	char magic[8];
	uint32_t version, record;	/* of the file, and of the record in it */
	uint32_t crc;			/* of the page, this being 0 */
	uint32_t data_crc;		/* of record and memory */
	uint64_t pages;			/* of memory, that are not all 0 */
	/* What it is of: the partition, */
	uint64_t ram;
	uint32_t vcpus, channels;
	uint32_t output_size[CHANNEL_GUEST_MAX];
	uint8_t host[CHANNEL_GUEST_MAX];	/* the other end is ours */
	char name[BOOT_NAME_LEN];
	/* .. the machine, */
	uint64_t tsc_hz;
	uint32_t cpu[LINUX_SAVE_CPU];
	/* .. its time: UTC when its clock said 0, and how long ago that was, */
	int64_t began_ns, age_ns;
	uint8_t io[LINUX_SAVE_IO];	/* .. its devices: linux_io.c */
};

/* Where the record and the memory are. */
static inline uint64_t linux_save_record(uint32_t n)
{
	return (1 + (uint64_t)n) * LINUX_SAVE_PAGE;
}

static inline uint64_t linux_save_memory(const struct linux_save *s,
					 uint64_t gpa)
{
	return linux_save_record(2 * s->vcpus) + gpa;
}

/* Fills in what makes it one, and the page. */
void linux_save_write(struct linux_save *s, uint8_t page[LINUX_SAVE_PAGE]);
/* NULL: s is what the page says; else why not, as the end of a sentence. */
const char *linux_save_read(struct linux_save *s,
			    const uint8_t page[LINUX_SAVE_PAGE]);
/* May what s says be restored where things are as in here? NULL, or why not, as
 * the end of a sentence, in text. */
const char *linux_save_differs(const struct linux_save *s,
			       const struct linux_save *here,
			       char text[LINUX_SAVE_WHY]);
/* Goes on with the checksum of the data: a page of memory, or (gpa LINUX_SAVE_OWN)
 * of the record. */
#define LINUX_SAVE_OWN	UINT64_MAX
uint32_t linux_save_sum(uint32_t crc, uint64_t gpa, const uint8_t *page);
/* When its clock said 0, as the TSC of a machine of that rate, where it is now_ns at
 * now_tsc: as if it had been off its processors since. NULL, or why not. */
const char *linux_save_start(const struct linux_save *s, uint64_t hz,
			     int64_t now_ns, uint64_t now_tsc,
			     uint64_t *start_tsc);

#endif
