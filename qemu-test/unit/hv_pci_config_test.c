/* SPDX-License-Identifier: MIT */
/* Configuration space by windows and by ports: which of them, and what address. */
#include "hv_fakes.h"
#include <pci.h>

#define CONFIG_ADDRESS	0xcf8
#define CONFIG_DATA	0xcfc

static uint32_t page, address, data, ports;
static uint64_t shown;

void *paging_window(uint64_t pa)
{
	shown = pa;
	return &page;
}

uint32_t inl(uint16_t port)
{
	assert_int_equal(port, CONFIG_DATA);
	ports++;
	return data;
}

/* The address first, then the data. */
void outl(uint16_t port, uint32_t v)
{
	assert_true(port == CONFIG_ADDRESS || port == CONFIG_DATA);
	*(port == CONFIG_DATA ? &data : &address) = v;
	ports++;
}

static void by_memory(void **state)
{
	(void)state;
	fakes_reset();
	boot.ecam_count = 2;
	boot.ecam[0] = (struct boot_ecam){ 0xe0000000, 0, 0, 0x3f, 0 };
	boot.ecam[1] = (struct boot_ecam){ 0x4000000000, 2, 0x80, 0xff, 0 };
	ports = 0;
	page = 0x12345678;
	assert_int_equal(pci_config_read(0x00fa, 0x44), 0x12345678);
	assert_int_equal(shown, 0xe00fa044);
	pci_config_write(0x2ffff, 0xffc, 0x9abcdef0);
	assert_int_equal(shown, 0x400ffffffc);
	assert_int_equal(page, 0x9abcdef0);
	assert_int_equal(pci_config_size(0x00fa), 4096);
	assert_int_equal(pci_config_size(0x2ffff), 4096);
	assert_int_equal(ports, 0);
	/* a bus of another segment's is in neither window */
	assert_int_equal(pci_config_size(0x200fa), 256);
	assert_int_equal(pci_config_size(0x0ffff), 256);
}

static void by_ports(void **state)
{
	(void)state;
	fakes_reset();
	boot.ecam_count = 1;
	boot.ecam[0] = (struct boot_ecam){ 0xe0000000, 0, 0, 0x3f, 0 };
	shown = 0;
	data = 0x55;
	assert_int_equal(pci_config_size(0x4008), 256);
	assert_int_equal(pci_config_read(0x4008, 0xfc), 0x55);
	assert_int_equal(address, 0x804008fc);
	pci_config_write(0x4009, 4, 0x77);
	assert_int_equal(address, 0x80400904);
	assert_int_equal(data, 0x77);
	assert_int_equal(shown, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_memory), cmocka_unit_test(by_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
