/* SPDX-License-Identifier: MIT */
#ifndef ISTHMUS_SYSTEM_H
#define ISTHMUS_SYSTEM_H

#include <stdbool.h>

#include "host-bridge/ui/commands.h"

/* Shuts Linux and the volume down, then the machine. For top-level code. */
void system_down(const struct command_env *env, bool reboot)
	__attribute__((noreturn));

#endif
