/* SPDX-License-Identifier: MIT */
/*
 * The Linux partition's life: loading, starting, stopping, what follows a
 * crash. Its device model is linux_io.h.
 */
#ifndef ISTHMUS_LINUX_H
#define ISTHMUS_LINUX_H

#include <stdbool.h>
#include <stdint.h>

#include "host-bridge/rt/config.h"

enum linux_state {
	LINUX_STOPPED,
	LINUX_RUNNING,
	LINUX_FAILED,		/* could not be loaded, or crashed for good */
};

enum linux_request {		/* what Linux asked through its registers */
	LINUX_REQUEST_NONE,
	LINUX_REQUEST_RESET,
	LINUX_REQUEST_POWER_OFF,
};

/* restart: what to do after a crash is linux.c's policy (an interactive
 * system) or to stay down (a run that only executes one command). */
void linux_init(const struct config *config, bool restart);
/* Loads and starts Linux. False, with the reason printed, when it cannot;
 * also when it runs already. */
bool linux_start(void);
/* Takes the partition down at once and all its memory back. */
void linux_stop(void);
enum linux_state linux_state(void);
/* Linux has said that its agent serves us; since this start. */
bool linux_ready(void);
void linux_set_ready(void);

#endif
