/* SPDX-License-Identifier: MIT */
/*
 * Controllers asked of the firmware, on registers of our own: as their
 * specifications say, for a bounded time, and never beyond what is theirs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sys/mman.h>

#include "boot/io.h"
#include "boot/pci.h"

#define BASE	0x30000000ull
#define SIZE	0x40000u
#define HZ	1000000000ull
#define MAPPED	0x100000000ull

#define XHCI	(PCI_CLASS_XHCI << 8)
#define AHCI	(PCI_CLASS_AHCI << 8)
#define BIOS	(1u << 16)
#define OS	(1u << 24)

static uint32_t *regs;
static uint64_t bar;
static uint32_t command;
static struct pci_machine m;
static struct memmap map;

uint32_t pci_config_read(uint32_t address, uint32_t reg)
{
	(void)address;
	return reg == PCI_COMMAND ? command : reg == PCI_BAR || reg == PCI_BAR + 20 ?
	       (uint32_t)bar : reg == PCI_BAR + 4 ? (uint32_t)(bar >> 32) : 0;
}

void pci_config_write(uint32_t address, uint32_t reg, uint32_t value)
{
	(void)address;
	fail_msg("%x = %x", reg, value);
}

static int start(void **state)
{
	(void)state;
	if (regs == NULL) {
		/* what lies behind it faults */
		regs = mmap((void *)BASE, SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		assert_ptr_equal(regs, (void *)BASE);
	}
	memset(regs, 0, SIZE);
	memset(&m, 0, sizeof(m));
	memset(&map, 0, sizeof(map));
	m.map = &map;
	m.count = 1;
	bar = BASE | 4;
	command = PCI_COMMAND_MEMORY;
	return 0;
}

/* Returns the TSC ticks that it took. */
static uint64_t ask(uint32_t class)
{
	uint64_t before = rdtsc();

	m.function[0].is.class = class;
	pci_handoff(&m, MAPPED, HZ);
	return rdtsc() - before;
}

static void xhci_is_asked(void **state)
{
	(void)state;
	regs[4] = 0x200 << 16;
	regs[0x800 / 4] = 0x0402;		/* another capability */
	regs[0x810 / 4] = 0x0001;
	regs[0x814 / 4] = 0xffffffff;
	ask(XHCI);
	assert_int_equal(regs[0x810 / 4], OS | 0x0001);
	assert_int_equal(regs[0x814 / 4], 0xffff1fee);
	/* a firmware that does not let go has a second, and no interrupts */
	regs[0x810 / 4] = BIOS | 0x0001;
	regs[0x814 / 4] = 0x2001;
	assert_true(ask(XHCI) >= HZ);
	assert_int_equal(regs[0x810 / 4], OS | BIOS | 0x0001);
	assert_int_equal(regs[0x814 / 4], 0xe0000000);
}

static void xhci_lists_end(void **state)
{
	(void)state;
	regs[4] = 0xffffu << 16;
	regs[0x3fffc / 4] = 1;		/* its control would lie beyond */
	ask(XHCI);
	assert_int_equal(regs[0x3fffc / 4], 1);
	/* by the longest way to the end */
	regs[4] = 0x100 << 16;
	for (unsigned i = 0x400 / 4; i < SIZE / 4; i++) {
		regs[i] = 0xff02;
	}
	ask(XHCI);
	for (unsigned i = 0x400 / 4; i < SIZE / 4; i++) {
		regs[i] = 0x0102;
	}
	ask(XHCI);
	assert_int_equal(regs[0x400 / 4], 0x0102);
}

static void ahci_is_asked(void **state)
{
	(void)state;
	bar = BASE;
	regs[0x28 / 4] = 0x8;
	ask(AHCI);
	assert_int_equal(regs[0x28 / 4], 0x8);		/* it knows of no hand-off */
	regs[0x24 / 4] = 1;
	ask(AHCI);
	assert_int_equal(regs[0x28 / 4], 0xa);
	regs[0x28 / 4] = 0x1;
	assert_true(ask(AHCI) < HZ);
	assert_int_equal(regs[0x28 / 4], 0x3);
	/* with commands to end it gets more time */
	regs[0x28 / 4] = 0x11;
	assert_true(ask(AHCI) >= 2 * HZ);
}

/* Where nothing answers, or something else does, nothing is touched. */
static void others_are_left_alone(void **state)
{
	static const uint64_t bars[] = { 0, 4, MAPPED | 4, (MAPPED - 0x1000) | 4,
					 0xfffffffffffff004 };

	(void)state;
	for (unsigned i = 0; i < sizeof(bars) / sizeof(bars[0]); i++) {
		bar = bars[i];
		ask(XHCI);
	}
	bar = BASE | 4;
	command = 0;
	regs[4] = 0x200 << 16;
	regs[0x800 / 4] = 0x0001;
	ask(XHCI);
	command = PCI_COMMAND_MEMORY;
	ask(0x01080200);
	m.function[0].header = 1;
	ask(XHCI);
	m.function[0].header = 0;
	assert_true(memmap_add(&map, BASE + 0x3f000, 0x1000, BOOT_MEM_FREE));
	assert_true(memmap_make(&map));
	ask(XHCI);
	assert_int_equal(regs[0x800 / 4], 0x0001);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, start)
	const struct CMUnitTest tests[] = {
		TEST(xhci_is_asked), TEST(xhci_lists_end), TEST(ahci_is_asked),
		TEST(others_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
