/* SPDX-License-Identifier: MIT */
/*
 * What this program leaves to the one that is started after its end, in memory that
 * outlives both: docs/restart.md. Without "restarts" in the manifest there is no
 * such memory, no next program, and all of this does nothing.
 *
 * Records of a few kinds, each whole or not there: a program may end between any two
 * of its instructions. What is in one only who has written it knows, and who reads it
 * checks it: the end may have been a wild store's.
 */
#ifndef ISTHMUS_LEGACY_H
#define ISTHMUS_LEGACY_H

#include <stdbool.h>
#include <stdint.h>

/* Begins each record. */
struct legacy {
	uint32_t owner;			/* whose it is; 0: nobody's. Its low bits
					 * say of whose share */
	uint32_t change;		/* the transaction that it belongs to; 0:
					 * to none */
};

enum legacy_kind {
	LEGACY_GUEST,			/* guest/linux_legacy.c */
	LEGACY_SESSION,			/* these are files/fuse_legacy.h's */
	LEGACY_ANSWER,
	LEGACY_NODE,
	LEGACY_OPEN,
	LEGACY_LOCK,
	LEGACY_KINDS
};

/* Bytes of a record of each kind: what is copied. */
#define LEGACY_GUEST_SIZE	80u
#define LEGACY_SESSION_SIZE	104u
#define LEGACY_ANSWER_SIZE	192u
#define LEGACY_NODE_SIZE	32u
#define LEGACY_OPEN_SIZE	32u
#define LEGACY_LOCK_SIZE	64u

/* The memory, zeros before the first program, and how many programs have ended. */
void legacy_init(void *memory, uint64_t size, uint64_t ended);
/* Whether there is a next program. */
bool legacy_on(void);
/* Programs that have ended before this one, since the machine's start. */
uint64_t legacy_lives(void);
/* So many share the room for each kind, LEGACY_SHARERS at most: what each can have
 * at least nobody else can have. Before it is said, one has all. */
#define LEGACY_SHARERS		16u
void legacy_share(uint32_t sharers);
/* Copies a record, which is there when this returns. NULL: there is no room, or none
 * of that share. */
void *legacy_add(enum legacy_kind kind, const void *record);
/* It is not there any more. NULL is nothing. */
void legacy_drop(enum legacy_kind kind, void *record);
/* The next record behind that one; NULL: the first, or no more. */
void *legacy_next(enum legacy_kind kind, const void *record);
/* What belongs to transactions from this one on has never been; the rest belongs to
 * none any more. */
void legacy_settle(uint32_t first_lost);
/* Why this program ends, and why the one before it did: "" if it has not said. */
void legacy_say(const char *text);
const char *legacy_said(void);

#endif
