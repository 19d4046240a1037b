/* SPDX-License-Identifier: MIT */
/*
 * This program's part of the black box, docs/black-box.md: what it says, and how it
 * ends, are still there after a reset of the machine, for the next boot to tell.
 */
#ifndef ISTHMUS_RT_BLACK_BOX_H
#define ISTHMUS_RT_BLACK_BOX_H

#include "proto/host_info.h"

/* From now on notices are kept. Without the module there is no box, and all of
 * this does nothing. */
void black_box_init(const struct host_info *info);
/* What is to be called when this program crashes: the machine's reset. */
void black_box_set_reset(void (*reset)(void));
void black_box_say(const char *text);
/* Somebody has wished the machine's end: the next boot has nothing to tell. */
void black_box_clean(void);
/* The end of a crash, which has been told; returns if there is no reset. */
void black_box_crashed(void);

#endif
