/* SPDX-License-Identifier: MIT */
/* What Linuxes are told of the time: see linux_clock.c. */
#ifndef ISTHMUS_LINUX_CLOCK_H
#define ISTHMUS_LINUX_CLOCK_H

/* Our time of day, as it is and goes now, is theirs from now on: once before any
 * Linux is started, and when it has been set. */
void linux_clock_tell(void);

#endif
