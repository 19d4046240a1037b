/* SPDX-License-Identifier: MIT */
#ifndef ISTHMUS_COMMANDS_LINUX_H
#define ISTHMUS_COMMANDS_LINUX_H

#include <stdbool.h>

/* Shuts Linux down by its agent, or stops it when it does not obey within
 * 10 s. True when it went by itself. For top-level code. */
bool commands_linux_shutdown(void);

#endif
