/* SPDX-License-Identifier: MIT */
/*
 * The machine's keyboards: the one at the keyboard controller, if the manifest gives
 * us that, and what drivers of others report. All have one state and one layout.
 */
#ifndef ISTHMUS_KEYBOARD_H
#define ISTHMUS_KEYBOARD_H

#include <stdbool.h>

/* layout: a name of keymap.h's, or NULL; line: the partition's own that the
 * controller interrupts on, -1: none, and it is asked now and then. */
void keyboard_init(const char *layout, int line);
/* A key of another keyboard, as keymap.h numbers them. */
void keyboard_key(unsigned key, bool down);
/* The same of one that does not repeat a held key by itself. */
void keyboard_key_repeated(unsigned key, bool down);

#endif
