/* SPDX-License-Identifier: MIT */
/* The screen: text/fbtext.h on the loop's timer. State: one terminal. */
#include <stdio.h>

#include "abi/boot_info.h"
#include "host-bridge/dev/screen.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/hv_log.h"
#include "text/fbtext.h"

#define DELAY_MIN	20u		/* ms from a change to the picture */
#define DELAY_MAX	1000u	/* likewise, and where nobody types */
#define SHARE		10u		/* parts of the time, of which one is ours */

_Static_assert(FBTEXT_MARK == BOOT_MARK_BYTE &&
	       FBTEXT_MARK_LEN == BOOT_MARK_LEN, "text/fbtext.h");

static struct fbtext terminal;
static struct loop_timer timer;
static uint64_t delay = DELAY_MIN;
static bool used;
static void (*answer)(const char *bytes, size_t len);

/** See screen.h. */
void screen_draw(void)
{
	uint64_t begun = loop_now();

	fbtext_draw(&terminal);
	delay = loop_ticks_to_ms(loop_now() - begun) * (SHARE - 1);
	delay = delay < DELAY_MIN ? DELAY_MIN :
		delay > DELAY_MAX ? DELAY_MAX : delay;
}

static void on_timer(struct loop_timer *of)
{
	(void)of;
	screen_draw();
}

static void say_place(void)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "\033[%u;%uR",
			   (unsigned)terminal.row + 1, (unsigned)terminal.col + 1);

	terminal.asked = false;
	if (answer) {
		answer(text, (size_t)len);
	}
}

/** See screen.h. */
void screen_on_answer(void (*fn)(const char *bytes, size_t len))
{
	answer = fn;
}

/** See screen.h. */
void screen_write(const char *bytes, size_t len)
{
	if (!terminal.rows) {
		return;
	}
	for (size_t i = 0; i < len; i++) {
		fbtext_put(&terminal, bytes[i]);
		if (terminal.asked) {
			say_place();
		}
	}
	if (!timer.deadline) {
		loop_timer_set(&timer, used ? delay : DELAY_MAX, on_timer);
	}
}

/** See screen.h. */
void screen_used(void)
{
	used = true;
}

/** See screen.h. Once, before anything is said. */
void screen_init(const struct host_framebuffer *frame)
{
	char text[480];
	uint64_t at = 0;
	size_t len;

	if (!frame->gpa) {
		return;
	}
	fbtext_init(&terminal, (volatile uint32_t *)(uintptr_t)frame->gpa,
		    frame->width, frame->height, frame->stride,
		    frame->blue_first);
	screen_write(FBTEXT_CLEAR, sizeof(FBTEXT_CLEAR) - 1);
	while ((len = hv_log_read(NULL, &at, text, sizeof(text))) > 0) {
		screen_write(text, len);
	}
}
