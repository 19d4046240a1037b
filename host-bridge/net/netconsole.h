/* SPDX-License-Identifier: MIT */
/* A console over the network: see netconsole.c. */
#ifndef ISTHMUS_NETCONSOLE_H
#define ISTHMUS_NETCONSOLE_H

#include <stdbool.h>
#include <stddef.h>

#include "host-bridge/dev/serial.h"

/* From now on. password: must stay; key: 64 hexadecimal digits; one of them may be
 * NULL. What is wrong, or not there, is said. */
void netconsole_start(const char *port, const char *password, const char *key);
/* The next line of who is in, without its end. False: there is none. */
bool netconsole_line(char *line, size_t size);
/* What the line asked for has been done. */
void netconsole_done(void);
/* Where its output goes, and keys come from, meanwhile. */
extern const struct serial_other netconsole_serial;

#endif
