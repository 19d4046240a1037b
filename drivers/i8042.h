/* SPDX-License-Identifier: MIT */
/*
 * The keyboard at a PC's keyboard controller, PS/2. Whether the controller translates
 * scan code set 2 to 1 is its own matter: who cannot, has it done here.
 */
#ifndef ISTHMUS_I8042_H
#define ISTHMUS_I8042_H

#include <stdbool.h>
#include <stdint.h>

#define I8042_UP	0x100u		/* the key went up */

struct i8042 {
	bool present;
	bool set2;			/* it does not translate */
	bool extended, up;		/* what the next code is of */
	uint8_t skip;			/* bytes of Pause to come */
};

/* Takes it as the firmware has left it; false: none answers. Waits a tenth of a
 * second at most, for each of some steps. */
bool i8042_init(struct i8042 *k);
/* The next key, as keymap.h numbers them, with I8042_UP; -1: there is no more. */
int i8042_key(struct i8042 *k);
/* What a byte from the keyboard ends: a key as above, or -1. Pure. */
int i8042_byte(struct i8042 *k, uint8_t byte);

#endif
