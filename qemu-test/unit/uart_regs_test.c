/* SPDX-License-Identifier: MIT */
/*
 * Registers of a 16550 in memory: each access has its own width and place, and
 * touches nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/uart_regs.h"

static void bytes(void **state)
{
	uint8_t memory[10], want[10];
	struct boot_uart at = { .base = (uintptr_t)(memory + 1), .kind = BOOT_UART_BYTES };

	(void)state;
	for (unsigned reg = 0; reg < 8; reg++) {
		memset(memory, 0xee, sizeof(memory));
		memcpy(want, memory, sizeof(want));
		uart_put(&at, reg, (uint8_t)(0x10 + reg));
		want[1 + reg] = (uint8_t)(0x10 + reg);
		assert_memory_equal(memory, want, sizeof(want));
		memory[1 + reg] = 0x77;
		assert_int_equal(uart_get(&at, reg), 0x77);
	}
}

static void words(void **state)
{
	uint32_t memory[10], want[10];
	struct boot_uart at = { .base = (uintptr_t)(memory + 1), .kind = BOOT_UART_WORDS };

	(void)state;
	for (unsigned reg = 0; reg < 8; reg++) {
		memset(memory, 0xee, sizeof(memory));
		memcpy(want, memory, sizeof(want));
		uart_put(&at, reg, (uint8_t)(0x10 + reg));
		want[1 + reg] = 0x10 + reg;
		assert_memory_equal(memory, want, sizeof(want));
		/* what the upper bits are is the device's matter */
		memory[1 + reg] = 0xffffff77;
		assert_int_equal(uart_get(&at, reg), 0x77);
	}
}

/* Memory holds what is written to it, and is no UART all the same. */
static void memory_is_none(void **state)
{
	uint32_t memory[8];
	struct boot_uart at = { .base = (uintptr_t)memory };

	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		memset(memory, (int)i, sizeof(memory));
		at.kind = BOOT_UART_BYTES;
		/* but for a MSR that is as it would be */
		assert_int_equal(uart_present(&at), (i & 0xf0) == 0x90);
		at.kind = BOOT_UART_WORDS;
		memset(memory, (int)i, sizeof(memory));
		assert_int_equal(uart_present(&at), (i & 0xf0) == 0x90);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes),
		cmocka_unit_test(words),
		cmocka_unit_test(memory_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
