/* SPDX-License-Identifier: MIT */
/*
 * What commands print with --json: one object on one line, which docs/status.md
 * describes. None runs the loop.
 */
#ifndef ISTHMUS_DOCUMENTS_H
#define ISTHMUS_DOCUMENTS_H

#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/json.h"

#define DOCUMENTS_VERSION	1

struct latency;
struct stack_status;

void documents_status(const struct command_env *env);
void documents_memory(const struct command_env *env);
void documents_disk(const struct command_env *env);
void documents_net(const struct command_env *env);

/* Parts of them, into an object that has been begun. */
void documents_owners(struct json *j);
void documents_addresses(struct json *j, const struct stack_status *s);
void documents_io(struct json *j, const struct command_env *env);
/* json_begin() of a document: its version, and when it is. */
void documents_begin(struct json *j);
/* Its end, and the line's. */
void documents_end(struct json *j);
/* A histogram: how often, and percentiles in us. */
void documents_latency(struct json *j, const char *name,
		       const struct latency *latency);

#endif
