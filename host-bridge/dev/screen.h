/* SPDX-License-Identifier: MIT */
/*
 * The machine's screen: a terminal on the framebuffer that boot/ has found. It shows
 * what the console's serial line carries. Drawing is put off and costs a tenth of
 * the time at most, so who writes much does not wait for it.
 */
#ifndef ISTHMUS_SCREEN_H
#define ISTHMUS_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/host_info.h"

/* It begins with all that boot/ and the hypervisor have said. Without a framebuffer
 * the functions below do nothing. */
void screen_init(const struct host_framebuffer *frame);
/* Text with control sequences. From anywhere. */
void screen_write(const char *bytes, size_t len);
/* Now: for the end of the program. */
void screen_draw(void);
/* Somebody types at this machine's keyboard: text is drawn at once from now on, not
 * once a second. */
void screen_used(void);
/* Calls fn with what a terminal answers to the question where its cursor is. */
void screen_on_answer(void (*fn)(const char *bytes, size_t len));

#endif
