/* SPDX-License-Identifier: MIT */
/*
 * Where a 16550 is, as a name, ACPI's tables or a PCI function say it, and what its
 * divisor must be. Plain bytes in: tested on the build machine.
 */
#ifndef ISTHMUS_UART_PLACES_H
#define ISTHMUS_UART_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#include "hypervisor/include/abi/boot_info.h"

#define UART_COMS	4u

struct uart_found {
	struct boot_uart uart;
	uint32_t clock;		/* Hz; 0: nobody says, and a PC's is meant */
};

extern const uint16_t uart_coms[UART_COMS];

bool uart_place_ok(const struct boot_uart *uart);
bool uart_named(const char *text, struct boot_uart *uart);
bool uart_divisor(uint32_t clock, uint32_t speed, uint32_t *divisor);
bool uart_by_spcr(const uint8_t *table, uint32_t size, struct uart_found *found);
bool uart_by_dbg2(const uint8_t *table, uint32_t size, struct uart_found *found);
bool uart_by_pci(const uint32_t config[6], struct uart_found *found);

#endif
