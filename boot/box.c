/* SPDX-License-Identifier: MIT */
/*
 * The black box, docs/black-box.md: finds what the last run has left of itself in
 * memory, tells it, and begins a new one. Nothing that is found is trusted:
 * proto/black_box.c reads it.
 */
#include <string.h>

#include "drivers/tco.h"
#include "proto/black_box.h"
#include "loader.h"
#include "pci.h"

#define CRASH_PATH	"\\isthmus\\last-crash.txt"

/* Tried in this order: low enough for all machines, above what firmware uses of
 * low memory, below what it gives out, which it does from the top. */
static const uint64_t places[] = { 32 * MIB, 48 * MIB, 64 * MIB, 96 * MIB };

#define CPU_SIZE	sizeof(struct box_cpu)
#define ROOM		round_up(BOX_HOST_SIZE + sizeof(struct black_box) + \
				 BOOT_MAX_CPUS * CPU_SIZE, PAGE_SIZE)

struct module box_module = { NULL, BOX_HOST_SIZE };
static struct black_box *box;
static struct black_box_read last;

_Static_assert(sizeof(struct box_host) <= BOX_HOST_SIZE, "it has room");

/* Tells how the last run ended, unless it was as somebody wished. */
static void report(const struct black_box *found, const struct box_host *its)
{
	last.box = found;
	last.host = its;
	last.watchdog = tco_fired(pci_config_read);
	black_box_look(&last);
	if (last.cause[0] == '\0') {
		return;
	}
	console_say("the last run ended in stage %s: %s", last.stage, last.cause);
	console_say(files_write(CRASH_PATH, &last) ? "%s has all that is known of it" :
		    "%s could not be written", CRASH_PATH);
}

/**
 * Looks at all places, and takes the first that can be had for this run. So did the
 * last run: what is behind its box has been guests' since. From here on what
 * console_write() gets is kept.
 */
void box_open(void)
{
	uint64_t boots = 0;

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct box_host *its = (void *)places[i];
		struct black_box *found = (void *)(places[i] + BOX_HOST_SIZE);

		if (!memory_at(places[i], ROOM)) {
			continue;
		}
		if (boots == 0 && black_box_is(found, ROOM - BOX_HOST_SIZE)) {
			report(found, its);
			boots = found->boots;
		}
		found->magic = 0;
		if (box_module.data == NULL) {
			box_module.data = its;
		} else {
			memory_free(places[i], ROOM);
		}
	}
	if (box_module.data == NULL) {
		console_say("no memory for the black box where the next boot would look for it");
		box_module.data = memory_alloc(ROOM, PAGE_SIZE, BOOT_MEM_FREE, "the black box");
	}
	memset(box_module.data, 0, ROOM);
	box = (void *)((uint64_t)box_module.data + BOX_HOST_SIZE);
	box->magic = BOX_MAGIC;
	box->version = BOX_VERSION;
	box->boots = boots + 1;
	box->sum = black_box_sum(box);
	console_log = &box->log;
}

/** As large as the number of processors needs it: so it is handed over. */
void box_keep(struct boot_info *info)
{
	box->cpus = info->cpu_count;
	box->sum = black_box_sum(box);
	info->box = (uint64_t)box;
	info->box_size = round_up(sizeof(*box) + info->cpu_count * CPU_SIZE, PAGE_SIZE);
	memory_keep((uint64_t)box_module.data, BOX_HOST_SIZE, BOOT_MEM_PARTITION);
	memory_keep(info->box, info->box_size, BOOT_MEM_FIRMWARE);
	/* with all processors that there may be that is nothing, and refused */
	memory_free(info->box + info->box_size,
		    ROOM - BOX_HOST_SIZE - info->box_size);
}
