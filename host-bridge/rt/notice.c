/* SPDX-License-Identifier: MIT */
/*
 * Notices go to standard output, between whatever else is there: it is flushed
 * before and after, so that order is kept among a command's output, the line
 * that is being edited, and this.
 */
#include <stdarg.h>
#include <stdio.h>

#include "host-bridge/rt/notice.h"
#include "host-bridge/rt/sink.h"

#define TOLD_MAX	512u

static struct notice_screen *screens;
static struct notice_listener *listeners;

/** See notice.h. Each screen once. */
void notice_screen_add(struct notice_screen *screen)
{
	screen->next = screens;
	screens = screen;
}

/** See notice.h. Each once. */
void notice_listener_add(struct notice_listener *listener)
{
	listener->next = listeners;
	listeners = listener;
}

static void tell(const char *fmt, va_list ap)
{
	char text[TOLD_MAX];

	vsnprintf(text, sizeof(text), fmt, ap);
	for (struct notice_listener *l = listeners; l; l = l->next) {
		l->line(l, text);
	}
}

/** See notice.h. Before it what others have printed is out. */
void notice_begin(void)
{
	fflush(stdout);
	sink_own(true);
	for (struct notice_screen *s = screens; s; s = s->next) {
		s->hide(s);
	}
}

/** See notice.h. */
void notice_end(void)
{
	fflush(stdout);
	for (struct notice_screen *s = screens; s; s = s->next) {
		s->show(s);
	}
	sink_own(false);
}

/**
 * Prints a line (printf format, no newline). Callable from event handlers: it
 * waits for nothing. Not for the crash
 * dump.
 */
void notice(const char *fmt, ...)
{
	va_list ap;

	notice_begin();
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	notice_end();
	if (listeners) {
		va_start(ap, fmt);
		tell(fmt, ap);
		va_end(ap);
	}
}
