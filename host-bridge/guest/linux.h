/* SPDX-License-Identifier: MIT */
/*
 * Room guest: Linux partitions, one object for each: image, ACPI tables, models
 * of PCI and UART, start, stop, crash. Trusts the hypervisor's word on a
 * partition; neither the kernel's image nor what Linux writes to its ports. May
 * include the rooms up to files; uses rt, loop and dev.
 *
 * The Linux partition's life: loading, starting, stopping, what follows a
 * crash. One object for each Linux; its devices are linux_io.h's.
 */
#ifndef ISTHMUS_LINUX_H
#define ISTHMUS_LINUX_H

#include <stdbool.h>
#include <stdint.h>

#include "host-bridge/guest/linux_io.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/config.h"

enum linux_state {
	LINUX_STOPPED,
	LINUX_RUNNING,
	LINUX_FAILED,		/* could not be loaded, or crashed for good */
	LINUX_FROZEN,		/* a template: others go on from where it was */
};

/* One Linux partition. Its fields are linux.c's. */
struct guest {
	struct guest *next;		/* of all Linux partitions */
	const struct config *config;	/* the modules */
	const struct config_guest *want;
	bool restart;			/* after a crash */
	enum linux_state state;
	bool ready;		/* agent reported; only while it runs */
	bool child;		/* of a template, since its last start */
	unsigned quick_crashes;
	uint64_t started_ms;		/* loop_uptime_ms() of the last start */
	struct loop_timer ready_timer;
	struct linux_io io;
	struct linux_left *left;	/* linux_legacy.c's; NULL: no room */
	const char *words;		/* before the manifest's; or NULL */
	void (*on_down)(void *arg);	/* or NULL */
	void *down_arg;
};

/* Sets up *guest, which must stay, as *want has it, one of config's. restart:
 * what to do after a crash is linux.c's policy (an interactive system) or to
 * stay down (a run that only executes one command). */
void linux_init(struct guest *guest, const struct config *config,
		const struct config_guest *want, bool restart);
/* Calls fn(arg) whenever this Linux is gone, for whatever reason. */
void linux_on_down(struct guest *guest, void (*fn)(void *arg), void *arg);
/* Words of ours for its command line, which must stay: the manifest's come behind
 * them, so that whoever goes by the last one goes by those. */
void linux_words(struct guest *guest, const char *words);
/* Loads and starts Linux. False, with the reason printed, when it cannot;
 * also when it runs already. */
bool linux_start(struct guest *guest);
/* Takes the partition down at once and all its memory back. False: it is a
 * template that has children, and stays one. */
bool linux_stop(struct guest *guest);
/* linux_fork.c: a running Linux becomes a template; one that is down goes on from
 * where that was. NULL, or why not. Top-level code only. */
const char *linux_freeze(struct guest *guest);
const char *linux_fork(const struct guest *of, struct guest *guest);
/* One that is down gets what is to be at gpa, a whole page; false: it cannot. */
bool linux_give(const struct guest *guest, uint64_t gpa, const uint8_t *data,
		uint64_t size);
enum linux_state linux_state(const struct guest *guest);
/* linux_legacy.c: a Linux of which the program before this one has left something is
 * taken up as it is. Whether it is to be started. */
bool linux_take_up(struct guest *guest);
/* Whether it is to run, and what of it the next program has to know. */
void linux_leave(struct guest *guest, bool wanted);
/* It is on its way to be a template: a part of it may stand or be there, which the
 * next program cannot go on with. Until said otherwise. From anywhere. */
void linux_between(struct guest *guest, bool between);
/* Linux has said that its agent serves us; since this start. */
bool linux_ready(const struct guest *guest);
void linux_set_ready(struct guest *guest);
/* What it said, since its start, of why it does not come up; "": nothing. */
const char *linux_said(const struct guest *guest);

#endif
