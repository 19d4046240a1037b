/* SPDX-License-Identifier: MIT */
#ifndef ISTHMUS_COMMANDS_LINUX_H
#define ISTHMUS_COMMANDS_LINUX_H

#include <stdbool.h>

#include "host-bridge/ui/commands.h"

/* Waits until Linux's agent serves us. False, with the reason printed, when
 * that will not be, or the user gives up. For top-level code. */
bool commands_linux_wait(const struct command_env *env);
/* Shuts Linux down by its agent, or stops it when it does not obey within
 * 10 s. True when it went by itself. For top-level code. */
bool commands_linux_shutdown(const struct command_env *env);

#endif
