/* SPDX-License-Identifier: MIT */
/* The device models Linux sees: PCI configuration space and serial port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "abi/channel.h"
#include "proto/channel_device.h"
#include "host-bridge/guest/pci_model.h"
#include "host-bridge/guest/uart_model.h"

#define SECTION		(4096u + (1u << 20))

static struct pci_model pci;

static uint32_t cfg_read(unsigned device, unsigned offset)
{
	pci_model_out(&pci, 0xcf8, 4, 0x80000000u | device << 11 | offset);
	return pci_model_in(&pci, 0xcfc, 4);
}

static void cfg_write(unsigned device, unsigned offset, unsigned size,
		      uint32_t value)
{
	pci_model_out(&pci, 0xcf8, 4,
		      0x80000000u | device << 11 | (offset & 0xfc));
	pci_model_out(&pci, 0xcfc + (offset & 3), size, value);
}

static int setup(void **state)
{
	(void)state;
	pci_model_reset(&pci);
	pci_model_add_channel(&pci, CHANNEL_REGION_SIZE(SECTION), true);
	pci_model_add_channel(&pci, CHANNEL_REGION_SIZE(SECTION), false);
	return 0;
}

/* What does not lead to the host no driver of ours takes. */
static void pci_classes_differ(void **state)
{
	(void)state;
	assert_int_equal(cfg_read(1, 8) >> 8, CHANNEL_PCI_CLASS);
	assert_int_equal(cfg_read(2, 8) >> 8, CHANNEL_PCI_CLASS_OTHER);
	assert_int_equal(cfg_read(1, 0), cfg_read(2, 0));
}

static void pci_mechanism_one_is_found(void **state)
{
	(void)state;
	pci_model_out(&pci, 0xcfb, 1, 1);	/* mechanism 2 probe: nothing */
	pci_model_out(&pci, 0xcf8, 4, 0x80000000u);
	assert_int_equal(pci_model_in(&pci, 0xcf8, 4), 0x80000000u);
	assert_int_equal(pci_model_in(&pci, 0xcf8, 2), ~0u);
	assert_int_equal(cfg_read(0, 8) >> 16, 0x0600);
}

static void pci_only_what_exists_answers(void **state)
{
	(void)state;
	assert_int_equal(cfg_read(1, 0), 0x4106110au);
	assert_int_equal(cfg_read(2, 0), 0x4106110au);
	for (unsigned device = 3; device < 32; device++) {
		assert_int_equal(cfg_read(device, 0), ~0u);
	}
	pci_model_out(&pci, 0xcf8, 4, 0x80000900u);	/* function 1 */
	assert_int_equal(pci_model_in(&pci, 0xcfc, 4), ~0u);
	pci_model_out(&pci, 0xcf8, 4, 0x80010800u);	/* bus 1 */
	assert_int_equal(pci_model_in(&pci, 0xcfc, 4), ~0u);
	pci_model_out(&pci, 0xcf8, 4, 0x00000800u);	/* not enabled */
	assert_int_equal(pci_model_in(&pci, 0xcfc, 4), ~0u);
	/* Across the end of the register: no such access. */
	pci_model_out(&pci, 0xcf8, 4, 0x80000800u);
	assert_int_equal(pci_model_in(&pci, 0xcfd, 4), ~0u);
	pci_model_out(&pci, 0xcff, 4, 0);
	assert_int_equal(pci_model_in(&pci, 0xcfe, 2), 0x4106);
}

static void pci_bars_show_size_and_stay(void **state)
{
	static const struct {
		unsigned offset;
		uint32_t fixed, size_mask;
	} bars[] = {
		{ 0x10, 0xc021, 0xffffffe1 },
		{ 0x14, 0xe0001000, 0xfffff000 },
		{ 0x18, 0xe800000c, 0xffc0000c },	/* 4 MiB */
		{ 0x1c, 0, 0xffffffff },
		{ 0x20, 0, 0 },
		{ 0x24, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bars) / sizeof(bars[0]); i++) {
		assert_int_equal(cfg_read(2, bars[i].offset), bars[i].fixed);
		cfg_write(2, bars[i].offset, 4, ~0u);
		assert_int_equal(cfg_read(2, bars[i].offset),
				 bars[i].size_mask);
		cfg_write(2, bars[i].offset, 4, 0x12345670);
		assert_int_equal(cfg_read(2, bars[i].offset), bars[i].fixed);
		cfg_write(2, bars[i].offset, 1, 0xff);
		assert_int_equal(cfg_read(2, bars[i].offset), bars[i].fixed);
	}
}

static void pci_msix_capability(void **state)
{
	(void)state;
	assert_int_equal(cfg_read(1, 4) >> 16 & 0x10, 0x10);
	assert_int_equal(cfg_read(1, 0x34) & 0xff, 0x40);
	assert_int_equal(cfg_read(1, 0x40), 0x00010011);
	assert_int_equal(cfg_read(1, 0x44), 0x001);
	assert_int_equal(cfg_read(1, 0x48), 0x801);
	cfg_write(1, 0x42, 2, 0xffff);
	assert_int_equal(cfg_read(1, 0x40), 0xc0010011);
	cfg_write(1, 0x40, 4, 0);
	assert_int_equal(cfg_read(1, 0x40), 0x00010011);
}

static void pci_command_bits(void **state)
{
	(void)state;
	cfg_write(1, 4, 4, ~0u);
	assert_int_equal(cfg_read(1, 4), 0x00100407);
	cfg_write(1, 0, 4, 0);			/* identity is constant */
	assert_int_equal(cfg_read(1, 0), 0x4106110au);
}

/* Everything that a guest can do stays inside the model (ASan watches). */
static void pci_any_access_is_harmless(void **state)
{
	uint32_t seed = 1, id = pci.function[0].value[0], value;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		unsigned size = 1u << (seed >> 16) % 3;

		seed = seed * 1664525u + 1013904223u;
		if (seed >> 31) {
			pci_model_out(&pci, 0xcf8 + (seed >> 8 & 7), size,
				      seed);
			continue;
		}
		value = pci_model_in(&pci, 0xcf8 + (seed >> 8 & 7), size);
		/* no more than was asked for, or all ones */
		assert_true(size == 4 || value >> 8 * size == 0 ||
			    value == ~0u);
	}
	assert_int_equal(pci.function[0].value[0], id);
}

static void uart_sends_and_is_ready(void **state)
{
	struct uart_model uart;

	(void)state;
	uart_model_reset(&uart);
	assert_int_equal(uart_model_in(&uart, 0x3fd), 0x60);
	assert_int_equal(uart_model_out(&uart, 0x3f8, 'A'), 'A');
	assert_int_equal(uart_model_in(&uart, 0x3fd), 0x60);
	assert_int_equal(uart_model_out(&uart, 0x3fb, 0x83), -1);
	assert_int_equal(uart_model_out(&uart, 0x3f8, 12), -1);
	assert_int_equal(uart_model_in(&uart, 0x3f8), 12);
	assert_int_equal(uart_model_in(&uart, 0x3f9), 0);
}

static void uart_detection_as_drivers_do_it(void **state)
{
	struct uart_model uart;

	(void)state;
	uart_model_reset(&uart);
	uart_model_out(&uart, 0x3f9, 0xff);
	assert_int_equal(uart_model_in(&uart, 0x3f9), 0x0f);
	uart_model_out(&uart, 0x3f9, 0);
	uart_model_out(&uart, 0x3fa, 1);
	assert_int_equal(uart_model_in(&uart, 0x3fa), 0xc1);
	uart_model_out(&uart, 0x3ff, 0x5a);
	assert_int_equal(uart_model_in(&uart, 0x3ff), 0x5a);
	/* Loopback: RTS and OUT2 come back as CTS and DCD. */
	uart_model_out(&uart, 0x3fc, 0x1a);
	assert_int_equal(uart_model_in(&uart, 0x3fe) & 0xf0, 0x90);
	assert_int_equal(uart_model_out(&uart, 0x3f8, 0x77), -1);
	assert_int_equal(uart_model_in(&uart, 0x3fd) & 1, 1);
	assert_int_equal(uart_model_in(&uart, 0x3f8), 0x77);
	assert_int_equal(uart_model_in(&uart, 0x3fd) & 1, 0);
}

/* A polling driver sends while the identification register says "empty". */
static void uart_empty_event(void **state)
{
	struct uart_model uart;

	(void)state;
	uart_model_reset(&uart);
	assert_int_equal(uart_model_in(&uart, 0x3fa), 0x01);
	uart_model_out(&uart, 0x3f9, 0x02);
	assert_int_equal(uart_model_in(&uart, 0x3fa), 0x02);
	assert_int_equal(uart_model_in(&uart, 0x3fa), 0x01);
	uart_model_out(&uart, 0x3f8, 'x');
	assert_int_equal(uart_model_in(&uart, 0x3fa), 0x02);
	uart_model_out(&uart, 0x3f9, 0x00);
	uart_model_out(&uart, 0x3f8, 'y');
	assert_int_equal(uart_model_in(&uart, 0x3fa), 0x01);
}

/* What Linux has set up is what another has that is restored; nothing of any bytes
 * changes what Linux could not have. */
static void saved_and_restored(void **state)
{
	uint8_t saved[64] = { 0 }, again[64] = { 0 };
	struct uart_model uart = { .ier = 5, .mcr = 3, .thr_event = true };
	struct pci_model before;

	(void)state;
	cfg_write(1, 4, 2, 0x407);
	cfg_write(1, 0x3c, 1, 9);
	cfg_write(2, 0x42, 2, 0xc000);
	assert_int_equal(uart_model_save(&uart, saved), 10);
	pci_model_save(&pci, saved + 10);
	uart_model_reset(&uart);
	before = pci;
	setup(state);
	assert_int_equal(uart_model_restore(&uart, saved), 10);
	pci_model_restore(&pci, saved + 10);
	assert_memory_equal(&pci, &before, sizeof(pci));
	assert_true(uart.ier == 5 && uart.mcr == 3 && uart.thr_event);
	uart_model_save(&uart, again);
	pci_model_save(&pci, again + 10);
	assert_memory_equal(saved, again, sizeof(saved));
	memset(saved, 0xff, sizeof(saved));
	(void)uart_model_restore(&uart, saved);
	pci_model_restore(&pci, saved + 10);
	assert_int_equal(uart.ier, 0x0f);
	assert_int_equal(uart.mcr, 0x1f);
	assert_int_equal(pci.address & 3, 0);
	assert_int_equal(cfg_read(1, 0), CHANNEL_PCI_VENDOR |
			 (uint32_t)CHANNEL_PCI_DEVICE << 16);
	assert_int_equal(cfg_read(1, 4) & 0xffff, 0x407);
	assert_int_equal(cfg_read(2, 0x40) >> 16,
			 0xc000 | (CHANNEL_MSIX_VECTORS - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(pci_classes_differ, setup),
		cmocka_unit_test_setup(pci_mechanism_one_is_found, setup),
		cmocka_unit_test_setup(pci_only_what_exists_answers, setup),
		cmocka_unit_test_setup(pci_bars_show_size_and_stay, setup),
		cmocka_unit_test_setup(pci_msix_capability, setup),
		cmocka_unit_test_setup(pci_command_bits, setup),
		cmocka_unit_test_setup(pci_any_access_is_harmless, setup),
		cmocka_unit_test_setup(saved_and_restored, setup),
		cmocka_unit_test(uart_sends_and_is_ready),
		cmocka_unit_test(uart_detection_as_drivers_do_it),
		cmocka_unit_test(uart_empty_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
