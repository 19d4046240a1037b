/* SPDX-License-Identifier: MIT */
/*
 * For tests: host-bridge's commands on files, and in Linux's place a 9P server
 * that answers as the test likes. What console, loop and vsock would be is
 * here, as far as those commands see it.
 */
#ifndef ISTHMUS_HOSTILE_LINUX_H
#define ISTHMUS_HOSTILE_LINUX_H

#include "proto/p9.h"

/* What Linux sends upon a request, of which it is not known that it is one:
 * bytes put into answer, of which there are room. 0: it hangs up. */
typedef size_t (*hostile_answer)(const uint8_t *request, size_t len,
				 uint8_t *answer, size_t room);

/* Bytes that are given at a time; 0: all. */
extern size_t hostile_piece;
/* Times the loop ran since hostile_command() began, and after how many of them
 * ctrl-c is typed. */
extern unsigned hostile_turns, hostile_patience;

/* Runs a command as the console does, words separated by blanks. */
void hostile_command(hostile_answer answer, const char *line);
/* What a tab behind that line would find; a struct completion of words.h. */
struct completion;
void hostile_complete(hostile_answer answer, const char *command,
		      const char *prefix, struct completion *found);

#endif
