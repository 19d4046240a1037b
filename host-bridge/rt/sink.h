/* SPDX-License-Identifier: MIT */
/*
 * Where this program's text goes: standard output, and what a crash says. Who
 * has a line for it says so; before that, text is dropped.
 */
#ifndef ISTHMUS_SINK_H
#define ISTHMUS_SINK_H

#include <stdbool.h>
#include <stddef.h>

struct sink {
	/* Queues it, as far as there is room; never waits. */
	void (*text)(const char *text, size_t len);
	/* Returns when all has left the machine; by polling. */
	void (*drain)(void);
	/* While on, text is for the machine's own line, whoever has the console.
	 * May be NULL. */
	void (*own)(bool on);
};

/* One in all; *sink must stay. */
void sink_set(const struct sink *sink);
void sink_text(const char *text, size_t len);
/* What is said when the program ends goes there, too: without the event loop, or
 * any memory but its own. panic is called instead when the hypervisor has ended, for
 * what that has said in its log; at most a second is left then. */
void sink_set_last(void (*fn)(const char *text, size_t len),
		   void (*panic)(void));
void sink_last(const char *text, size_t len);
void sink_panicked(void);
void sink_drain(void);
void sink_own(bool on);

#endif
