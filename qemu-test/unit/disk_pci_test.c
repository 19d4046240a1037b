/* SPDX-License-Identifier: MIT */
/* Which driver gets which PCI function, and that none gets registers that are
 * not there, or in the pages of an MSI-X table. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "drivers/ahci.h"
#include "drivers/ata.h"
#include "drivers/e1000.h"
#include "drivers/nvme.h"
#include "drivers/virtio_blk.h"
#include "drivers/virtio_net.h"
#include "host-bridge/blk/disks.h"
#include "host-bridge/dev/dma.h"
#include "host-bridge/dev/pci.h"
#include "host-bridge/net/nics.h"
#include "host-bridge/rt/notice.h"

#define FUNCTIONS	4u
#define BAR_BASE	0x100000u

static struct function {
	struct pci_dev dev;
	uint8_t config[256];
	uint64_t bar_size[6];
	bool bar_io[6];
	int irq_error, master_error;
	unsigned irqs;			/* bits: messages in use; 31: INTx */
	unsigned again;			/* the last that comes again */
} functions[FUNCTIONS];
static unsigned count;

static struct nvme_regs nvme;
static struct virtio_regs virtio;
static struct ahci_regs ahci;
static struct ata_ports ata[4];
static unsigned nvmes, virtios, ahcis, atas, notices;
static char added[256];
static struct disk a_disk;
static struct nic a_nic;
static struct e1000_regs e1000;
static bool link_vector, msix_vector;

static struct function *of(const struct pci_dev *dev)
{
	return (struct function *)dev;
}

struct pci_dev *pci_find(const struct pci_dev *after, uint32_t class,
			 uint32_t mask)
{
	unsigned i = after ? (unsigned)(of(after) - functions) + 1 : 0;

	for (; i < count; i++) {
		if ((functions[i].dev.class & mask) == class) {
			return &functions[i].dev;
		}
	}
	return NULL;
}

int pci_claim(struct pci_dev *dev, const char *driver)
{
	if (dev->driver) {
		return EBUSY;
	}
	dev->driver = driver;
	return 0;
}

uint32_t pci_read(const struct pci_dev *dev, unsigned offset, unsigned size)
{
	uint32_t value = 0;

	assert_true(offset + size <= 256);
	memcpy(&value, of(dev)->config + offset, size);
	return value;
}

/* The list is made by add_cap(): type, next. */
unsigned pci_capability(const struct pci_dev *dev, unsigned id,
			unsigned after)
{
	unsigned at = after ? of(dev)->config[after + 1] :
		      of(dev)->config[0x34];

	while (at && of(dev)->config[at] != id) {
		at = of(dev)->config[at + 1];
	}
	return at;
}

int pci_bar(const struct pci_dev *dev, unsigned number, struct pci_bar *bar)
{
	struct function *f = of(dev);

	assert_true(number < 6);
	if (!f->bar_size[number]) {
		return ENOENT;
	}
	*bar = (struct pci_bar){
		.regs = f->bar_io[number] ? NULL :
			(void *)(uintptr_t)(BAR_BASE * (number + 1)),
		.port = f->bar_io[number] ? 0xc040 : 0,
		.size = f->bar_size[number],
	};
	return 0;
}

int pci_irq(struct pci_dev *dev, unsigned message, void (*fn)(void *arg),
	    void *arg)
{
	assert_true(message < dev->messages || dev->class >> 16 == 1);
	assert_non_null(fn);
	assert_non_null(arg);
	assert_false(dev->master);
	of(dev)->irqs |= 1u << message;
	return of(dev)->irq_error;
}

int pci_intx(struct pci_dev *dev, void (*fn)(void *arg), void *arg)
{
	assert_non_null(fn);
	assert_non_null(arg);
	of(dev)->irqs |= 1u << 31;
	return dev->intx ? 0 : ENOENT;
}

void pci_irq_again(struct pci_dev *dev, unsigned message)
{
	of(dev)->again = message;
}

int pci_isa_irq(struct pci_dev *dev, unsigned channel, void (*fn)(void *arg),
		void *arg)
{
	(void)fn;
	(void)arg;
	return dev->isa_irq[channel] ? 0 : ENOENT;
}

int pci_master(struct pci_dev *dev, bool on)
{
	if (of(dev)->master_error == 0) {
		dev->master = on;
	}
	return of(dev)->master_error;
}

const char *pci_class_name(uint32_t class)
{
	(void)class;
	return "a function";
}

bool dma_guarded(void)
{
	return true;
}

void notice(const char *fmt, ...)
{
	(void)fmt;
	notices++;
}

void disks_add(struct disk *disk, const char *kind, unsigned number)
{
	size_t len = strlen(added);

	assert_non_null(disk);
	snprintf(added + len, sizeof(added) - len, "%s%u ", kind, number);
}

void disk_interrupt(struct disk *disk)
{
	(void)disk;
}

struct disk *nvme_new(const struct nvme_regs *regs)
{
	nvme = *regs;
	nvmes++;
	return &a_disk;
}

struct disk *virtio_blk_new(const struct virtio_regs *regs)
{
	virtio = *regs;
	virtios++;
	return &a_disk;
}

struct ahci *ahci_new(const struct ahci_regs *regs)
{
	ahci = *regs;
	ahcis++;
	return (struct ahci *)&a_disk;
}

struct disk *ahci_disk(struct ahci *a, unsigned port)
{
	(void)a;
	return port == 1 || port == 31 ? &a_disk : NULL;
}

void ahci_interrupt(struct ahci *a)
{
	(void)a;
}

struct ata_channel *ata_channel_new(const struct ata_ports *ports)
{
	ata[atas++] = *ports;
	return (struct ata_channel *)&a_disk;
}

struct disk *ata_disk(struct ata_channel *channel, unsigned device)
{
	(void)channel;
	(void)device;
	return &a_disk;
}

void ata_interrupt(struct ata_channel *channel)
{
	(void)channel;
}

void nics_add(struct nic *nic)
{
	assert_ptr_equal(nic, &a_nic);
	nic->again(nic->again_arg);
	strcat(added, "net ");
}

void nic_interrupt(struct nic *nic)
{
	(void)nic;
}

void nic_link_interrupt(struct nic *nic)
{
	(void)nic;
}

struct nic *virtio_net_new(const struct virtio_regs *regs, bool own)
{
	virtio = *regs;
	link_vector = own;
	return &a_nic;
}

struct nic *e1000_new(const struct e1000_regs *regs, bool msix)
{
	e1000 = *regs;
	msix_vector = msix;
	return &a_nic;
}

static struct function *add(uint32_t class, uint16_t vendor, uint16_t device)
{
	struct function *f = &functions[count++];

	f->dev.class = class;
	f->dev.vendor = vendor;
	f->dev.device = device;
	return f;
}

static uint8_t *add_cap(struct function *f, unsigned at, uint8_t id)
{
	unsigned last = 0x33;

	while (f->config[last + 1]) {
		last = f->config[last + 1];
	}
	f->config[last + 1] = (uint8_t)at;
	f->config[at] = id;
	return f->config + at;
}

static void put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, 4);
}

static uint8_t *virtio_cap(struct function *f, unsigned at, uint8_t type,
			   uint8_t bar, uint32_t offset, uint32_t length)
{
	uint8_t *cap = add_cap(f, at, PCI_CAP_VENDOR);

	cap[3] = type;
	cap[4] = bar;
	put32(cap + 8, offset);
	put32(cap + 12, length);
	put32(cap + 16, 4);
	return cap;
}

static void msix(struct function *f, uint32_t table, unsigned entries)
{
	uint8_t *cap = add_cap(f, 0x40, PCI_CAP_MSIX);

	cap[2] = (uint8_t)(entries - 1);
	cap[3] = (uint8_t)((entries - 1) >> 8);
	put32(cap + 4, table);
}

static int setup(void **state)
{
	(void)state;
	memset(functions, 0, sizeof(functions));
	memset(added, 0, sizeof(added));
	memset(&virtio, 0, sizeof(virtio));
	memset(ata, 0, sizeof(ata));
	count = nvmes = virtios = ahcis = atas = notices = 0;
	return 0;
}

/* As QEMU has them. */
static struct function *add_virtio(void)
{
	struct function *f = add(0x010000, 0x1af4, 0x1042);

	f->bar_size[1] = 0x1000;
	f->bar_size[4] = 0x4000;
	msix(f, 1, 2);
	return f;
}

static void usual(struct function *f)
{
	virtio_cap(f, 0x50, 1, 4, 0, 0x1000);
	virtio_cap(f, 0x64, 3, 4, 0x1000, 0x1000);
	virtio_cap(f, 0x78, 4, 4, 0x2000, 0x1000);
	virtio_cap(f, 0x8c, 2, 4, 0x3000, 0x1000);
}

static void each_driver(void **state)
{
	struct function *f;

	(void)state;
	usual(add_virtio());
	f = add(0x010802, 0x1b36, 0x10);
	f->bar_size[0] = 0x4000;
	msix(f, 0x2000, 65);
	f = add(0x010601, 0x8086, 0x2922);
	f->bar_size[5] = 0x1000;
	f = add(0x010180, 0x8086, 0x7010);
	f->bar_size[4] = 16;
	f->bar_io[4] = true;
	f->dev.isa_irq[0] = 3;
	f->dev.isa_irq[1] = 4;
	disks_probe();
	assert_string_equal(added, "virtio0 nvme0 ahci1 ahci31 ide0 ide1 ide2 "
			    "ide3 ");
	assert_int_equal(notices, 0);
	assert_ptr_equal(virtio.common, 5 * BAR_BASE);
	assert_ptr_equal(virtio.device, 5 * BAR_BASE + 0x2000);
	assert_ptr_equal(virtio.notify, 5 * BAR_BASE + 0x3000);
	assert_int_equal(virtio.notify_multiplier, 4);
	assert_true(virtio.translated);
	/* Up to the page with the table. */
	assert_int_equal(nvme.size, 0x2000);
	assert_int_equal(ahci.size, 0x1000);
	assert_int_equal(ata[1].command, 0x170);
	assert_int_equal(ata[1].bus_master, 0xc048);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(functions[i].dev.master);
		assert_non_null(functions[i].dev.driver);
	}
	nvme.cut(nvme.arg);
	assert_false(functions[1].dev.master);
	disks_probe();			/* all are claimed */
	assert_int_equal(nvmes + virtios + ahcis, 3);
}

static void strangers(void **state)
{
	(void)state;
	add(0x010000, 0x1af4, 0x1041);
	add(0x010000, 0x1234, 0x1042);
	add(0x010400, 0x1af4, 0x1048);
	add(0x020000, 0x1af4, 0x1042);
	disks_probe();
	assert_string_equal(added, "");
	for (unsigned i = 0; i < 4; i++) {
		assert_null(functions[i].dev.driver);
	}
}

/* Cards of all kinds, with messages, and one that has a line only. */
static void each_nic(void **state)
{
	struct function *f;

	(void)state;
	f = add(0x020000, 0x1af4, 0x1041);
	f->bar_size[4] = 0x4000;
	f->dev.messages = 3;
	usual(f);
	f = add(0x020000, 0x8086, 0x10d3);
	f->bar_size[0] = 0x20000;
	f->dev.messages = 5;
	msix(f, 3, 5);
	f = add(0x020000, 0x8086, 0x100e);
	f->bar_size[0] = 0x20000;
	f->dev.intx = 5;
	/* and one that there is no driver for, which is said */
	add(0x020000, 0x8086, 0x100f);
	nics_probe();
	assert_string_equal(added, "net net net ");
	assert_int_equal(notices, 1);
	assert_int_equal(functions[0].irqs, 3);
	assert_true(link_vector);
	assert_int_equal(functions[1].irqs, 1);
	assert_int_equal(functions[1].again, 0);
	assert_int_equal(functions[2].irqs, 1u << 31);
	assert_int_equal(functions[2].again, PCI_INTX);
	assert_false(msix_vector);
	assert_false(e1000.express);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(functions[i].dev.master);
	}
	assert_null(functions[3].dev.driver);
	e1000.cut(e1000.arg);
	assert_false(functions[2].dev.master);
}

static void nics_of_no_use(void **state)
{
	struct function *f = add(0x020000, 0x8086, 0x100e);

	(void)state;
	f->dev.intx = 1;
	f->bar_size[0] = E1000_REGS_BYTES - 1;
	f = add(0x020000, 0x8086, 0x100e);
	f->bar_size[0] = 0x20000;	/* no interrupt of any kind */
	f = add(0x020000, 0x8086, 0x10d3);
	f->bar_size[0] = 0x20000;
	f->dev.messages = 5;
	f->master_error = EBUSY;
	f = add(0x020000, 0x1af4, 0x1041);
	f->dev.messages = 3;
	nics_probe();
	assert_string_equal(added, "");
	assert_int_equal(notices, 4);
}

/* Structures that a driver must not be given: one each, the others right. */
static void hostile_virtio(void **state)
{
	static const struct { uint8_t bar; uint32_t offset, length; } bad[] = {
		{ 4, 0, 55 },			/* common: too short */
		{ 1, 0, 0x1000 },		/* the table's page */
		{ 4, 0x3fff, 0x1000 }, { 4, 0x3000, 0x1001 },
		{ 4, 0x4000, 0x100 }, { 4, 0xfffff000, 0x2000 },
		{ 4, 0, 0xffffffff }, { 4, 2, 0x100 }, { 0, 0, 0x1000 },
		{ 6, 0, 0x1000 }, { 255, 0, 0x1000 },
	};
	static const uint8_t types[] = { 1, 4, 2 };

	for (unsigned t = 0; t < 3; t++) {
		for (unsigned i = t > 0; i < sizeof(bad) / sizeof(*bad); i++) {
			struct function *f;

			setup(state);
			f = add_virtio();
			virtio_cap(f, 0x50, types[t], bad[i].bar,
				   bad[i].offset, bad[i].length);
			for (unsigned o = 0; o < 3; o++) {
				if (o != t) {
					virtio_cap(f, 0x64 + 20 * o, types[o],
						   4, 0x1000 * o, 0x1000);
				}
			}
			disks_probe();
			assert_int_equal(virtios, 0);
			assert_int_equal(notices, 1);
			assert_false(f->dev.master);
		}
	}
}

/* The first that is usable is taken. */
static void second_best(void **state)
{
	struct function *f;

	(void)state;
	f = add_virtio();
	f->bar_io[1] = true;
	virtio_cap(f, 0xc0, 1, 1, 0, 0x38);
	usual(f);
	disks_probe();
	assert_ptr_equal(virtio.common, 5 * BAR_BASE);
}

static void around_the_table(void **state)
{
	struct function *f = add(0x010802, 1, 1);

	(void)state;
	f->bar_size[0] = 0x4000;
	msix(f, 0x1ff0, 2);		/* in pages 1 and 2 */
	disks_probe();
	assert_int_equal(nvmes, 0);
	assert_int_equal(notices, 1);
	setup(state);
	f = add(0x010802, 1, 1);
	f->bar_size[0] = 0x4000;
	msix(f, 0, 2);
	disks_probe();
	assert_int_equal(nvmes, 0);
	setup(state);
	f = add(0x010802, 1, 1);
	f->bar_size[0] = 0x1000;
	disks_probe();
	assert_int_equal(nvmes, 0);
	setup(state);
	f = add_virtio();
	f->config[0x44] = 4;		/* the table: BAR 4, page 1 */
	f->config[0x45] = 0x10;
	virtio_cap(f, 0x50, 1, 4, 0, 0x1000);
	virtio_cap(f, 0x78, 4, 4, 0x2000, 0x1000);
	virtio_cap(f, 0x8c, 2, 4, 0x3000, 0x1000);
	disks_probe();
	assert_int_equal(virtios, 1);
	/* Behind the table, in its page. */
	setup(state);
	f = add_virtio();
	f->config[0x44] = 4;
	f->config[0x45] = 0x10;
	virtio_cap(f, 0x50, 1, 4, 0x1800, 0x100);
	virtio_cap(f, 0x78, 4, 4, 0x2000, 0x1000);
	virtio_cap(f, 0x8c, 2, 4, 0x3000, 0x1000);
	disks_probe();
	assert_int_equal(virtios, 0);
}

/* No interrupt, no bus: no disk, and the bus is not its own. */
static void without(void **state)
{
	struct function *f;

	(void)state;
	usual(f = add_virtio());
	f->irq_error = ENOSPC;
	f = add(0x010802, 1, 1);
	f->bar_size[0] = 0x4000;
	f->master_error = EPERM;
	f = add(0x010601, 1, 1);
	f->bar_size[5] = 0x1000;
	f->irq_error = ENOENT;
	f = add(0x01018a, 1, 1);
	f->bar_size[4] = 8;
	f->bar_io[4] = true;
	disks_probe();
	assert_string_equal(added, "");
	assert_int_equal(notices, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_false(functions[i].dev.master);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_driver), TEST(strangers), TEST(hostile_virtio),
		TEST(second_best), TEST(around_the_table), TEST(without),
		TEST(each_nic), TEST(nics_of_no_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
