/* SPDX-License-Identifier: MIT */
/*
 * Stages of bringing the system up, as everyone outside sees them: one line
 * each on the console. A failure names the stage that was not reached.
 *
 * The tool on the build machine acts on these lines, and anybody's text is on
 * the same wire: a file's, Linux's. So it puts a secret of this run into the
 * manifest, and believes only what begins with that mark.
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

#define STAGE_MARK_SIZE	24u

/* The manifest's mark, NULL for none; before the first line of Linux's can be
 * on the console. */
void stage_set_mark(const char *secret);
/* What stands before a line or a frame of ours: "" without a mark. */
const char *stage_mark(void);
/* "isthmus: stage CODE NAME" */
void stage_reached(enum stage stage);
/* "isthmus: stage CODE NAME: WHO"; NULL: as above */
void stage_reached_by(enum stage stage, const char *who);
/* "isthmus: FAILED stage CODE NAME: text" */
void stage_failed(enum stage stage, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The stage that is being worked on: the one after the last reached, or the
 * one that failed. */
enum stage stage_next(void);
const char *stage_name(enum stage stage);

#endif
