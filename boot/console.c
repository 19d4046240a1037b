/* SPDX-License-Identifier: MIT */
/*
 * Messages, on a serial port (serial.c) and on screens: on one by our own hand
 * (screen.c), on others by the firmware's, as long as it is there.
 *
 * Firmware often shows its console on the serial port too. Every line goes
 * there once, by our own hand: of the firmware's outputs only those are used
 * that belong to a graphics adapter.
 */
#include <stdarg.h>

#include "text/fmt.h"
#include "loader.h"
#include "text/fbtext.h"

#define LINE_MAX	512
#define SCREEN_MAX	4

/* No call of the firmware's takes so long without a sign of life of ours: one
 * that does is not coming back. */
#define QUIET_MAX	20u			/* seconds */
#define QUIET_TICK	10000000ull		/* one, in 100 ns */

/* Nobody may be there to press a key. */
#define KEY_WAIT	(60ull * 10000000)	/* a minute, in 100 ns */

static EFI_GUID graphics_guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
static EFI_GUID text_guid = EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL_GUID;

static SIMPLE_TEXT_OUTPUT_INTERFACE *screen[SCREEN_MAX];
static unsigned screens;
static bool firmware_left;	/* no EFI call any more */
static enum stage stage_now;
static const char *stage_name;
static EFI_EVENT ticks;
static unsigned quiet;		/* ticks since something was written */
struct box_log *console_log;	/* where it is kept, too; NULL: nowhere */

/* The firmware's own console handle is left out: it stands for all outputs
 * together, serial ones too. */
static void screens_find(void)
{
	EFI_HANDLE handles[SCREEN_MAX];
	UINTN size = sizeof(handles);
	SIMPLE_TEXT_OUTPUT_INTERFACE *out;

	if (EFI_ERROR(efi_bs->LocateHandle(ByProtocol, &graphics_guid, NULL, &size, handles))) {
		return;
	}
	for (UINTN i = 0; i < size / sizeof(handles[0]); i++) {
		bool ours = screen_take(handles[i]);

		if (handles[i] != efi_st->ConsoleOutHandle &&
		    !EFI_ERROR(efi_bs->HandleProtocol(handles[i], &text_guid, (void **)&out))) {
			out->EnableCursor(out, FALSE);
			out->ClearScreen(out);
			screen[screens] = out;
			screens += !ours;
		}
	}
}

/**
 * Writes text as it is, to the serial port and to all screens as long as there
 * are any; '\n' ends a line on both.
 */
void console_write(const char *text)
{
	quiet = 0;
	screen_write(text);
	for (; *text != '\0'; text++) {
		CHAR16 wide[3] = { (CHAR16)*text };

		if (console_log != NULL) {
			box_put(console_log, *text);
		}
		if (*text == '\n') {
			wide[0] = '\r';
			wide[1] = '\n';
		}
		serial_put(*text);
		for (unsigned i = 0; i < screens && !firmware_left; i++) {
			screen[i]->OutputString(screen[i], wide);
		}
	}
}

/* Each second, in whatever the firmware or the loader is doing: no stop of
 * ours is silent. Here only output may be asked of the firmware. */
static EFIAPI void tick(EFI_EVENT event, void *context)
{
	(void)event;
	(void)context;
	if (++quiet < QUIET_MAX) {
		return;
	}
	screen_write(FBTEXT_FAILURE);
	console_say("FAILED stage %u %s: nothing has happened for %u s: the firmware, or a device "
		    "it works with, hangs; switch the machine off and on, and update the firmware",
		    stage_now, stage_name, QUIET_MAX);
	for (;;) {
		__asm__ volatile("cli; hlt");
	}
}

/**
 * Finds screens and, with the help of ACPI's root pointer, the serial port. Output
 * works from here on, and a silence of QUIET_MAX seconds ends the boot. More than
 * SCREEN_MAX screens: none is used, the serial port still is.
 */
void console_init(uint64_t rsdp)
{
	screens_find();
	console_write("\n");
	serial_find(rsdp);
	/* one that cannot be had is no reason not to boot */
	if (EFI_ERROR(efi_bs->CreateEvent(EVT_TIMER | EVT_NOTIFY_SIGNAL, TPL_NOTIFY, tick, NULL,
					  &ticks)) ||
	    EFI_ERROR(efi_bs->SetTimer(ticks, TimerPeriodic, QUIET_TICK))) {
		console_say("no timer: if the firmware hangs, nothing will tell");
	}
}

/**
 * No screen of the firmware's any more: it is gone, or about to. From here on
 * console_fail() halts, and nothing watches the time.
 */
void console_leave_firmware(void)
{
	efi_bs->CloseEvent(ticks);
	firmware_left = true;
}

/**
 * Prints a line that begins with "isthmus: "; formats as for fmt_va(). What is
 * longer than LINE_MAX is cut.
 */
void console_say(const char *format, ...)
{
	char line[LINE_MAX];
	va_list ap;

	va_start(ap, format);
	fmt_va(line, sizeof(line), format, ap);
	va_end(ap);
	console_write("isthmus: ");
	console_write(line);
	console_write("\n");
}

/** Announces a stage; a failure from here on belongs to it. name must stay. */
void console_stage(enum stage stage, const char *name)
{
	stage_now = stage;
	stage_name = name;
	console_say("stage %u %s", stage, name);
}

/* Leaves the message on the screen until a key or a minute. */
static void wait_for_key(void)
{
	EFI_EVENT events[2];
	UINTN which, count = 1;

	console_say("press a key to return to the firmware (or wait a minute)");
	if (EFI_ERROR(efi_bs->CreateEvent(EVT_TIMER, 0, NULL, NULL, &events[0])) ||
	    EFI_ERROR(efi_bs->SetTimer(events[0], TimerRelative, KEY_WAIT))) {
		return;
	}
	if (efi_st->ConIn != NULL) {
		efi_st->ConIn->Reset(efi_st->ConIn, FALSE);
		events[count++] = efi_st->ConIn->WaitForKey;
	}
	efi_bs->WaitForEvent(count, events, &which);
}

/**
 * Ends the boot: prints the stage and the message (what, where, what to do),
 * then returns to the firmware with an error, or halts if that is gone.
 */
void console_fail(const char *format, ...)
{
	char line[LINE_MAX];
	va_list ap;

	va_start(ap, format);
	fmt_va(line, sizeof(line), format, ap);
	va_end(ap);
	screen_write(FBTEXT_FAILURE);
	console_say("FAILED stage %u %s: %s", stage_now, stage_name, line);
	screen_write(FBTEXT_USUAL);
	if (!firmware_left) {
		efi_bs->SetTimer(ticks, TimerCancel, 0);
		wait_for_key();
		efi_bs->Exit(efi_image, EFI_LOAD_ERROR, 0, NULL);
	}
	for (;;) {
		__asm__ volatile("cli; hlt");
	}
}
