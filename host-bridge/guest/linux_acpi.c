/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables for Linux: pure functions that write bytes. Tables are written by
 * offset instead of by struct: they are few, sparse and unaligned. The area is
 * zeroed, so a field that is not named is 0, "absent". [ACPI 6.3 "ACPI Software
 * Programming Model"]
 */
#include <string.h>

#include "host-bridge/guest/linux_acpi.h"

/* Bytes: the header all tables begin with, and the tables themselves. */
#define HEADER_SIZE	36u
#define RSDP_SIZE	36u
#define XSDT_SIZE	(HEADER_SIZE + 2 * 8)
#define FADT_SIZE	276u
#define MADT_FIXED	(HEADER_SIZE + 8)
#define MADT_LAPIC	8u		/* bytes of one local APIC entry */
#define LAPIC_BASE	0xfee00000u
#define MAX_APIC_ID	254u	/* 255 is the broadcast */

/* Offsets in the FADT, and bits of its flags. [ACPI 6.3 "Fixed ACPI
 * Description Table (FADT)"] */
#define FADT_DSDT		40
#define FADT_IAPC_BOOT_ARCH	109
#define FADT_FLAGS		112
#define FADT_RESET_REG		116
#define FADT_RESET_VALUE	128
#define FADT_X_DSDT		140
#define FADT_SLEEP_CONTROL	244
#define FADT_SLEEP_STATUS	256
#define NO_VGA			0x04u
#define NO_CMOS_RTC		0x20u
#define RESET_REG_SUP		(1u << 10)
#define HEADLESS		(1u << 12)
#define HW_REDUCED_ACPI		(1u << 20)

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
	memcpy(at, &value, bytes);
}

/* Sets the byte that makes the table sum up to 0. */
static void checksum(uint8_t *table, size_t len, size_t at)
{
	uint8_t sum = 0;

	table[at] = 0;
	for (size_t i = 0; i < len; i++) {
		sum = (uint8_t)(sum + table[i]);
	}
	table[at] = (uint8_t)-sum;
}

/* The 36 bytes a table begins with; checksum last, when all else is written.
 * OEM and creator are names of ours. [ACPI 6.3 "System Description Table
 * Header"] */
static void header(uint8_t *table, const char *signature, size_t len,
		   uint8_t revision)
{
	memcpy(table, signature, 4);
	put(table + 4, len, 4);
	table[8] = revision;
	memcpy(table + 10, "ISTHMU" "ISTHMUS", 14);
	put(table + 24, 1, 4);
	memcpy(table + 28, "ISTH", 4);
	put(table + 32, 1, 4);
	checksum(table, len, 9);
}

/* Generic address structure of a byte register in I/O space: its offset stays
 * 0. [ACPI 6.3 "Generic Address Structure"] */
static void io_register(uint8_t *at, uint16_t port)
{
	at[0] = 1;		/* system I/O */
	at[1] = 8;		/* bits */
	at[3] = 1;		/* byte access */
	put(at + 4, port, 8);
}

/* Hardware-reduced: no PM timer, no event registers, no SCI; what remains is
 * how to reset and to power off. No VGA and no CMOS clock: Linux need not probe
 * for them, each probe an exit. */
static void fadt(uint8_t *table, uint64_t dsdt_gpa)
{
	/* Both pointers, as old and new parsers want one each. */
	put(table + FADT_DSDT, dsdt_gpa, 4);
	put(table + FADT_IAPC_BOOT_ARCH, NO_VGA | NO_CMOS_RTC, 2);
	put(table + FADT_FLAGS, RESET_REG_SUP | HEADLESS | HW_REDUCED_ACPI,
	    4);
	io_register(table + FADT_RESET_REG, LINUX_PORT_RESET);
	table[FADT_RESET_VALUE] = LINUX_RESET_VALUE;
	put(table + FADT_X_DSDT, dsdt_gpa, 8);
	io_register(table + FADT_SLEEP_CONTROL, LINUX_PORT_SLEEP_CTL);
	io_register(table + FADT_SLEEP_STATUS, LINUX_PORT_SLEEP_STS);
	header(table, "FACP", FADT_SIZE, 6);
}

/* Flags 0: no PCAT_COMPAT (there is no PIC); and no I/O APIC. APIC ids are the
 * vCPUs' numbers, as the hypervisor's virtual LAPICs have them. [ACPI 6.3
 * "Multiple APIC Description Table (MADT)"] */
static void madt(uint8_t *table, size_t len, unsigned vcpus)
{
	put(table + HEADER_SIZE, LAPIC_BASE, 4);
	for (unsigned i = 0; i < vcpus; i++) {
		uint8_t *entry = table + MADT_FIXED + i * MADT_LAPIC;

		entry[0] = 0;		/* processor local APIC */
		entry[1] = MADT_LAPIC;
		entry[2] = (uint8_t)i;	/* processor UID */
		entry[3] = (uint8_t)i;	/* APIC id */
		entry[4] = 1;		/* enabled */
	}
	header(table, "APIC", len, 4);
}

/**
 * Builds all tables in area. Offsets are fixed but for the DSDT's, which
 * follows the MADT. Returns the end of the last one, or 0 when vcpus or the
 * sizes are out of range.
 */
size_t linux_acpi_build(uint8_t *area, size_t size, uint64_t gpa,
			unsigned vcpus, const void *dsdt, size_t dsdt_size)
{
	/* Room for RSDP, XSDT and FADT at round offsets; MADT and DSDT vary. */
	size_t xsdt_at = 64, fadt_at = 128, madt_at = 448, madt_size, dsdt_at;

	if (vcpus == 0 || vcpus > MAX_APIC_ID) {
		return 0;
	}
	madt_size = MADT_FIXED + vcpus * MADT_LAPIC;
	dsdt_at = (madt_at + madt_size + 15) & ~(size_t)15;
	/* In this order: the difference cannot wrap. */
	if (dsdt_at > size || dsdt_size > size - dsdt_at) {
		return 0;
	}
	memcpy(area + dsdt_at, dsdt, dsdt_size);
	madt(area + madt_at, madt_size, vcpus);
	fadt(area + fadt_at, gpa + dsdt_at);
	put(area + xsdt_at + HEADER_SIZE, gpa + fadt_at, 8);
	put(area + xsdt_at + HEADER_SIZE + 8, gpa + madt_at, 8);
	header(area + xsdt_at, "XSDT", XSDT_SIZE, 1);
	/* Two checksums: of the 20 bytes that ACPI 1.0 knew, and of all. [ACPI
	 * 6.3 "Root System Description Pointer (RSDP)"] */
	memcpy(area, "RSD PTR ", 8);
	memcpy(area + 9, "ISTHMU", 6);
	area[15] = 2;			/* revision */
	put(area + 20, RSDP_SIZE, 4);
	put(area + 24, gpa + xsdt_at, 8);
	checksum(area, 20, 8);
	checksum(area, RSDP_SIZE, 32);
	return dsdt_at + dsdt_size;
}
