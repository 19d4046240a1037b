/* SPDX-License-Identifier: MIT */
/*
 * Serial ports, by what is said of them: a name, ACPI's tables [Microsoft "Serial
 * Port Console Redirection Table", "Debug Port Table 2"], a PCI function's header
 * [PCI Code and ID Assignment "Simple communication controllers"]. Nothing is
 * trusted: what cannot be a port is none, and that one is there the hardware has to
 * show (uart_poll.c). No hardware here.
 */
#include <string.h>

#include "drivers/uart_places.h"

#define CLOCK		1843200u	/* a PC's, in Hz */
#define CLOCK_MAX	1000000000u
#define SPEED		115200u
#define REGISTERS	8u

/* Memory in which a port may be; not where interrupts and clocks are [SDM3 "Local
 * APIC"; IA-PC HPET "Register Overview"]. */
#define MEMORY_FIRST	0x100000ull
#define MEMORY_END	0x100000000ull
#define IOAPICS		0xfec00000ull
#define IOAPICS_END	0xfed01000ull
#define MESSAGES	0xfee00000ull
#define MESSAGES_END	0xfef00000ull

/* Offsets in a SPCR. */
#define SPCR_KIND	36u
#define SPCR_ADDRESS	40u
#define SPCR_SPEED	58u
#define SPCR_CLOCK	76u
#define SPCR_EXACT	80u	/* speed, from revision 4 on */
#define SPCR_SIZE	80u

/* Offsets in a DBG2, and in each device that it has. */
#define DBG2_FIRST	36u
#define DBG2_COUNT	40u
#define DBG2_SIZE	44u
#define DEVICE_LENGTH	1u
#define DEVICE_PLACES	3u
#define DEVICE_TYPE	12u
#define DEVICE_KIND	14u
#define DEVICE_ADDRESS	18u
#define DEVICE_SIZE	22u
#define DEVICE_SERIAL	0x8000u

/* Kinds of both tables: a 16550, a part of one, and one in whose address the
 * distance of registers counts. */
#define KIND_16550	0x0u
#define KIND_16450	0x1u
#define KIND_GAS	0x12u

#define GAS_SIZE	12u
#define PCI_SERIAL	0x0700u	/* class; interfaces up to PCI_16950 are 16550s */
#define PCI_16950	6u

const uint16_t uart_coms[UART_COMS] = { BOOT_COM1, 0x2f8, 0x3e8, 0x2e8 };

/* Little-endian, at any alignment. */
static uint64_t get(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	memcpy(&v, p, bytes);
	return v;
}

/** Can a port be there? Not PCI's configuration ports, nor beyond 4 GiB. */
bool uart_place_ok(const struct boot_uart *uart)
{
	uint64_t base = uart->base;
	uint64_t size = uart->kind == BOOT_UART_WORDS ? REGISTERS * 4 : REGISTERS;

	if (base % size != 0) {
		return false;
	}
	return uart->kind == BOOT_UART_PORTS ?
	       base >= 0x100 && base < 0x10000 && base != 0xcf8 :
	       base >= MEMORY_FIRST && base < MEMORY_END &&
	       (base < IOAPICS || base >= IOAPICS_END) &&
	       (base < MESSAGES || base >= MESSAGES_END);
}

/* What begins with head: the number behind it, of 1 to 8 hexadecimal digits. */
static bool number_behind(const char *text, const char *head, uint64_t *number)
{
	size_t len = strlen(head), digits = strlen(text);

	if (digits <= len || digits > len + 8 || memcmp(text, head, len) != 0) {
		return false;
	}
	for (*number = 0, text += len; *text != '\0'; text++) {
		char low = (char)(*text | 0x20);
		bool digit = *text >= '0' && *text <= '9';

		if (!digit && (low < 'a' || low > 'f')) {
			return false;
		}
		*number = *number << 4 | (uint64_t)(digit ? *text - '0' : low - 'a' + 10);
	}
	return true;
}

/**
 * Reads "com1" to "com4", a port "0x2f8", bytes of memory "mmio:0xfe030000", words
 * "mmio32:0xfedc9000", or "none", which is base 0. False: none of these, or where
 * no port can be. Ports are fast, by a PC's clock; memory is as it was set.
 */
bool uart_named(const char *text, struct boot_uart *uart)
{
	uint64_t n = 0;

	uart->kind = BOOT_UART_PORTS;
	if (number_behind(text, "com", &n)) {
		n = n >= 1 && n <= UART_COMS ? uart_coms[n - 1] : 0;
	} else if (number_behind(text, "mmio:0x", &n)) {
		uart->kind = BOOT_UART_BYTES;
	} else if (number_behind(text, "mmio32:0x", &n)) {
		uart->kind = BOOT_UART_WORDS;
	} else if (!number_behind(text, "0x", &n)) {
		uart->base = 0;
		return strcmp(text, "none") == 0;
	}
	uart->base = n;
	uart->divisor = uart->kind == BOOT_UART_PORTS;
	return uart_place_ok(uart);
}

/**
 * The divisor that makes speed, in bit/s, of a clock in Hz (0: a PC's); false: none
 * does, within 3 %, which a receiver still understands.
 */
bool uart_divisor(uint32_t clock, uint32_t speed, uint32_t *divisor)
{
	uint64_t is = clock != 0 ? clock : CLOCK, sixteen = 16ull * speed, made;

	if (sixteen == 0) {
		return false;
	}
	*divisor = (uint32_t)((is + sixteen / 2) / sixteen);
	made = *divisor * sixteen;
	return *divisor > 0 && *divisor <= 0xffff &&
	       (made > is ? made - is : is - made) * 100 <= is * 3;
}

/* What nobody says: a port's clock is a PC's, and it is to be fast. One in memory
 * stays as the firmware has set it, unless somebody says more. */
static void speed_set(struct uart_found *found, uint32_t speed)
{
	bool known = found->uart.kind == BOOT_UART_PORTS || found->clock != 0;

	found->uart.divisor = 0;
	if (known && speed != 0 &&
	    !uart_divisor(found->clock, speed, &found->uart.divisor)) {
		found->uart.divisor = 0;
	}
}

/* A generic address [ACPI 6.5 "Generic Address Structure"] of a port of that kind. */
static bool address_read(const uint8_t *gas, uint64_t kind, struct boot_uart *uart)
{
	uint8_t space = gas[0], width = gas[1], offset = gas[2];

	if ((kind != KIND_16550 && kind != KIND_16450 && kind != KIND_GAS) || space > 1 ||
	    offset != 0 || (width != 0 && width != 8 && (width != 32 || space != 0))) {
		return false;
	}
	uart->kind = space == 1 ? BOOT_UART_PORTS :
		     width == 32 ? BOOT_UART_WORDS : BOOT_UART_BYTES;
	uart->base = get(gas + 4, 8);
	return uart_place_ok(uart);
}

/** The port of a SPCR of size bytes; false: it has none that is a 16550. */
bool uart_by_spcr(const uint8_t *table, uint32_t size, struct uart_found *found)
{
	static const uint32_t speeds[] = { [3] = 9600, [4] = 19200, [6] = 57600, [7] = SPEED };
	uint32_t speed = 0, clock;

	if (size < SPCR_SIZE ||
	    !address_read(table + SPCR_ADDRESS, table[SPCR_KIND], &found->uart)) {
		return false;
	}
	clock = (uint32_t)get(table + SPCR_CLOCK, 4);
	found->clock = clock <= CLOCK_MAX ? clock : 0;
	if (table[SPCR_SPEED] < sizeof(speeds) / sizeof(speeds[0])) {
		speed = speeds[table[SPCR_SPEED]];
	}
	if (table[8] >= 4 && size >= SPCR_EXACT + 4 && get(table + SPCR_EXACT, 4) != 0) {
		speed = (uint32_t)get(table + SPCR_EXACT, 4);
	}
	speed_set(found, speed);
	return true;
}

/** The first 16550 of a DBG2 of size bytes; false: there is none. */
bool uart_by_dbg2(const uint8_t *table, uint32_t size, struct uart_found *found)
{
	uint64_t at, count, len = 0, gas;

	if (size < DBG2_SIZE) {
		return false;
	}
	at = get(table + DBG2_FIRST, 4);
	count = get(table + DBG2_COUNT, 4);
	for (; count > 0 && at + DEVICE_SIZE <= size; count--, at += len) {
		const uint8_t *d = table + at;

		len = get(d + DEVICE_LENGTH, 2);
		gas = get(d + DEVICE_ADDRESS, 2);
		if (len < DEVICE_SIZE || at + len > size) {
			return false;
		}
		if (get(d + DEVICE_TYPE, 2) == DEVICE_SERIAL && d[DEVICE_PLACES] > 0 &&
		    gas + GAS_SIZE <= len &&
		    address_read(d + gas, get(d + DEVICE_KIND, 2), &found->uart)) {
			found->clock = 0;
			speed_set(found, SPEED);
			return true;
		}
	}
	return false;
}

/**
 * The port of a PCI function, by the first registers of its configuration space up
 * to the first BAR and the one behind; false: it is no 16550, or at no usable place.
 */
bool uart_by_pci(const uint32_t config[6], struct uart_found *found)
{
	uint32_t bar = config[4];
	bool ports = (bar & 1) != 0, high = !ports && (bar & 0x6) == 0x4 && config[5] != 0;

	*found = (struct uart_found) { .uart = {
		.base = bar & ~(ports ? 0x3u : 0xfu),
		.kind = ports ? BOOT_UART_PORTS : BOOT_UART_BYTES } };
	speed_set(found, SPEED);
	return config[2] >> 16 == PCI_SERIAL && (config[2] >> 8 & 0xff) <= PCI_16950 &&
	       (config[3] >> 16 & 0x7f) == 0 && !high && uart_place_ok(&found->uart);
}
