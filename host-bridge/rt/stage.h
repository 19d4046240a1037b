/* SPDX-License-Identifier: MIT */
/*
 * Stages of bringing the system up, as everyone outside sees them: one line
 * each on the console. A failure names the stage that was not reached.
 */
#ifndef ISTHMUS_STAGE_H
#define ISTHMUS_STAGE_H

enum stage {
	STAGE_HOST_STARTED = 60,
	STAGE_VOLUME_READY = 62,
	STAGE_LINUX_LOADED = 64,
	STAGE_LINUX_STARTED = 66,
	STAGE_AGENT_READY = 68,
};

/* "isthmus: stage CODE NAME" */
void stage_reached(enum stage stage);
/* "isthmus: FAILED stage CODE NAME: text" */
void stage_failed(enum stage stage, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The stage that is being worked on: the one after the last reached, or the
 * one that failed. */
enum stage stage_next(void);
const char *stage_name(enum stage stage);

#endif
