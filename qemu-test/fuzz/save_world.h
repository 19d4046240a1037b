// SPDX-License-Identifier: MIT
/* What the commands of save_fuzz.c work on, and what was asked of it. */
#ifndef SAVE_WORLD_H
#define SAVE_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "host-bridge/guest/linux.h"
#include "host-bridge/guest/linux_save.h"
#include "host-bridge/ui/commands.h"

#define MUST(what)	do { if (!(what)) abort(); } while (0)
#define PAGE		LINUX_SAVE_PAGE
#define BLOCK		1024u		/* of the volume */
#define PAGES		64u
#define UNIT_PAGES	4u		/* what is given at once: the small build */
#define HZ		2000000000ull
#define HOLE		0xe0000000ull	/* of a partition's RAM, */
#define HIGH		0x100000000ull	/* up to here */
#define LONG_AGO	(30ull * 366 * 86400)	/* seconds, at most */
#define OWN_MAX		16u		/* pages of a record */

/* Pages by number, in no order: a file's, or a partition's memory. */
struct pages {
	unsigned count;
	uint64_t number[PAGES];
	uint8_t there[PAGES];		/* by block */
	uint8_t data[PAGES][PAGE];
};

extern struct save_world {
	const uint8_t *at, *end;	/* of the input */
	/* The file, and the template that it is made of. */
	struct pages file, memory;
	uint64_t file_size;
	uint8_t record[OWN_MAX][PAGE];
	bool named, held;
	/* What a partition has got that is to be one. */
	struct pages given;
	uint8_t written[OWN_MAX][PAGE];
	uint32_t written_count;
	uint8_t opened[PAGE];		/* the first page, as it was read */
	bool restoring, begun, between;
	/* What is where that is. */
	uint64_t ram, start, now, zero_ns, now_ns;
	uint32_t vcpus;
	struct config_guest want;
	struct guest guest;
	struct command_env env;
	/* Calls so far; which one fails, changes to the file by others and
	 * HC_EAGAIN that are yet to come; accesses of a child's to devices. */
	unsigned calls, fails, changes, again, accesses;
	void (*change)(void);
	void (*on_ioreq)(void *arg);
	char text[512];			/* what was printed */
} w;

/* The next byte of the input; 0 behind its end. */
unsigned world_take(void);
/* A page; NULL: it is not there, or (make) there is no room. */
uint8_t *world_find(struct pages *p, uint64_t number, bool make);
/* The least number that is not below, of those that are not all zeros, by its
 * place; -1: there is none. */
int world_next_page(const struct pages *p, uint64_t number);
/* Writes to the file. */
void world_put(uint64_t offset, const void *data, size_t len);
/* Where a partition of so many bytes has RAM. */
bool world_is_ram(uint64_t gpa, uint64_t bytes);

#endif
