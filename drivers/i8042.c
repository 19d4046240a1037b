/* SPDX-License-Identifier: MIT */
/*
 * The i8042 and a keyboard. Interrupts are edges: a service reads until nothing is
 * left. Waits are bounded, and what comes is looked up, never trusted.
 * [IBM PS/2 Hardware Interface Technical Reference "Keyboard/Auxiliary Device
 * Controller"]
 */
#include "drivers/i8042.h"
#include "drivers/keymap.h"
#include "drivers/portio.h"

#define DATA		0x60
#define STATUS		0x64		/* written: command */
#define FULL		0x01u		/* there is a byte for us */
#define BUSY		0x02u		/* ours has not been taken */
#define OF_MOUSE	0x20u
#define READ_CONFIG	0x20u
#define WRITE_CONFIG	0x60u
#define MOUSE_OFF	0xa7u
#define KEYBOARD_OFF	0xadu
#define KEYBOARD_ON	0xaeu
#define CONFIG_IRQ	0x01u
#define CONFIG_IRQ_MOUSE 0x02u
#define CONFIG_STOP	0x10u		/* the keyboard's clock */
#define CONFIG_STOP_MOUSE 0x20u
#define CONFIG_TRANSLATE 0x40u
#define SCAN		0xf4u		/* to the keyboard: say what is typed */
#define POLLS		100000u		/* a read of a port takes about 1 us */
#define BYTES		64u		/* that a service reads at most */

/* Set 2 to set 1, as the controller translates; 0: no key of ours. */
static const uint8_t set1[0x84] = {
	0x00, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x00, 0x44, 0x42, 0x40, 0x3e, 0x0f,
	0x29, 0x00, 0x00, 0x38, 0x2a, 0x00, 0x1d, 0x10, 0x02, 0x00, 0x00, 0x00, 0x2c, 0x1f,
	0x1e, 0x11, 0x03, 0x00, 0x00, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x00, 0x00, 0x39,
	0x2f, 0x21, 0x14, 0x13, 0x06, 0x00, 0x00, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x00,
	0x00, 0x00, 0x32, 0x24, 0x16, 0x08, 0x09, 0x00, 0x00, 0x33, 0x25, 0x17, 0x18, 0x0b,
	0x0a, 0x00, 0x00, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x00, 0x00, 0x00, 0x28, 0x00,
	0x1a, 0x0d, 0x00, 0x00, 0x3a, 0x36, 0x1c, 0x1b, 0x00, 0x2b, 0x00, 0x00, 0x00, 0x56,
	0x00, 0x00, 0x00, 0x00, 0x0e, 0x00, 0x00, 0x4f, 0x00, 0x4b, 0x47, 0x00, 0x00, 0x00,
	0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49,
	0x46, 0x00, 0x00, 0x00, 0x00, 0x41,
};

static bool wait_status(uint8_t mask, uint8_t value)
{
	unsigned polls = 0;

	while ((port_in8(STATUS) & mask) != value && ++polls < POLLS) {
	}
	return polls < POLLS;
}

static bool send(uint16_t port, uint8_t byte)
{
	if (!wait_status(BUSY, 0)) {
		return false;
	}
	port_out8(port, byte);
	return true;
}

/* The configuration byte, or -1. */
static int read_config(void)
{
	return send(STATUS, READ_CONFIG) && wait_status(FULL, FULL) ?
	       port_in8(DATA) : -1;
}

static void drop_all(void)
{
	for (unsigned i = 0; i < BYTES && (port_in8(STATUS) & FULL); i++) {
		(void)port_in8(DATA);
	}
}

/** See i8042.h. All ones is what is read where nothing is. */
bool i8042_init(struct i8042 *k)
{
	int config;

	*k = (struct i8042){ 0 };
	if (port_in8(STATUS) == 0xff || !send(STATUS, KEYBOARD_OFF) ||
	    !send(STATUS, MOUSE_OFF)) {
		return false;
	}
	drop_all();
	config = read_config();
	if (config < 0) {
		return false;
	}
	config &= ~(int)(CONFIG_IRQ_MOUSE | CONFIG_STOP);
	config |= CONFIG_IRQ | CONFIG_STOP_MOUSE | CONFIG_TRANSLATE;
	if (!send(STATUS, WRITE_CONFIG) || !send(DATA, (uint8_t)config)) {
		return false;
	}
	config = read_config();
	k->present = config >= 0 && send(STATUS, KEYBOARD_ON) &&
		     send(DATA, SCAN);
	k->set2 = !(config & CONFIG_TRANSLATE);
	/* its answer is no key's, but would be an edge that nobody takes */
	(void)(k->present && wait_status(FULL, FULL));
	drop_all();
	return k->present;
}

/** See i8042.h. Answers of the keyboard's to commands are no keys' codes. */
int i8042_byte(struct i8042 *k, uint8_t byte)
{
	unsigned code = byte;
	bool extended = k->extended, up = k->up;

	if (k->skip > 0) {
		k->skip--;
		return -1;
	}
	if (byte == 0xe0 || (k->set2 && byte == 0xf0)) {
		k->extended |= byte == 0xe0;
		k->up |= byte == 0xf0;
		return -1;
	}
	k->extended = k->up = false;
	if (byte == 0xe1) {
		k->skip = k->set2 ? 7 : 5;
		return -1;
	}
	if (k->set2) {
		code = byte < sizeof(set1) ? set1[byte] : 0;
	} else {
		up = byte & 0x80;
		code = byte & 0x7f;
	}
	/* with 0xe0 before it shift is none that somebody holds */
	if (code == 0 || code > 0x58 || (extended && (code == 0x2a || code == 0x36))) {
		return -1;
	}
	return (int)(code | (extended ? KEY_EXTENDED : 0) | (up ? I8042_UP : 0));
}

/** See i8042.h. Of a service's bytes, those up to a key's. */
int i8042_key(struct i8042 *k)
{
	for (unsigned i = 0; k->present && i < BYTES; i++) {
		uint8_t status = port_in8(STATUS);
		int key;

		if (!(status & FULL)) {
			break;
		}
		key = i8042_byte(k, port_in8(DATA));
		if (!(status & OF_MOUSE) && key >= 0) {
			return key;
		}
	}
	return -1;
}
