/* SPDX-License-Identifier: MIT */
/* A service that sends back what it gets: see echo.c. */
#ifndef ISTHMUS_ECHO_H
#define ISTHMUS_ECHO_H

/* On TCP port 7 of all addresses; once. 0 or an errno value. */
int echo_start(void);

#endif
