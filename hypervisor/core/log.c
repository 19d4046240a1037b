/* SPDX-License-Identifier: MIT */
/*
 * The log: a ring of text in the black box, always, and the serial line and the
 * screen until the host partition owns them; panic takes both back. Any CPU, any
 * context. It begins with what boot/ has said.
 *
 * log_lock keeps lines whole and is taken last of all locks; nothing below it
 * can wait for anything but a UART that is bounded. The last words of panic()
 * and stage_failed() do without it: who holds it may be the one that failed.
 *
 * Formats are this program's own. Text from outside is limited to the names of
 * partitions, which come out as the manifest has them.
 */
#include <stdarg.h>

#include <abi/hypercall.h>
#include <hv.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>

#include "text/fbtext.h"
#include "text/fmt.h"

#define LINE_MAX	400u
#define UART_LSR	5
#define UART_LSR_THRE	0x20u

/* Base 0: the machine has none. A loader of another version would not tell it. */
static struct boot_uart uart = { .base = BOOT_COM1 };
static bool uart_ours = true;	/* to use */
static struct fbtext screen;	/* without rows: none, or not ours to draw on */
static struct lock log_lock;
static uint32_t panicking;	/* set once, never cleared */

static bool uart_ready(void)
{
	uint32_t lsr = uart.kind == BOOT_UART_PORTS ? inb((uint16_t)(uart.base + UART_LSR)) :
		       uart.kind == BOOT_UART_BYTES ? ((volatile uint8_t *)uart.base)[UART_LSR] :
		       ((volatile uint32_t *)uart.base)[UART_LSR];

	return (lsr & UART_LSR_THRE) != 0;
}

static void uart_putc(char c)
{
	uint32_t spins = 0;

	/* a line that is stuck must not stop the hypervisor */
	while (!uart_ready() && ++spins < 1000000) {
		cpu_pause();
	}
	if (uart.kind == BOOT_UART_PORTS) {
		outb((uint16_t)uart.base, (uint8_t)c);
	} else if (uart.kind == BOOT_UART_BYTES) {
		*(volatile uint8_t *)uart.base = (uint8_t)c;
	} else {
		*(volatile uint32_t *)uart.base = (uint8_t)c;
	}
}

/* One character, ring first: what the line swallows can still be read.
 * log_lock held, or nobody else is left to write. */
static void emit(char c)
{
	if (box) {
		box_put(&box->log, c);
	}
	if (uart_ours) {
		if (c == '\n') {
			uart_putc('\r');
		}
		uart_putc(c);
	}
	fbtext_put(&screen, c);
	if (c == '\n') {
		fbtext_draw(&screen);
	}
}

static void emit_text(const char *s)
{
	for (; *s; s++) {
		emit(*s);
	}
}

/* A whole line or its end; what is longer than LINE_MAX is cut. */
static void emit_line(const char *fmt, va_list ap)
{
	char line[LINE_MAX];

	fmt_va(line, sizeof(line), fmt, ap);
	emit_text(line);
	emit('\n');
}

/* The serial line and the screen, whosever they were. What the host partition has
 * drawn stays where there is room. */
static void take_back(void)
{
	const struct boot_screen *s = &boot.screen;

	uart_ours = uart.base != 0;
	if (!screen.rows) {
		fbtext_init(&screen, screen.pixels, s->width, s->height,
			    s->stride, s->blue_first);
	}
}

/* A sentence behind a head, wherever the line before ends. */
static void last_words(const char *head, const char *fmt, va_list ap)
{
	take_back();
	emit('\n');
	fbtext_text(&screen, FBTEXT_FAILURE);
	/* the host partition's words may end anywhere, and be a guest's */
	emit_text(boot.mark);
	emit_text(head);
	emit_line(fmt, ap);
	fbtext_text(&screen, FBTEXT_USUAL);
}

/**
 * Where the serial port that boot/ has told is to be reached from now on; 0: there
 * is none, and the text goes to memory alone. Boot CPU, first of all.
 */
void log_init(uint64_t base)
{
	uart = boot.uart;
	uart.base = base;
	uart_ours = base != 0;
}

/**
 * Where the framebuffer, if there is one, is mapped from now on. The first time all
 * that has been said is drawn. Boot CPU; the ring has not gone round yet.
 */
void log_screen(volatile uint32_t *pixels)
{
	uint64_t i = screen.rows ? box->log.head : 0;

	screen.pixels = pixels;
	take_back();
	fbtext_text(&screen, i ? "" : FBTEXT_CLEAR);
	for (; i < box->log.head; i++) {
		fbtext_put(&screen, box->log.text[i % BOX_TEXT]);
	}
}

/** From now on the host partition owns them: memory only, until a panic. */
void log_quiet(void)
{
	uart_ours = false;
	screen.rows = 0;
}

/**
 * One line of the log: printf's %s %u %x with #, 0, width, l. Any CPU, with
 * or without locks; not from an NMI handler, which could find log_lock taken
 * by what it has interrupted.
 */
void log_write(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	lock_take(&log_lock);
	emit_line(fmt, ap);
	lock_drop(&log_lock);
	va_end(ap);
	/* after the lock: this wakes a vCPU */
	if (!uart_ours && partition_host()) {
		partition_event(partition_host(), HC_EVENT_LOG);
	}
}

/**
 * Copies log text from *cursor on (at most len bytes), moves the cursor.
 * Returns the number of bytes. The cursor is the host partition's word: one
 * beyond the end is moved to it, and text that the ring has lost is skipped.
 */
uint32_t log_read(uint64_t *cursor, char *out, uint32_t len)
{
	const struct box_log *log = &box->log;
	uint32_t n = 0;

	lock_take(&log_lock);
	*cursor = u64_min(*cursor, log->head);
	if (log->head - *cursor > BOX_TEXT) {
		*cursor = log->head - BOX_TEXT;
	}
	while (n < len && *cursor < log->head) {
		out[n++] = log->text[(*cursor)++ % BOX_TEXT];
	}
	lock_drop(&log_lock);
	return n;
}

/**
 * A stage of start-up that has been reached: docs/stages.md. "isthmus boot"
 * watches for these lines.
 */
void stage(unsigned int code, const char *name)
{
	log_write("isthmus: stage %u %s", code, name);
}

/**
 * Start-up cannot go on for what the machine is or lacks: says where and why
 * on the serial line, stops this CPU. Boot CPU, before the host partition
 * runs.
 */
void stage_failed(unsigned int code, const char *name, const char *why, ...)
{
	char head[80];
	va_list ap;

	fmt(head, sizeof(head), "isthmus: FAILED stage %u %s: ", code, name);
	va_start(ap, why);
	last_words(head, why, ap);
	va_end(ap);
	box_end();
}

/**
 * This CPU has got an NMI at rip: cpu_stop_others()'s, if some CPU has called panic(),
 * and then it stops; or of who has seen it hang. Others are nobody's.
 */
NOINLINE void log_nmi(uint64_t rip)
{
	if (panicking) {
		sched_last_turn();
	}
	box_nmi(rip);
}

/**
 * Our own bug: dump and stop the machine. Never for what a guest does, but for
 * the end of the host partition, which otherwise has the last word. Any CPU, any
 * lock held: the message takes none, the lines of the dump take log_lock. A second
 * panic, here or elsewhere, stops its CPU silently, so a fault while the dump is
 * written ends it.
 */
void panic(const char *fmt, ...)
{
	va_list ap;

	if (__atomic_exchange_n(&panicking, 1, __ATOMIC_ACQ_REL)) {
		box_end();
	}
	va_start(ap, fmt);
	last_words("isthmus: PANIC in the hypervisor: ", fmt, ap);
	va_end(ap);
	/* the message came first: it needs the least of the machine */
	cpu_stop_others();
	/* without per-CPU data there is no vCPU to dump */
	if (cpu_count && this_cpu()->current) {
		vcpu_dump(this_cpu()->current);
	}
	sched_last_turn();
}
