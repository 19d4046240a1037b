/* SPDX-License-Identifier: MIT */
/* `net nat`: see commands_nat.c. */
#ifndef ISTHMUS_COMMANDS_NAT_H
#define ISTHMUS_COMMANDS_NAT_H

#include "host-bridge/ui/commands.h"

/* Prints each Linux' packets and sessions, and what was dropped why. Top level. */
void commands_nat(const struct command_env *env);

#endif
