/* SPDX-License-Identifier: MIT */
/*
 * Which serial port the loader takes: in which order, that memory is never taken
 * for one, what the manifest changes, and what the others are told. The firmware,
 * its tables and the ports that answer are the test's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <efi.h>
#include <efipciio.h>

#include "boot/loader.h"
#include "drivers/uart_regs.h"

EFI_BOOT_SERVICES *efi_bs;
struct box_log *console_log;

static uint64_t answers[8];		/* bases of ports that do */
static unsigned touched;		/* of memory */
static struct boot_uart set;		/* the last one that was set up */
static char sent[400], said[400];
static jmp_buf failed;
static uint8_t spcr[80], dbg2[78];
static struct box_log past;
static struct boot_info info;
static struct host_info host;
static struct manifest manifest;

bool uart_present(const struct boot_uart *at)
{
	touched += at->kind != BOOT_UART_PORTS;
	for (unsigned i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		if (at->base != 0 && answers[i] == at->base) {
			return true;
		}
	}
	return false;
}

void uart_set_up(const struct boot_uart *at)
{
	set = *at;
}

void uart_send(const struct boot_uart *at, uint8_t byte)
{
	assert_int_equal(at->base, serial_uart()->base);
	assert_true(strlen(sent) < sizeof(sent) - 1);
	sent[strlen(sent)] = (char)byte;
}

const uint8_t *acpi_find(uint64_t rsdp, const char *signature, uint32_t *size)
{
	const uint8_t *t = strcmp(signature, "SPCR") == 0 ? spcr : dbg2;

	assert_int_equal(rsdp, 0x1000);
	*size = t == spcr ? sizeof(spcr) : sizeof(dbg2);
	return t[0] != 0 ? t : NULL;
}

void console_say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
}

void console_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
	longjmp(failed, 1);
}

/* ---- the firmware: three functions of PCI, and RAM up to 1 GiB ---- */

static struct card {
	EFI_PCI_IO pci;			/* first */
	UINT32 config[6];
	UINTN device;
	UINT64 on;
} cards[3];

static EFI_STATUS EFIAPI config_read(EFI_PCI_IO *pci, EFI_PCI_IO_PROTOCOL_WIDTH width,
				     UINT32 offset, UINTN count, VOID *out)
{
	assert_int_equal(width, EfiPciIoWidthUint32);
	assert_int_equal(offset, 0);
	assert_true(count <= 6);
	memcpy(out, ((struct card *)pci)->config, 4 * count);
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI location(EFI_PCI_IO *pci, UINTN *segment, UINTN *bus, UINTN *device,
				  UINTN *function)
{
	*segment = *bus = *function = 0;
	*device = ((struct card *)pci)->device;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI attributes(EFI_PCI_IO *pci, EFI_PCI_IO_PROTOCOL_ATTRIBUTE_OPERATION what,
				    UINT64 which, UINT64 *result)
{
	assert_int_equal(what, EfiPciIoAttributeOperationEnable);
	assert_null(result);
	((struct card *)pci)->on |= which;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI locate(EFI_LOCATE_SEARCH_TYPE type, EFI_GUID *guid, VOID *key,
				UINTN *size, EFI_HANDLE *handles)
{
	assert_int_equal(type, ByProtocol);
	assert_non_null(guid);
	assert_null(key);
	assert_true(*size >= 3 * sizeof(handles[0]));
	for (unsigned i = 0; i < 3; i++) {
		handles[i] = &cards[i];
	}
	*size = 3 * sizeof(handles[0]);
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI protocol(EFI_HANDLE handle, EFI_GUID *guid, VOID **out)
{
	assert_non_null(guid);
	*out = handle;
	return EFI_SUCCESS;
}

static bool no_map;

static EFI_STATUS EFIAPI memory_map(UINTN *size, EFI_MEMORY_DESCRIPTOR *map, UINTN *key,
				    UINTN *stride, UINT32 *version)
{
	const EFI_MEMORY_DESCRIPTOR all[] = {
		{ .Type = EfiConventionalMemory, .NumberOfPages = 0x40000 },
		{ .Type = EfiRuntimeServicesData, .PhysicalStart = 0xfe000000,
		  .NumberOfPages = 16 },
		{ .Type = EfiMemoryMappedIO, .PhysicalStart = 0xfe030000, .NumberOfPages = 1 },
	};

	if (no_map) {
		return EFI_BUFFER_TOO_SMALL;
	}
	assert_true(*size >= sizeof(all));
	memcpy(map, all, sizeof(all));
	*size = sizeof(all);
	*stride = sizeof(all[0]);
	*key = *version = 1;
	return EFI_SUCCESS;
}

static EFI_BOOT_SERVICES services = { .LocateHandle = locate, .HandleProtocol = protocol,
				      .GetMemoryMap = memory_map };

static void gas(uint8_t *at, uint8_t space, uint64_t address)
{
	at[0] = space;
	at[1] = 8;
	memcpy(at + 4, &address, sizeof(address));
}

static int fresh(void **state)
{
	(void)state;
	efi_bs = &services;
	no_map = false;
	touched = 0;
	memset(answers, 0, sizeof(answers));
	memset(spcr, 0, sizeof(spcr));
	memset(dbg2, 0, sizeof(dbg2));
	memset(&manifest, 0, sizeof(manifest));
	memset(&info, 0, sizeof(info));
	memset(&host, 0, sizeof(host));
	memset(sent, 0, sizeof(sent));
	memset(&past, 0, sizeof(past));
	memset(&set, 0, sizeof(set));
	console_log = NULL;
	for (unsigned i = 0; i < 3; i++) {
		cards[i] = (struct card) { .device = i + 1, .pci = {
			.GetLocation = location, .Attributes = attributes } };
		cards[i].pci.Pci.Read = config_read;
	}
	/* a display; a card at ports; another in memory */
	memcpy(cards[0].config, (UINT32[]) { 0x11111234, 7, 0x03000001, 0, 0xe000 | 1, 0 }, 24);
	memcpy(cards[1].config, (UINT32[]) { 0x00021b36, 0, 0x07000201, 0, 0xc000 | 1, 0 }, 24);
	memcpy(cards[2].config, (UINT32[]) { 0x0f0a8086, 0, 0x07000201, 0, 0xfe500000, 0 }, 24);
	return 0;
}

static void spcr_is(uint8_t space, uint64_t address)
{
	spcr[0] = 'S';
	spcr[58] = 3;
	gas(spcr + 40, space, address);
}

static void dbg2_is(uint64_t port)
{
	static const uint8_t device[] = { 0, 34, 0, 1, [13] = 0x80, [18] = 22 };

	dbg2[0] = 'D';
	dbg2[36] = 44;
	dbg2[40] = 1;
	memcpy(dbg2 + 44, device, sizeof(device));
	gas(dbg2 + 66, 1, port);
}

static void found(uint64_t base, const char *by)
{
	serial_find(0x1000);
	assert_int_equal(serial_uart()->base, base);
	assert_non_null(strstr(said, by));
	if (base != 0) {
		assert_int_equal(set.base, base);
	}
}

/* The first that answers, in this order; each has a place of its own. */
static void order(void **state)
{
	static const uint64_t all[] = { 0x280, 0x290, 0x3f8, 0x2f8, 0x3e8, 0x2e8, 0xc000,
					0xfe500000 };
	static const char *const by[] = { "SPCR", "DBG2", "COM1 to COM4", "COM1 to COM4",
					  "COM1 to COM4", "COM1 to COM4", "PCI", "PCI" };

	(void)state;
	spcr_is(1, 0x280);
	dbg2_is(0x290);
	for (unsigned i = 0; i < 8; i++) {
		memcpy(answers + i, all + i, sizeof(all) - i * sizeof(all[0]));
		memset(answers, 0, i * sizeof(all[0]));
		found(all[i], by[i]);
		assert_int_equal(set.divisor, i == 0 ? 12 : i == 7 ? 0 : 1);
	}
	memset(answers, 0, sizeof(answers));
}

/* Only a serial card is made to decode, and that what it decodes. */
static void cards_decode(void **state)
{
	(void)state;
	answers[0] = 0xe000;		/* the display's, and no port */
	answers[1] = 0xfe500000;
	found(0xfe500000, "PCI");
	assert_int_equal(cards[0].on, 0);
	assert_int_equal(cards[1].on, EFI_PCI_IO_ATTRIBUTE_IO);
	assert_int_equal(cards[2].on, EFI_PCI_IO_ATTRIBUTE_MEMORY);
	assert_int_equal(serial_uart()->kind, BOOT_UART_BYTES);
}

/* What the firmware calls memory is not even tried; what it calls a device is. */
static void memory_is_not_touched(void **state)
{
	static const uint64_t places[] = { 0x200000, 0x3ffffff8, 0xfe000000, 0xfe00fff8 };

	(void)state;
	answers[0] = 0x2f8;
	for (unsigned i = 0; i < 4; i++) {
		answers[1] = places[i];
		spcr_is(0, places[i]);
		found(0x2f8, "COM1 to COM4");
	}
	assert_int_equal(touched, 0);
	answers[1] = 0xfe030000;
	spcr_is(0, 0xfe030000);
	found(0xfe030000, "SPCR");
	assert_true(touched > 0);
	/* if it cannot be told nothing is tried */
	touched = 0;
	no_map = true;
	found(0x2f8, "COM1 to COM4");
	assert_int_equal(touched, 0);
}

/* The manifest moves the console; what was said before comes again. */
static void the_manifest_chooses(void **state)
{
	(void)state;
	answers[0] = 0x3f8;
	answers[1] = 0x2e8;
	answers[2] = 0xc000;
	found(0x3f8, "COM1 to COM4");
	box_put(&past, 'a');
	box_put(&past, '\n');
	console_log = &past;
	serial_choose(&manifest, "m");
	assert_int_equal(serial_uart()->base, 0x3f8);
	assert_string_equal(sent, "");
	manifest.serial = "com4";
	manifest.serial_uart = (struct boot_uart) { .base = 0x2e8, .divisor = 1 };
	serial_choose(&manifest, "m");
	assert_int_equal(serial_uart()->base, 0x2e8);
	assert_string_equal(sent, "a\r\n");
	assert_non_null(strstr(said, "at port 0x2e8, by the manifest"));
	/* who does not answer changes nothing, and is named */
	manifest.serial = "com3";
	manifest.serial_uart.base = 0x3e8;
	serial_choose(&manifest, "m");
	assert_int_equal(serial_uart()->base, 0x2e8);
	assert_non_null(strstr(said, "answers at \"com3\""));
	manifest.serial_uart.base = 0;
	manifest.serial_rule = (struct pci_rule) { PCI_BY_ADDRESS, UINT32_MAX, 3 << 3 };
	serial_choose(&manifest, "m");
	assert_int_equal(serial_uart()->base, 0x2e8);
	manifest.serial_rule.value = 2 << 3;
	serial_choose(&manifest, "m");
	assert_int_equal(serial_uart()->base, 0xc000);
	manifest.serial_rule.mask = 0;
	memset(sent, 0, sizeof(sent));
	serial_choose(&manifest, "m");
	assert_int_equal(serial_uart()->base, 0);
	serial_put('x');
	assert_string_equal(sent, "");
}

static void speeds(void **state)
{
	(void)state;
	answers[0] = 0x3f8;
	found(0x3f8, "COM1 to COM4");
	manifest.serial_speed = 9600;
	serial_choose(&manifest, "m");
	assert_int_equal(set.divisor, 12);
	manifest.serial_clock = 24000000;
	serial_choose(&manifest, "m");
	assert_int_equal(set.divisor, 156);
	manifest.serial_speed = 3000000;
	if (setjmp(failed) == 0) {
		serial_choose(&manifest, "m");
		fail();
	}
	assert_non_null(strstr(said, "m: /chosen: property \"serial-speed\""));
	/* without a port there is none that is too fast */
	manifest.serial = "none";
	serial_choose(&manifest, "m");
	assert_int_equal(serial_uart()->base, 0);
}

static void others_are_told(void **state)
{
	struct boot_partition *p = info.partitions;

	(void)state;
	p->irqs[0].gsi = 4;
	p->irqs[1].gsi = 3;
	p->irq_count = 2;
	answers[0] = 0x2f8;
	found(0x2f8, "COM1 to COM4");
	serial_tell(&info, &host);
	assert_int_equal(info.uart.base, 0x2f8);
	assert_int_equal(host.uart.base, 0x2f8);
	assert_int_equal(host.uart.divisor, 1);
	assert_int_equal(host.uart_line, 1);
	assert_int_equal(p->port_count, 1);
	assert_int_equal(p->ports[0].first, 0x2f8);
	assert_int_equal(p->ports[0].last, 0x2ff);
	assert_int_equal(p->ports[0].policy, BOOT_PORT_NATIVE);
	/* its input is not the host partition's: it is asked */
	p->irq_count = 1;
	serial_tell(&info, &host);
	assert_int_equal(host.uart_line, HOST_UART_POLLED);
	/* COM4's is no PC's word */
	answers[0] = 0x2e8;
	p->irq_count = 2;
	found(0x2e8, "COM1 to COM4");
	serial_tell(&info, &host);
	assert_int_equal(host.uart_line, HOST_UART_POLLED);
	assert_int_equal(p->mmio_count, 0);
}

static void memory_is_told(void **state)
{
	struct boot_partition *p = info.partitions;

	(void)state;
	answers[0] = 0xfe030008;
	spcr_is(0, 0xfe030008);
	found(0xfe030008, "SPCR");
	serial_tell(&info, &host);
	assert_int_equal(info.uart.base, 0xfe030008);
	assert_int_equal(info.uart.kind, BOOT_UART_BYTES);
	assert_int_equal(host.uart.base, HOST_UART_GPA + 8);
	assert_int_equal(host.uart_line, HOST_UART_POLLED);
	assert_int_equal(p->port_count, 0);
	assert_int_equal(p->mmio_count, 1);
	assert_int_equal(p->mmio[0].hpa, 0xfe030000);
	assert_int_equal(p->mmio[0].gpa, HOST_UART_GPA);
	assert_int_equal(p->mmio[0].size, 4096);
	assert_int_equal(p->mmio[0].flags, BOOT_MAP_WRITE | BOOT_MAP_UNCACHED);
}

static void none(void **state)
{
	struct boot_partition *p = info.partitions;

	(void)state;
	found(0, "none answers");
	serial_put('x');
	serial_tell(&info, &host);
	assert_int_equal(info.uart.base, 0);
	assert_int_equal(host.uart.base, 0);
	assert_int_equal(p->port_count + p->mmio_count, 0);
}

#define TEST(f) cmocka_unit_test_setup(f, fresh)

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* first: none has been found yet */
		TEST(none), TEST(order), TEST(cards_decode), TEST(memory_is_not_touched),
		TEST(the_manifest_chooses), TEST(speeds), TEST(others_are_told),
		TEST(memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
