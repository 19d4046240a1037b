/* SPDX-License-Identifier: MIT */
/*
 * The Linux partition's ACPI tables: RSDP, XSDT, FADT (hardware-reduced),
 * MADT (local APICs only), DSDT (linux_dsdt.dsl).
 */
#ifndef ISTHMUS_LINUX_ACPI_H
#define ISTHMUS_LINUX_ACPI_H

#include <stddef.h>
#include <stdint.h>

/* Registers the FADT names, in I/O space, one byte each. */
#define LINUX_PORT_POWER	0x600u
#define LINUX_PORT_POWER_LAST	0x60fu
#define LINUX_PORT_RESET	0x600u
#define LINUX_RESET_VALUE	0x06u
#define LINUX_PORT_SLEEP_CTL	0x604u
#define LINUX_PORT_SLEEP_STS	0x608u
#define LINUX_SLEEP_ENABLE	0x20u
#define LINUX_SLEEP_TYPE(v)	(((v) >> 2) & 7u)
#define LINUX_SLEEP_S5		5u

/* Writes the tables for vcpus processors (APIC ids 0..) to the zeroed area of
 * size bytes that Linux sees at gpa; the RSDP comes first. Returns the
 * bytes used, 0 when they do not fit. */
size_t linux_acpi_build(uint8_t *area, size_t size, uint64_t gpa,
			unsigned vcpus, const void *dsdt, size_t dsdt_size);

#endif
