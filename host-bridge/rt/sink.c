/* SPDX-License-Identifier: MIT */
/*
 * The way of text out of this room, to a device of which it knows nothing. Used
 * by the C library's write() and, after everything else has failed, by the
 * crash dump: so there is nothing here that could go wrong.
 */
#include "host-bridge/rt/sink.h"

static const struct sink *sink;
static void (*last)(const char *text, size_t len);
static void (*panicked)(void);

/** See sink.h. Once, when the device is up. */
void sink_set(const struct sink *use)
{
	sink = use;
}

/** Text as a C program writes it: lines end with LF. From anywhere. */
void sink_text(const char *text, size_t len)
{
	if (sink) {
		sink->text(text, len);
	}
}

/** See sink.h. One in all. */
void sink_set_last(void (*fn)(const char *text, size_t len),
		   void (*panic)(void))
{
	last = fn;
	panicked = panic;
}

/** See sink.h. From the crash dump alone. */
void sink_last(const char *text, size_t len)
{
	if (last) {
		last(text, len);
	}
}

/** See sink.h. Once, on the exception stack. */
void sink_panicked(void)
{
	if (panicked) {
		panicked();
	}
}

/** See sink.h. Around what everybody at the machine must see. */
void sink_own(bool on)
{
	if (sink && sink->own) {
		sink->own(on);
	}
}

/** For the end of the program: without interrupts or the event loop. */
void sink_drain(void)
{
	if (sink) {
		sink->drain();
	}
}
