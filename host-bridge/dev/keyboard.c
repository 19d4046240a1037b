/* SPDX-License-Identifier: MIT */
/* Keyboards on the loop's events; what is typed goes to keys.h. */
#include "drivers/i8042.h"
#include "drivers/keymap.h"
#include "host-bridge/dev/keyboard.h"
#include "host-bridge/dev/keys.h"
#include "host-bridge/dev/screen.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/hc.h"
#include "host-bridge/rt/notice.h"

#define ASK_MS		30u
#define HELD_MS		400u		/* until a key repeats .. */
#define REPEAT_MS	40u		/* .. and between its repetitions */

static struct i8042 controller;
static struct keymap map;
static struct loop_timer timer;
static unsigned held;			/* what repeats; 0: nothing */
static struct loop_timer repeat;

/* Whether it makes anything. */
static bool take(unsigned key, bool down)
{
	char bytes[KEYMAP_BYTES];
	size_t len = keymap_key(&map, key, down, bytes);

	screen_used();
	keys_put(bytes, len);
	return len > 0;
}

/** See keyboard.h. */
void keyboard_key(unsigned key, bool down)
{
	(void)take(key, down);
}

static void on_repeat(struct loop_timer *of)
{
	if (take(held, true)) {
		loop_timer_set(of, REPEAT_MS, on_repeat);
	}
}

/** See keyboard.h. The last one that went down repeats. */
void keyboard_key_repeated(unsigned key, bool down)
{
	bool makes = take(key, down);

	if (makes) {
		held = key;
		loop_timer_set(&repeat, HELD_MS, on_repeat);
	} else if (!down && key == held) {
		held = 0;
		loop_timer_cancel(&repeat);
	}
}

static void on_irq(void *arg)
{
	int key;

	(void)arg;
	while ((key = i8042_key(&controller)) >= 0) {
		keyboard_key((unsigned)key & ~I8042_UP, !(key & I8042_UP));
	}
}

static void on_timer(struct loop_timer *of)
{
	on_irq(NULL);
	loop_timer_set(of, ASK_MS, on_timer);
}

/** See keyboard.h. Once. */
void keyboard_init(const char *layout, int line)
{
	if (!keymap_init(&map, layout)) {
		notice("keyboard: there is no layout \"%s\"", layout);
	}
	if (!i8042_init(&controller)) {
		return;
	}
	if (line < 0) {
		loop_timer_set(&timer, ASK_MS, on_timer);
		return;
	}
	loop_on_event(HC_EVENT_IRQ((unsigned)line), on_irq, NULL);
	(void)hc_irq((unsigned)line, 1);
}
