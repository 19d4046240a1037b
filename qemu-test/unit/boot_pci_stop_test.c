/* SPDX-License-Identifier: MIT */
/*
 * What the loader's PCI takes from functions, and ports that are none.
 */
#include "boot_pci_unit.h"

/* The firmware has left messages on: run() looks that they are off. */
static void messages_are_stopped(void **state)
{
	struct fake *f = add(0x0010, AHCI);

	(void)state;
	capability(f, 0x40, 0x00005005 | PCI_MSI_ENABLE);
	capability(f, 0x50, 0x00000011 | PCI_MSIX_ENABLE);
	assert_int_equal(f->mask[0x40 / 4] & PCI_MSI_ENABLE, PCI_MSI_ENABLE);
	run();
	assert_int_equal(m.function[0].is.msi, 0x40);
	assert_int_equal(m.stopped, 1);
}

/* Who is not noted any more is stopped at once. */
static void one_too_many_is_stopped(void **state)
{
	(void)state;
	add(0, AHCI)->reg[3] |= PCI_HEADER_MULTI;
	crowded = true;
	pci_scan(&m, &info, &manifest);
	crowded = false;
	assert_true(m.too_many);
	assert_int_equal(m.count, PCI_MAX);
	assert_int_equal(fakes[0].reg[1] & PCI_COMMAND_MASTER, 0);
	assert_int_equal(m.stopped, 1);
}

/* A BAR of ports may name 4 GiB of them: none beyond the last is given, nor what
 * it would be with the upper half cut off. */
static void ports_end(void **state)
{
	static const uint32_t at[] = { 0x10000, 0x13000, 0xffff3000 };

	(void)state;
	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		fresh(state);
		manifest.pci_rule[0] = (struct pci_rule) { PCI_BY_CLASS, 0xffff0000, 0x01010000 };
		bar(add(0x0010, 0x0101), 4, at[i], 16, 1);
		run();
		for (uint32_t k = 0; k < info.partitions[0].port_count; k++) {
			const struct boot_port *p = &info.partitions[0].ports[k];

			/* the old places of an IDE controller's, at most */
			assert_true(p->last < 0x400);
			assert_false(p->first == (uint16_t)at[i]);
		}
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, fresh)
	const struct CMUnitTest tests[] = {
		TEST(messages_are_stopped), TEST(one_too_many_is_stopped), TEST(ports_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
