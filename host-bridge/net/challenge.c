/* SPDX-License-Identifier: MIT */
/* See challenge.h. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/net/challenge.h"
#include "host-bridge/rt/hmac.h"
#include "host-bridge/rt/seed.h"

/** See challenge.h. */
bool challenge_key(const char *text, uint8_t key[SHA256_SIZE])
{
	for (unsigned i = 0; i < SHA256_SIZE; i++) {
		char digits[3] = { text[2 * i], text[2 * i] ? text[2 * i + 1] : 0 };
		char *end;

		key[i] = (uint8_t)strtoul(digits, &end, 16);
		if (end != digits + 2 || !isxdigit((unsigned char)digits[0])) {
			return false;
		}
	}
	return text[2 * SHA256_SIZE] == '\0';
}

/** See challenge.h. */
void challenge_make(char challenge[CHALLENGE_LEN + 1])
{
	snprintf(challenge, CHALLENGE_LEN + 1, "%016llx%016llx",
		 (unsigned long long)seed_make(),
		 (unsigned long long)seed_make());
}

/** See challenge.h. */
bool challenge_answered(const uint8_t key[SHA256_SIZE], const char *challenge,
			const char *answer)
{
	char wanted[2 * SHA256_SIZE + 1];
	uint8_t digest[SHA256_SIZE];

	hmac(key, challenge, CHALLENGE_LEN, digest);
	for (unsigned i = 0; i < SHA256_SIZE; i++) {
		snprintf(wanted + 2 * i, 3, "%02x", digest[i]);
	}
	return challenge_same(answer, wanted);
}

/** See challenge.h. */
bool challenge_same(const char *word, const char *wanted)
{
	size_t len = strlen(word), want = strlen(wanted);
	unsigned char wrong = len != want;

	for (size_t i = 0; i < want; i++) {
		wrong |= (unsigned char)(wanted[i] ^ word[i < len ? i : len]);
	}
	return wrong == 0;
}
