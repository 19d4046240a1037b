/* SPDX-License-Identifier: MIT */
/* Lines for `isthmus picture` in the console's log: samples.c. */
#ifndef ISTHMUS_SAMPLES_H
#define ISTHMUS_SAMPLES_H

#include <stdbool.h>

struct command_env;

/* One now, and each so many seconds, 1 to SAMPLES_MOST, as text; "off": none any more.
 * False: it is neither. *env must stay. */
#define SAMPLES_MOST	3600u
bool samples_every(const struct command_env *env, const char *seconds);

#endif
