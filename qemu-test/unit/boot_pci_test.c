/* SPDX-License-Identifier: MIT */
/*
 * The loader's PCI over a configuration space of our own: what the host partition
 * gets, and that no device's word about itself, however false, gives it more.
 */
#include "boot_pci_unit.h"

static void functions_are_described(void **state)
{
	struct fake *f;
	const struct boot_pci *is;

	(void)state;
	add(0x0000, HOST_BRIDGE);
	add(0x0008, DISPLAY);
	f = add(0x0010, AHCI);
	f->reg[2] |= 0x0100;
	bar(f, 4, 0xc040, 0x20, 1);
	bar(f, 5, 0x81000000, 0x1000, 0);
	capability(f, 0x80, 0x00007005);
	capability(f, 0x70, 0x00000001);
	f = add(0x0018, NVME);
	bar(f, 0, 0x8000000000, 0x4000, 4);
	capability(f, 0x40, 0x80410010);
	f->reg[0x40 / 4] = 0x00005010;
	capability(f, 0x50, 0x80400011);
	f->reg[0x54 / 4] = 0x2000;
	f->reg[0x58 / 4] = 0x3000;
	run();
	assert_int_equal(m.stopped, 4);
	assert_int_equal(info.pci_count, 2);
	is = given(0x0010);
	assert_non_null(is);
	assert_int_equal(is->id, 0x12348086);
	assert_int_equal(is->msi, 0x80);
	assert_int_equal(is->msix, 0);
	assert_int_equal(is->parent, BOOT_PCI_ROOT);
	assert_int_equal(is->bar[4].flags, BOOT_BAR_IO);
	assert_int_equal(is->bar[4].base, 0xc040);
	assert_int_equal(is->bar[4].size, 0x20);
	assert_int_equal(is->bar[5].size, 0x1000);
	assert_int_equal(is->bar[5].gpa, HOST_BAR_GPA);
	assert_int_equal(info.partitions[0].ports[0].first, 0xc040);
	assert_int_equal(info.partitions[0].ports[0].last, 0xc05f);
	assert_int_equal(info.partitions[0].ports[0].policy, BOOT_PORT_NATIVE);
	is = given(0x0018);
	assert_non_null(is);
	assert_int_equal(is->express, 0x40);
	assert_int_equal(is->msix_count, 0x41);
	assert_int_equal(is->msix_table, 0x8000002000);
	assert_int_equal(is->bar[0].flags, BOOT_BAR_64);
	assert_int_equal(is->bar[0].size, 0x4000);
	/* the pages of its table and of what is pending are nobody's */
	assert_int_equal(info.partitions[0].mmio_count, 2);
	assert_int_equal(info.partitions[0].mmio[1].hpa, 0x8000000000);
	assert_int_equal(info.partitions[0].mmio[1].size, 0x2000);
	/* and it sends no messages any more */
	assert_int_equal(fakes[3].reg[0x50 / 4] & PCI_MSIX_ENABLE, 0);
	/* what was found out left all as it was */
	assert_int_equal(fakes[2].reg[9], 0x81000000);
	assert_int_equal(fakes[3].reg[5], 0x80);
	assert_int_equal(fakes[2].reg[1] & 7, 3);
}

/* A card that the console is on is nobody's, and no ports of it are the host
 * partition's by this way, whatever the manifest says of its class. */
static void the_consoles_is_nobodys(void **state)
{
	(void)state;
	bar(add(0x0010, NETWORK), 1, 0xc000, 0x20, 1);
	bar(add(0x0018, NETWORK), 0, 0x81000000, 0x1000, 0);
	bar(add(0x0020, NETWORK), 0, 0xc020, 0x20, 1);
	m.console.base = 0xc018;
	run();
	assert_null(given(0x0010));
	assert_non_null(given(0x0018));
	assert_non_null(given(0x0020));
	assert_int_equal(info.partitions[0].port_count, 1);
	assert_int_equal(info.partitions[0].ports[0].first, 0xc020);
	memset(&m, 0, sizeof(m));
	memset(&info, 0, sizeof(info));
	m.console = (struct boot_uart) { .base = 0x81000800, .kind = BOOT_UART_BYTES };
	writes = 0;
	run();
	assert_null(given(0x0018));
	assert_non_null(given(0x0010));
	assert_int_equal(info.partitions[0].mmio_count, 0);
}

static void rules_choose(void **state)
{
	(void)state;
	add(0x0008, DISPLAY)->reg[0] = 0x11111234;
	add(0x0010, NETWORK);
	add(0x0018, PCI_BRIDGE);
	add(0x0020, 0x0806);
	/* no bridge by its class, but by what it can do */
	add(0x0028, DISPLAY)->reg[3] = 0x10000;
	fakes[4].reg[0] = 0x11111234;
	manifest.pci_rule_count = 3;
	manifest.pci_rule[0] = (struct pci_rule) { PCI_BY_ID, UINT32_MAX, 0x11111234 };
	manifest.pci_rule[1] = (struct pci_rule) { PCI_BY_CLASS, 0xff000000, 0x06000000 };
	manifest.pci_rule[2] = (struct pci_rule) { PCI_BY_CLASS, 0xffff0000, 0x08060000 };
	run();
	assert_non_null(given(0x0008));
	assert_int_equal(info.pci_count, 1);
	manifest.pci_rule_count = 1;
	manifest.pci_rule[0] = (struct pci_rule) { PCI_BY_ADDRESS, UINT32_MAX, 0x0010 };
	memset(&m, 0, sizeof(m));
	memset(&info, 0, sizeof(info));
	writes = 0;
	run();
	assert_non_null(given(0x0010));
	assert_int_equal(info.pci_count, 1);
}

/* A BAR that is somebody else's, wholly or in part, is not given: RAM, the
 * interrupt controllers, another function's, even within a page; nor one that
 * cannot be addressed, or is nowhere. */
static void bars_overlap_nothing(void **state)
{
	static const struct {
		uint64_t base, size;
		uint32_t kind;
	} bad[] = {
		{ 0x10000000, 0x1000, 0 }, { 0x7ffff000, 0x1000, 0 },
		{ 0, 0x1000, 0 }, { 0, 0x80000000, 0 }, { 0xfee00000, 0x1000, 0 },
		{ 0xfe000000, 0x1000000, 0 }, { 0x90000000, 0x1000, 0 },
		{ 0x90000800, 0x100, 0 }, { 0x80000000, 0x20000000, 0 },
		{ 1ull << 40, 0x1000, 4 }, { 1ull << 63, 1ull << 63, 4 },
		{ 0xc0000000, 0x10000000, 4 }, { 0x4000000000, 0x80000000, 4 },
		{ 0, 0x1000, 4 },
		{ 0x0cf8, 8, 1 }, { 0x20, 0x20, 1 }, { 0xe000, 0x10, 1 }, { 0xd000, 0x100, 1 },
	};
	struct fake *f;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fresh(state);
		f = add(0x0008, DISPLAY);
		bar(f, 0, 0x90000000, 0x800, 0);
		bar(f, 1, 0xc8000000, 0x100000, 0);
		bar(f, 2, 0xd080, 0x10, 1);
		info.partitions[1].port_count = 1;
		info.partitions[1].ports[0] = (struct boot_port) { 0xe00f, 0xe00f,
								   BOOT_PORT_NATIVE };
		f = add(0x0010, AHCI);
		bar(f, 2, bad[i].base, bad[i].size, bad[i].kind);
		bar(f, 5, 0x81000000, 0x800, 0);
		run();
		assert_int_equal(given(0x0010)->bar[2].size, 0);
		assert_int_equal(given(0x0010)->bar[5].size, 0x800);
		assert_int_equal(info.partitions[0].mmio_count, 1);
		assert_int_equal(info.partitions[0].port_count, 0);
	}
}

/* A table of messages outside its BAR, or in one that nobody gets, is none: no
 * message is ever written there. */
static void message_tables_are_checked(void **state)
{
	static const struct {
		uint64_t base;
		uint32_t table, pending;
		bool good;
	} tables[] = {
		{ 0x81000000, 0x2000, 0x3000, true },
		{ 0x81000000, 0x3ff0, 0x3000, false },	/* two entries */
		{ 0x81000000, 0xfffffff8, 0x3000, false },
		{ 0x81000000, 0x2000, 0x4000, false },
		{ 0x81000000, 0x2001, 0x3000, false },	/* no such BAR */
		{ 0x81000000, 0x2000, 0x3007, false },
		{ 0x81000000, 0x2004, 0x3000, false },	/* ports */
		{ 0x10000000, 0x2000, 0x3000, false },	/* RAM */
	};

	for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		struct fake *f;

		fresh(state);
		f = add(0x0010, NVME);
		bar(f, 0, tables[i].base, 0x4000, 0);
		bar(f, 4, 0xc000, 0x100, 1);
		capability(f, 0x50, 0x00010011);
		f->reg[0x54 / 4] = tables[i].table;
		f->reg[0x58 / 4] = tables[i].pending;
		run();
		assert_int_equal(given(0x0010)->msix_count, tables[i].good ? 2 : 0);
		assert_int_equal(given(0x0010)->msix, tables[i].good ? 0x50 : 0);
	}
}

/* Two of ours in one page: neither shows the other's table. */
static void a_table_is_hidden_from_neighbours(void **state)
{
	struct fake *f;

	(void)state;
	f = add(0x0010, NVME);
	bar(f, 0, 0x81000000, 0x800, 0);
	capability(f, 0x50, 0x00000011);
	f->reg[0x54 / 4] = 0x400;
	f->reg[0x58 / 4] = 0x600;
	f = add(0x0018, AHCI);
	bar(f, 5, 0x81000800, 0x800, 0);
	run();
	assert_int_equal(given(0x0010)->msix_count, 1);
	assert_int_equal(info.partitions[0].mmio_count, 0);
}

/* The last register has no upper half. */
static void halves_stay_within(void **state)
{
	struct fake *f = add(0x0010, AHCI);

	(void)state;
	bar(f, 5, 0x81000000, 0x1000, 4);
	f->mask[10] = UINT32_MAX;
	bar(f, 3, 0x82000000, 0x1000, 0);
	f = add(0x0018, PCI_BRIDGE);
	bridge(f, 1);
	bar(f, 1, 0x83000000, 0x1000, 4);
	f->reg[6] = 0x00010100;
	f->mask[6] = UINT32_MAX;
	run();
	assert_int_equal(given(0x0010)->bar[5].size, 0);
	assert_int_equal(given(0x0010)->bar[3].size, 0x1000);
}

static void lists_end(void **state)
{
	struct fake *f = add(0x0010, AHCI);

	(void)state;
	/* a circle, then a head that leads below the list's place */
	capability(f, 0x40, 0x00004409);
	capability(f, 0x44, 0x00004009);
	f = add(0x0018, AHCI);
	capability(f, 0x40, 0x00003c09);
	f = add(0x0020, AHCI);
	f->reg[1] |= PCI_STATUS_LIST;
	f->reg[PCI_CAPABILITIES / 4] = 0x10;
	run();
	assert_int_equal(info.pci_count, 3);
	assert_int_equal(given(0x0010)->msi, 0);
}

/* Function 0 without the others' bit, holes among functions, and an alias. */
static void functions_are_where_function_0_says(void **state)
{
	(void)state;
	add(0x0010, AHCI)->reg[3] |= PCI_HEADER_MULTI;
	add(0x0013, AHCI);
	add(0x0017, AHCI);
	add(0x0018, AHCI);
	add(0x0019, AHCI)->reg[1] = 0;
	add(0x0021, AHCI)->reg[1] = 0;
	run();
	assert_non_null(given(0x0013));
	assert_non_null(given(0x0017));
	assert_null(given(0x0019));
	assert_null(given(0x0021));
	assert_int_equal(info.pci_count, 4);
}

static void bridges_come_along(void **state)
{
	const struct boot_pci *is;

	(void)state;
	bridge(add(0x0010, PCI_BRIDGE), 1);
	bridge(add(0x0018, PCI_BRIDGE), 3);
	bridge(add(0x0100, PCI_BRIDGE), 2);
	add(0x0200, AHCI);
	add(0x0208, NVME);
	run();
	assert_int_equal(info.pci_count, 4);
	is = given(0x0208);
	assert_int_equal(info.pci[is->parent].address, 0x0100);
	assert_int_equal(info.pci[is->parent].flags, 0);
	is = &info.pci[info.pci[is->parent].parent];
	assert_int_equal(is->address, 0x0010);
	assert_int_equal(is->parent, BOOT_PCI_ROOT);
}

/* Bridges that lead to themselves, to each other, to bus 0: no way up is endless. */
static void bus_numbers_form_no_circle(void **state)
{
	(void)state;
	bridge(add(0x0010, PCI_BRIDGE), 0);
	bridge(add(0x0100, PCI_BRIDGE), 2);
	bridge(add(0x0200, PCI_BRIDGE), 1);
	bridge(add(0x0300, PCI_BRIDGE), 3);
	bridge(add(0x0308, PCI_BRIDGE), 1);
	add(0x0108, AHCI);
	add(0x0208, AHCI);
	add(0x0310, AHCI);
	run();
	assert_int_equal(given(0x0108)->parent, BOOT_PCI_ROOT);
	assert_int_equal(info.pci[given(0x0208)->parent].address, 0x0100);
	assert_int_equal(given(0x0310)->parent, BOOT_PCI_ROOT);
}

/* Of what is behind a bridge to conventional PCI an IOMMU sees the bridge: it is
 * nobody's, wherever on the way up that bridge is. */
static void who_cannot_be_told_apart_is_nobodys(void **state)
{
	static const struct {
		uint32_t express;	/* 0: no such capability */
		bool apart;
	} kinds[] = {
		{ 0x00420010, true }, { 0x00520010, true }, { 0x00620010, true },
		{ 0x00720010, false }, { 0x00820010, false }, { 0x00020010, false }, { 0, false },
	};

	for (unsigned i = 0; i < 2 * sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct fake *f;
		bool apart;

		fresh(state);
		info.iommus.unit_count = i % 2;
		apart = i % 2 == 0 || kinds[i / 2].apart;
		f = add(0x0010, PCI_BRIDGE);
		bridge(f, 1);
		if (kinds[i / 2].express != 0) {
			capability(f, 0x40, kinds[i / 2].express);
		}
		f = add(0x0100, PCI_BRIDGE);
		bridge(f, 2);
		capability(f, 0x40, 0x00620010);
		add(0x0018, NVME);
		add(0x0108, AHCI);
		bar(add(0x0200, NETWORK), 0, 0x81000000, 0x1000, 0);
		run();
		assert_non_null(given(0x0018));
		assert_int_equal(given(0x0108) != NULL, apart);
		assert_int_equal(given(0x0200) != NULL, apart);
		assert_int_equal(info.partitions[0].mmio_count, apart);
		assert_int_equal(m.shared, apart ? 0 : 2);
		assert_int_equal(m.shared_address, apart ? 0 : 0x0108);
		assert_int_equal(m.shared_bridge, apart ? 0 : 0x0010);
	}
}

static void segments_are_scanned(void **state)
{
	(void)state;
	info.ecam_count = 2;
	info.ecam[0] = (struct boot_ecam) { .base = 0xe0000000, .bus_last = 255 };
	info.ecam[1] = (struct boot_ecam) { .base = 0xd0000000, .segment = 0xffff,
					    .bus_first = 0x80, .bus_last = 0xff };
	add(0xffff0000, AHCI)->reg[1] = 0;
	add(0xffff8010, AHCI);
	add(0xfffffff8, AHCI);
	run();
	assert_null(given(0xffff0000));
	assert_non_null(given(0xffff8010));
	assert_non_null(given(0xfffffff8));
}

static void ide_of_old_has_ports_and_lines(void **state)
{
	const struct boot_pci *is;
	struct boot_partition *p = &info.partitions[0];

	(void)state;
	p->irq_count = 2;
	p->irqs[0].gsi = 4;
	p->irqs[1].gsi = 15;
	add(0x0009, PCI_CLASS_IDE)->reg[2] |= 0x8000;
	add(0x0008, HOST_BRIDGE)->reg[3] = PCI_HEADER_MULTI;
	run();
	is = given(0x0009);
	assert_int_equal(is->irq[0], 3);
	assert_int_equal(is->irq[1], 2);
	assert_int_equal(p->irq_count, 3);
	assert_int_equal(p->irqs[2].gsi, 14);
	assert_int_equal(p->irqs[2].flags, 0);
	assert_int_equal(p->port_count, 4);
	assert_int_equal(p->ports[0].first, 0x1f0);
	assert_int_equal(p->ports[0].last, 0x1f7);
	/* in native mode it has neither */
	fresh(state);
	add(0x0008, PCI_CLASS_IDE)->reg[2] |= 0x8500;
	run();
	assert_int_equal(p->port_count + p->irq_count, 0);
}

/* One without messages has the line that the firmware chose, level-triggered, with
 * others; nobody asserts it until its driver says so. */
static void without_messages_it_has_a_line(void **state)
{
	/* register and line: no pin; numbers that are none; an edge's */
	static const uint32_t rows[8][2] = {
		{ 0x010b, 3 }, { 0x040b, 3 }, { 0x010a, 4 }, { 0x000b, 0 },
		{ 0x0100, 0 }, { 0x01ff, 0 }, { 0x0110, 0 }, { 0x0104, 0 } };
	struct boot_partition *p = &info.partitions[0];
	struct fake *f;

	(void)state;
	p->irq_count = 2;
	p->irqs[0].gsi = 4;
	p->irqs[1].gsi = 3;
	for (uint32_t i = 0; i < 8; i++) {
		add(i << 3, NETWORK)->reg[0xf] = rows[i][0];
	}
	f = add(8 << 3, NETWORK);
	f->reg[0xf] = 0x010b;
	capability(f, 0x50, 0x05);
	run();
	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(given(i << 3)->irq[0], rows[i][1]);
		assert_int_equal(given(i << 3)->irq[1], 0);
	}
	assert_int_equal(p->irq_count, 4);
	assert_int_equal(p->irqs[2].gsi, 11);
	assert_int_equal(p->irqs[2].flags, BOOT_IRQ_LEVEL);
	assert_int_equal(p->irqs[3].gsi, 10);
	for (unsigned i = 0; i < fake_count; i++) {
		assert_true(fakes[i].reg[1] & PCI_COMMAND_NO_INTX);
	}
	/* more than there is room for */
	fresh(state);
	p->irq_count = BOOT_MAX_IRQS;
	add(0, NETWORK)->reg[0xf] = 0x010b;
	run();
	assert_int_equal(given(0)->irq[0], 0);
}

/* Every byte of a function's configuration space may be anything. */
static void noise_is_survived(void **state)
{
	for (unsigned n = 0; n < 20000; n++) {
		fresh(state);
		srand(n);
		for (unsigned i = 0; i < 6; i++) {
			struct fake *f = add(i << 3, AHCI);

			for (unsigned r = 0; r < 64; r++) {
				if (r >= 2 && rand() % 4 != 0) {
					f->reg[r] = (uint32_t)rand() << (rand() % 24);
					f->mask[r] = r < 13 && r > 3 ?
						     UINT32_MAX << (rand() % 32) : f->mask[r];
				}
			}
			f->reg[1] |= rand() % 2 ? PCI_STATUS_LIST : 0;
		}
		run();
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, fresh)
	const struct CMUnitTest tests[] = {
		TEST(functions_are_described), TEST(rules_choose),
		TEST(the_consoles_is_nobodys), TEST(bars_overlap_nothing),
		TEST(message_tables_are_checked), TEST(a_table_is_hidden_from_neighbours),
		TEST(halves_stay_within),
		TEST(lists_end), TEST(functions_are_where_function_0_says),
		TEST(bridges_come_along), TEST(bus_numbers_form_no_circle),
		TEST(who_cannot_be_told_apart_is_nobodys),
		TEST(segments_are_scanned), TEST(ide_of_old_has_ports_and_lines),
		TEST(without_messages_it_has_a_line),
		TEST(noise_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
