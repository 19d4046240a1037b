/* SPDX-License-Identifier: MIT */
/* A service that sends back what it gets: see echo.c. */
#ifndef ISTHMUS_ECHO_H
#define ISTHMUS_ECHO_H

/* On port 7, TCP and UDP, of all addresses; once. 0 or an errno value. */
int echo_start(void);

#endif
