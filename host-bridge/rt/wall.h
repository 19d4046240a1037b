/* SPDX-License-Identifier: MIT */
/* The time of day: see wall.c. */
#ifndef ISTHMUS_WALL_H
#define ISTHMUS_WALL_H

#include <stdint.h>

/* UTC in s since 1970 at a TSC, and the TSC's rate. */
void wall_init(uint64_t seconds, uint64_t tsc, uint64_t hz);
/* UTC in ns since 1970: never less than it has said before. */
int64_t wall_now_ns(void);
/* What it was at TSC 0, had it always been as right as now. */
int64_t wall_zero_ns(void);
/* It is wrong by so much: behind, if ns > 0. */
void wall_adjust(int64_t ns);
/* What it is still wrong by, as it knows. */
int64_t wall_left_ns(void);

#endif
