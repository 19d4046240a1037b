/* SPDX-License-Identifier: MIT */
/*
 * A Linux that runs on while the program that has started it ends, and another takes
 * its place: docs/restart.md. What is in its memory, and whether it runs, the
 * hypervisor knows; the rest is in a record for each. The record may be wrong: then
 * a device of that Linux is.
 */
#include <string.h>

#include "host-bridge/guest/linux.h"
#include "host-bridge/guest/linux_save.h"
#include "host-bridge/rt/container.h"
#include "host-bridge/rt/legacy.h"

struct linux_left {
	struct legacy head;		/* owner: its partition's id */
	bool wanted;			/* to run, whatever becomes of it */
	bool child, ready, between;
	uint8_t io[LINUX_SAVE_IO];
};

_Static_assert(sizeof(struct linux_left) <= LEGACY_GUEST_SIZE, "it has room");

/* The record of a Linux, made if there is none. NULL: there is no room, or no next
 * program. */
static struct linux_left *find(const struct guest *guest)
{
	union {
		struct linux_left left;
		uint8_t all[LEGACY_GUEST_SIZE];
	} new = { .left.head.owner = guest->want->id };
	struct linux_left *left = NULL;

	while ((left = legacy_next(LEGACY_GUEST, left)) != NULL &&
	       left->head.owner != guest->want->id) {
	}
	return left ? left : legacy_add(LEGACY_GUEST, &new);
}

/** See linux.h. From anywhere. */
void linux_leave(struct guest *guest, bool wanted)
{
	if (guest->left) {
		guest->left->wanted = wanted;
		guest->left->child = guest->child;
		guest->left->ready = guest->ready;
	}
}

/** See linux.h. */
void linux_between(struct guest *guest, bool between)
{
	if (guest->left) {
		guest->left->between = between;
	}
}

/* What it has of our making is as it has set it up. */
static void go_on(struct guest *guest, enum linux_state state)
{
	uint8_t io[LINUX_SAVE_IO];

	guest->state = state;
	guest->started_ms = loop_uptime_ms();
	memcpy(io, guest->left->io, sizeof(io));
	guest->ready = guest->left->ready;
	guest->io.saved = guest->left->io;
	linux_io_restore(&guest->io, io);
}

/**
 * See linux.h. Once for each, after linux_init(); one that has crashed meanwhile, or
 * waits for an answer, is looked at, for its event may have come before there was
 * anybody to look. What was on its way to run, to be a template, or to its end, is
 * stopped; so is a template's child: what it might have of files and network is not known any more.
 */
bool linux_take_up(struct guest *guest)
{
	struct hc_regs regs;
	bool wanted;

	guest->left = find(guest);
	if (legacy_lives() == 0) {
		guest->io.saved = guest->left ? guest->left->io : NULL;
		return !guest->want->on_demand;
	}
	loop_again(HC_EVENT_IOREQ | HC_EVENT_PARTITION);
	if (hc_query(HC_QUERY_STATE, guest->want->id, 0, &regs) != HC_OK) {
		return false;
	}
	if (guest->left && !guest->left->child && !guest->left->between &&
	    (regs.rdi == HC_STATE_RUNNING || regs.rdi == HC_STATE_CRASHED ||
	     regs.rdi == HC_STATE_FROZEN)) {
		go_on(guest, regs.rdi == HC_STATE_FROZEN ? LINUX_FROZEN
							 : LINUX_RUNNING);
		return false;
	}
	wanted = guest->left && guest->left->wanted;
	guest->io.saved = guest->left ? guest->left->io : NULL;
	guest->state = LINUX_RUNNING;	/* whatever it was in between */
	(void)linux_stop(guest);
	linux_between(guest, false);
	return wanted;
}
