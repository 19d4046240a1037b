/* SPDX-License-Identifier: MIT */
/* A run of the machine for one command, instead of a console. */
#ifndef ISTHMUS_RUN_ONCE_H
#define ISTHMUS_RUN_ONCE_H

#include "host-bridge/ui/commands.h"

/* Runs env->config->exec in Linux, which is started already, then powers the
 * machine off. */
void run_once(const struct command_env *env) __attribute__((noreturn));

#endif
