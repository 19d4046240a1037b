/* SPDX-License-Identifier: MIT */
/*
 * The serial port that the console has: the manifest's, or the first that answers
 * of those that the firmware's tables name, COM1 to COM4, and PCI's. The firmware
 * is asked where memory and PCI functions are, so that nothing is written to what
 * is no device.
 */
#include <string.h>

#include <efi.h>
#include <efipciio.h>

#include "drivers/uart_places.h"
#include "drivers/uart_regs.h"
#include "loader.h"

#define DESCRIPTORS_MAX	(64u << 10)	/* bytes of the firmware's memory map */
#define HANDLES_MAX	512u

static EFI_GUID pci_guid = EFI_PCI_IO_PROTOCOL_GUID;

static struct uart_found port;		/* the console's */
static const char *told_by;

/* Is there memory, of whatever kind, in that page? If it cannot be told there is. */
static bool memory_is_at(uint64_t base)
{
	static uint8_t descriptors[DESCRIPTORS_MAX] __attribute__((aligned(8)));
	static struct memmap map;
	UINTN size = sizeof(descriptors), key, stride;
	UINT32 version;

	base &= ~(PAGE_SIZE - 1);
	map.inputs = 0;
	return EFI_ERROR(efi_bs->GetMemoryMap(&size, (EFI_MEMORY_DESCRIPTOR *)descriptors, &key,
					      &stride, &version)) ||
	       !memmap_add_efi(&map, descriptors, size, stride) || !memmap_make(&map) ||
	       memmap_overlaps(&map, base, base + PAGE_SIZE);
}

/* Makes it the console's, if a 16550 answers there. */
static bool take(const struct uart_found *from, const char *by)
{
	if ((from->uart.kind != BOOT_UART_PORTS && memory_is_at(from->uart.base)) ||
	    !uart_present(&from->uart)) {
		return false;
	}
	port = *from;
	told_by = by;
	uart_set_up(&port.uart);
	return true;
}

/* The first function that the rule is for and that is a serial port; it decodes its
 * address from now on. */
static bool take_pci(const struct pci_rule *rule, const char *by)
{
	static EFI_HANDLE handles[HANDLES_MAX];
	UINTN size = sizeof(handles), at[4];
	uint32_t config[6];
	struct uart_found found;
	EFI_PCI_IO *pci;

	if (EFI_ERROR(efi_bs->LocateHandle(ByProtocol, &pci_guid, NULL, &size, handles))) {
		return false;
	}
	for (UINTN i = 0; i < size / sizeof(handles[0]); i++) {
		struct boot_pci is;

		if (EFI_ERROR(efi_bs->HandleProtocol(handles[i], &pci_guid, (void **)&pci)) ||
		    EFI_ERROR(pci->GetLocation(pci, &at[0], &at[1], &at[2], &at[3])) ||
		    EFI_ERROR(pci->Pci.Read(pci, EfiPciIoWidthUint32, 0, 6,
					    config))) {
			continue;
		}
		is = (struct boot_pci) {
			.address = (uint32_t)(at[0] << 16 | at[1] << 8 | at[2] << 3 | at[3]),
			.id = config[0], .class = config[2] };
		if (pci_rule_is_for(rule, &is) && uart_by_pci(config, &found) &&
		    !EFI_ERROR(pci->Attributes(pci, EfiPciIoAttributeOperationEnable,
					       found.uart.kind == BOOT_UART_PORTS ?
					       EFI_PCI_IO_ATTRIBUTE_IO :
					       EFI_PCI_IO_ATTRIBUTE_MEMORY, NULL)) &&
		    take(&found, by)) {
			return true;
		}
	}
	return false;
}

static void say(void)
{
	console_say(port.uart.base == 0 ? "serial port: none answers" :
		    "serial port: %s 0x%lx, by %s", port.uart.kind == BOOT_UART_PORTS ?
		    "at port" : "in memory at", port.uart.base, told_by);
}

/**
 * Finds the port that is used until the manifest is read, and says where it is: by
 * ACPI's tables, which the root pointer leads to, else where PCs have ports. Once.
 */
void serial_find(uint64_t rsdp)
{
	struct uart_found found;
	uint32_t size;
	const uint8_t *table = acpi_find(rsdp, "SPCR", &size);
	bool have = table != NULL && uart_by_spcr(table, size, &found) &&
		    take(&found, "the ACPI SPCR");

	table = acpi_find(rsdp, "DBG2", &size);
	have = have || (table != NULL && uart_by_dbg2(table, size, &found) &&
			take(&found, "the ACPI DBG2"));
	found = (struct uart_found) { .uart = { .divisor = 1 } };
	for (unsigned i = 0; i < UART_COMS && !have; i++) {
		found.uart.base = uart_coms[i];
		have = take(&found, "trying COM1 to COM4");
	}
	if (!have) {	/* a serial controller [PCI Code and ID Assignment] */
		(void)take_pci(&(struct pci_rule) { PCI_BY_CLASS, 0xffff0000, 0x07000000 },
			       "looking at PCI");
	}
	say();
}

/** Sends a character, and before an end of line the return that terminals want;
 * without a port nothing happens. */
void serial_put(char c)
{
	if (port.uart.base == 0) {
		return;
	}
	if (c == '\n') {
		uart_send(&port.uart, '\r');
	}
	uart_send(&port.uart, (uint8_t)c);
}

/** Where it is; base 0: there is none. */
const struct boot_uart *serial_uart(void)
{
	return &port.uart;
}

/**
 * Does what the manifest at path wants: another port, where one answers, or none;
 * another speed, which ends the boot if the port's clock does not give it. One that
 * is new gets what has been said so far, as far as that is kept.
 */
void serial_choose(const struct manifest *manifest, const char *path)
{
	const uint64_t before = port.uart.base;
	const struct uart_found wanted = { .uart = manifest->serial_uart };
	const struct pci_rule *rule = &manifest->serial_rule;

	if (manifest->serial != NULL && wanted.uart.base == 0 && rule->mask == 0) {
		port.uart.base = 0;
	} else if (manifest->serial != NULL && !(rule->mask != 0 ? take_pci(rule, "the manifest") :
						 take(&wanted, "the manifest"))) {
		console_say("no serial port answers at \"%s\", where the manifest has it: it stays "
			    "where it is", manifest->serial);
	}
	port.clock = manifest->serial_clock != 0 ? manifest->serial_clock : port.clock;
	if (manifest->serial_speed != 0 && port.uart.base != 0) {
		if (!uart_divisor(port.clock, manifest->serial_speed, &port.uart.divisor)) {
			console_fail("%s: /chosen: property \"serial-speed\": no divisor of the "
				     "port's clock makes %u bit/s; correct it, or \"serial-clock\"",
				     path, manifest->serial_speed);
		}
		uart_set_up(&port.uart);
	}
	if (port.uart.base != 0 && port.uart.base != before) {
		for (uint64_t i = 0; console_log != NULL && i < console_log->head; i++) {
			serial_put(console_log->text[i % BOX_TEXT]);
		}
		say();
	}
}

/* The console's ports become the host partition's, which may have them already.
 * Returns its line of their interrupt, or HOST_UART_POLLED: only those of COM1 and COM2
 * are the same on all PCs. */
static uint32_t ports_give(struct boot_partition *p, uint16_t first)
{
	uint32_t gsi = first == uart_coms[0] ? 4 : first == uart_coms[1] ? 3 : UINT32_MAX;

	/* the manifest's are half of what there is room for */
	p->ports[p->port_count++] = (struct boot_port) {
		.first = first, .last = (uint16_t)(first + 7), .policy = BOOT_PORT_NATIVE };
	for (uint32_t line = 0; line < p->irq_count; line++) {
		if (p->irqs[line].gsi == gsi) {
			return line;
		}
	}
	return HOST_UART_POLLED;
}

/**
 * Tells the hypervisor and the host partition of the port, and makes it the host
 * partition's: ports, or its page of memory.
 */
void serial_tell(struct boot_info *info, struct host_info *host)
{
	struct boot_partition *p = info->partitions;
	uint64_t page = port.uart.base & ~(PAGE_SIZE - 1);

	info->uart = host->uart = port.uart;
	host->uart_line = HOST_UART_POLLED;
	if (port.uart.base != 0 && port.uart.kind == BOOT_UART_PORTS) {
		host->uart_line = ports_give(p, (uint16_t)port.uart.base);
	} else if (port.uart.base != 0) {
		p->mmio[p->mmio_count++] = (struct boot_region) {
			.gpa = HOST_UART_GPA, .hpa = page, .size = PAGE_SIZE,
			.flags = BOOT_MAP_WRITE | BOOT_MAP_UNCACHED };
		host->uart.base = HOST_UART_GPA + (port.uart.base - page);
	}
}
