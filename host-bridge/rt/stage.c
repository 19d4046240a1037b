/* SPDX-License-Identifier: MIT */
/*
 * Stage lines: docs/stages.md is the list. The tool on the build machine reads
 * them, so their form is an interface. State: the mark, and which stage is next,
 * for failures that name no stage of their own (a crash, cpu_fatal()).
 */
#include <stdarg.h>
#include <stdio.h>

#include "abi/boot_info.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/rt/stage.h"

static const struct {
	enum stage code;
	const char *name;
} stages[] = {
	{ STAGE_HOST_STARTED, "host-bridge started" },
	{ STAGE_VOLUME_READY, "volume ready" },
	{ STAGE_LINUX_LOADED, "linux loaded" },
	{ STAGE_LINUX_STARTED, "linux started" },
	{ STAGE_AGENT_READY, "agent ready" },
};

#define STAGES (sizeof(stages) / sizeof(stages[0]))

/* What a crash before the first stage line would name. */
static enum stage next = STAGE_HOST_STARTED;
static char mark[STAGE_MARK_SIZE];

/**
 * Keeps a copy. Linux never sees the manifest, so what it prints cannot begin
 * with this.
 */
void stage_set_mark(const char *secret)
{
	if (secret) {
		snprintf(mark, sizeof(mark), "%c%s", BOOT_MARK_BYTE, secret);
	}
}

/** For frames and for the last words of a crash; valid for ever. */
const char *stage_mark(void)
{
	return mark;
}

/**
 * The stage in words, as docs/stages.md has it; "running" for what comes after
 * the last.
 */
const char *stage_name(enum stage stage)
{
	for (size_t i = 0; i < STAGES; i++) {
		if (stages[i].code == stage) {
			return stages[i].name;
		}
	}
	return "running";
}

/**
 * Reports success on the console; the next stage is then being worked on. Codes
 * are even, so that is the code plus two. From anywhere but a crash.
 */
void stage_reached(enum stage stage)
{
	stage_reached_by(stage, NULL);
}

/** The same, of one of several Linuxes. */
void stage_reached_by(enum stage stage, const char *who)
{
	next = stage + 2;
	notice("%sisthmus: stage %d %s%s%s", mark, stage, stage_name(stage),
	       who ? ": " : "", who ? who : "");
}

/**
 * Reports failure, with its reason (printf format, one sentence, no newline;
 * what is beyond 255 bytes is cut off). Says so and no more: whether the
 * program goes on is the caller's matter.
 */
void stage_failed(enum stage stage, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	next = stage;
	notice("%sisthmus: FAILED stage %d %s: %s", mark, stage,
	       stage_name(stage), text);
}

/** For the crash dump. */
enum stage stage_next(void)
{
	return next;
}
