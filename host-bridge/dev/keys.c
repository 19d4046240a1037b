/* SPDX-License-Identifier: MIT */
/* A ring of bytes; see keys.h. */
#include "host-bridge/dev/keys.h"
#include "host-bridge/dev/screen.h"

#define SIZE	1024u

static uint8_t ring[SIZE];
static unsigned head, tail;

static void put(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len && SIZE - (head - tail) >= len - i; i++) {
		ring[head++ % SIZE] = (uint8_t)bytes[i];
	}
}

/** See keys.h. */
void keys_answer(bool on)
{
	screen_on_answer(on ? put : NULL);
}

/** See keys.h. */
void keys_put(const char *bytes, size_t len)
{
	keys_answer(true);
	put(bytes, len);
}

/** See keys.h. */
int keys_read(void)
{
	return head == tail ? -1 : ring[tail++ % SIZE];
}

/** See keys.h. */
bool keys_take(uint8_t byte)
{
	for (unsigned at = tail; at != head; at++) {
		if (ring[at % SIZE] == byte) {
			tail = at + 1;
			return true;
		}
	}
	return false;
}
