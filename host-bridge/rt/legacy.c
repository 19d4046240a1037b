/* SPDX-License-Identifier: MIT */
/*
 * Memory that outlives the program: a head, and an array for each kind of record. A
 * record counts by its first word, which is written last and cleared first; what is
 * free is found anew by each program. Nothing else here needs to be whole.
 */
#include <stddef.h>
#include <string.h>

#include "abi/boot_info.h"
#include "host-bridge/rt/legacy.h"

#define MAGIC		0x59434147454c5349ull	/* "ISLEGACY" */
#define HEAD_SIZE	4096u
#define SAID		200u

static const struct {
	uint32_t size, most;
} kinds[LEGACY_KINDS] = {
	[LEGACY_GUEST] = { LEGACY_GUEST_SIZE, BOOT_MAX_PARTITIONS },
	[LEGACY_SESSION] = { LEGACY_SESSION_SIZE, 64 },
	[LEGACY_ANSWER] = { LEGACY_ANSWER_SIZE, 4096 },
	[LEGACY_NODE] = { LEGACY_NODE_SIZE, 196608 },
	[LEGACY_OPEN] = { LEGACY_OPEN_SIZE, 16384 },
	[LEGACY_LOCK] = { LEGACY_LOCK_SIZE, 8192 },
};

struct head {
	uint64_t magic;
	uint32_t high[LEGACY_KINDS];	/* no record is at or behind these */
	char said[SAID];
};

static struct head *head;		/* NULL: there is none */
static uint8_t *arrays[LEGACY_KINDS];
static struct legacy *unused[LEGACY_KINDS];	/* chained in their places */
static uint32_t used[LEGACY_KINDS], taken[LEGACY_KINDS][LEGACY_SHARERS];
static uint32_t sharing = 1;
static uint64_t lives;
static char said[SAID];

static struct legacy *record_at(enum legacy_kind kind, uint32_t i)
{
	return (struct legacy *)(arrays[kind] + (size_t)i * kinds[kind].size);
}

static struct legacy **chain(struct legacy *record)
{
	return (struct legacy **)(record + 1);
}

static void set_owner(struct legacy *record, uint32_t owner)
{
	__atomic_store_n(&record->owner, owner, __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* One more of that owner's, or one less. */
static void tally(enum legacy_kind kind, uint32_t owner, int by)
{
	used[kind] += (uint32_t)by;
	taken[kind][owner % LEGACY_SHARERS] += (uint32_t)by;
}

/* Whoever has less than a share gets it: the others together leave so much. */
static bool has_room(enum legacy_kind kind, uint32_t owner)
{
	uint32_t left = kinds[kind].most - used[kind];
	uint32_t share = kinds[kind].most / sharing;

	return left > 0 && (taken[kind][owner % LEGACY_SHARERS] < share ||
			    left > share * (sharing - 1));
}

/* What is there of one kind: all that is not in use is free. */
static void take_up(enum legacy_kind kind)
{
	used[kind] = 0;
	memset(taken[kind], 0, sizeof(taken[kind]));
	if (head->high[kind] > kinds[kind].most) {
		head->high[kind] = 0;
	}
	for (uint32_t i = 0; i < head->high[kind]; i++) {
		struct legacy *record = record_at(kind, i);

		if (record->owner == 0) {
			*chain(record) = unused[kind];
			unused[kind] = record;
		} else {
			tally(kind, record->owner, 1);
		}
	}
}

/**
 * See legacy.h. Once, on this program's own page tables; memory may be NULL, or too
 * little. Makes nothing of what is there: records are for who has left them.
 */
void legacy_init(void *memory, uint64_t size, uint64_t ended)
{
	uint8_t *at;

	head = NULL;
	sharing = 1;
	lives = ended;
	said[0] = '\0';
	if (memory == NULL) {
		return;
	}
	at = (uint8_t *)memory + HEAD_SIZE;
	for (int kind = 0; kind < LEGACY_KINDS; kind++) {
		arrays[kind] = at;
		unused[kind] = NULL;
		at += (size_t)kinds[kind].size * kinds[kind].most;
	}
	if ((uint64_t)(at - (uint8_t *)memory) > size) {
		return;
	}
	head = memory;
	if (head->magic != MAGIC) {
		memset(head, 0, sizeof(*head));
		head->magic = MAGIC;
	}
	for (int kind = 0; kind < LEGACY_KINDS; kind++) {
		take_up(kind);
	}
	memcpy(said, head->said, SAID - 1);
	memset(head->said, 0, SAID);
}

/** From anywhere, the end of the program too. */
bool legacy_on(void)
{
	return head != NULL;
}

/** See legacy.h. */
void legacy_share(uint32_t sharers)
{
	sharing = sharers < 1 ? 1 : sharers < LEGACY_SHARERS ? sharers : LEGACY_SHARERS;
}

uint64_t legacy_lives(void)
{
	return lives;
}

/** See legacy.h. */
void *legacy_add(enum legacy_kind kind, const void *record)
{
	const struct legacy *from = record;
	struct legacy *to = unused[kind];

	if (head == NULL || !has_room(kind, from->owner)) {
		return NULL;
	}
	if (to != NULL) {
		unused[kind] = *chain(to);
	} else if (head->high[kind] < kinds[kind].most) {
		to = record_at(kind, head->high[kind]);
		to->owner = 0;
		head->high[kind]++;
	} else {
		return NULL;
	}
	memcpy((uint8_t *)to + sizeof(from->owner),
	       (const uint8_t *)from + sizeof(from->owner),
	       kinds[kind].size - sizeof(from->owner));
	set_owner(to, from->owner);
	tally(kind, from->owner, 1);
	return to;
}

/** See legacy.h. */
void legacy_drop(enum legacy_kind kind, void *record)
{
	struct legacy *gone = record;

	if (gone != NULL) {
		tally(kind, gone->owner, -1);
		set_owner(gone, 0);
		*chain(gone) = unused[kind];
		unused[kind] = gone;
	}
}

/** See legacy.h. That one may have been dropped meanwhile. */
void *legacy_next(enum legacy_kind kind, const void *record)
{
	uint32_t i = record == NULL ? 0 :
		     (uint32_t)(((const uint8_t *)record - arrays[kind]) /
				kinds[kind].size) + 1;

	for (; head != NULL && i < head->high[kind]; i++) {
		if (record_at(kind, i)->owner != 0) {
			return record_at(kind, i);
		}
	}
	return NULL;
}

/** See legacy.h. Numbers of transactions go round. */
void legacy_settle(uint32_t first_lost)
{
	for (int kind = 0; kind < LEGACY_KINDS; kind++) {
		struct legacy *r = NULL;

		while ((r = legacy_next(kind, r)) != NULL) {
			if (r->change != 0 &&
			    (int32_t)(r->change - first_lost) >= 0) {
				legacy_drop(kind, r);
			} else {
				r->change = 0;
			}
		}
	}
}

/** The first counts. From the end of the program. */
void legacy_say(const char *text)
{
	size_t len = strlen(text);

	if (head != NULL && head->said[0] == '\0') {
		memcpy(head->said, text, len < SAID ? len : SAID - 1);
	}
}

/** Printable, whatever was there. */
const char *legacy_said(void)
{
	for (char *c = said; *c; c++) {
		*c = *c >= ' ' && *c < 0x7f ? *c : '?';
	}
	return said;
}
