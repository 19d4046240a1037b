/* SPDX-License-Identifier: MIT */
/*
 * Writes JSON, for all who do: commas, quotes and what is between them. What comes
 * out is ASCII on one line, whatever a text has in it: names come from manifests,
 * disks, firmware and Linuxes.
 */
#ifndef ISTHMUS_JSON_H
#define ISTHMUS_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *to;
	bool more;		/* something stands before, in this list or object */
};

/* In an object each has a name; in a list, and outermost, name is NULL. */
void json_begin(struct json *j, const char *name, char bracket);
void json_end(struct json *j, char bracket);
void json_number(struct json *j, const char *name, uint64_t n);
void json_signed(struct json *j, const char *name, int64_t n);
void json_truth(struct json *j, const char *name, bool is);
void json_text(struct json *j, const char *name, const char *text);

#endif
