/* SPDX-License-Identifier: MIT */
/*
 * Whether a peer knows a key, without its being said: it answers a challenge with 64
 * lower-case digits, the HMAC-SHA-256 of the challenge's characters. So who reads
 * along cannot come later.
 */
#ifndef ISTHMUS_CHALLENGE_H
#define ISTHMUS_CHALLENGE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/sha256.h"

#define CHALLENGE_LEN	32u		/* digits */

/* A key as the manifest has it. False: it is not 64 hexadecimal digits. */
bool challenge_key(const char *text, uint8_t key[SHA256_SIZE]);
/* Another one each time; an answer to it is good once. */
void challenge_make(char challenge[CHALLENGE_LEN + 1]);
bool challenge_answered(const uint8_t key[SHA256_SIZE], const char *challenge,
			const char *answer);
/* Compares in a time that does not tell where they differ. */
bool challenge_same(const char *word, const char *wanted);

#endif
