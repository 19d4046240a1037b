/* SPDX-License-Identifier: MIT */
/* Whether somebody knows a key, without its being said: see hmac.c. */
#ifndef ISTHMUS_HMAC_H
#define ISTHMUS_HMAC_H

#include "proto/sha256.h"

/* HMAC-SHA-256 of size bytes at data. */
void hmac(const uint8_t key[SHA256_SIZE], const void *data, size_t size,
	  uint8_t digest[SHA256_SIZE]);

#endif
