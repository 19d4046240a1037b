/* SPDX-License-Identifier: MIT */
/*
 * The host partition's side of PCI, against a hypervisor that answers here: the
 * list, capabilities that lead in circles, lines and who is called, resets; and the
 * DMA pool.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "abi/boot_info.h"
#include "host-bridge/dev/dma.h"
#include "host-bridge/dev/pci.h"
#include "host-bridge/loop/loop.h"
#include "host_hc.h"

#define PAGES		64u
#define PAGE		4096u
#define BUS		0x7e03000ull

static uint8_t pool[PAGES * PAGE] __attribute__((aligned(0x200000)));
static uint8_t config[256];
static uint64_t events, lines[16];	/* what message 0.. raises */
static int64_t reset_answer;
static unsigned masters, guarded, opened;
static bool intx_on;
static struct pci_dev *disk, *ide;

static int64_t pci_of_ours(struct hc_regs *r)
{
	switch (r->rdi) {
	case HC_PCI_READ:
		if (r->rdx + r->r10 > sizeof(config)) {
			return HC_EINVAL;
		}
		for (uint64_t v = r->rdi = 0; v < r->r10; v++) {
			r->rdi |= (uint64_t)config[r->rdx + v] << 8 * v;
		}
		return HC_OK;
	case HC_PCI_WRITE:
		intx_on |= r->rdx == 4 && !(r->r8 & 0x400);
		return r->rdx == 4 ? HC_OK : HC_EPERM;
	case HC_PCI_BAR:
		if (r->rdx == 0) {
			*r = (struct hc_regs){ BOOT_BAR_64, 0x100000000, 0x4000, 0, 0 };
			return HC_OK;
		}
		*r = (struct hc_regs){ BOOT_BAR_IO, 0xc040, 0x20, 0, 0 };
		return HC_OK;
	case HC_PCI_MSI:
		if (r->rdx >= 16) {
			return HC_ENOENT;
		}
		lines[r->rdx] = r->r10;
		return HC_OK;
	case HC_PCI_MASTER:
		masters += r->rdx ? 1 : -1u;
		return HC_OK;
	default:
		return reset_answer;
	}
}

int64_t hypercall(enum hypercall nr, struct hc_regs *r)
{
	static const struct hc_regs listed[] = {
		{ 0x00fa, 0x0106010229228086, 16, 0, 0 },
		{ 0x00f9, 0x0101800070108086, 0, 0x0403, 0 },
		{ 0x0018, 0x02000003100e8086, 0, 6, 0 },
		{ 0x0020, 0x02000003100e8086, 0, 6, 0 },
	};

	if (nr == HC_WAIT) {
		r->rdi = events;
		events = 0;
		return HC_OK;
	}
	if (nr == HC_IRQ && r->rdi == 5 && r->rsi == 1) {
		opened++;
		return HC_OK;
	}
	if (nr != HC_PCI) {
		return nr == HC_IRQ && r->rdi == 2 && r->rsi == 1 ? HC_OK : HC_ENOENT;
	}
	if (r->rdi == HC_PCI_DMA) {
		*r = (struct hc_regs){ (uintptr_t)pool, sizeof(pool), BUS, guarded, 0 };
		return HC_OK;
	}
	if (r->rdi == HC_PCI_FUNCTION) {
		if (r->rsi > 3) {
			return HC_ENOENT;
		}
		*r = listed[r->rsi];
		return HC_OK;
	}
	return r->rsi == 0x00fa || r->rsi == 0x00f9 || r->rsi == 0x0018 ||
	       r->rsi == 0x0020 ? pci_of_ours(r) : HC_ENOENT;
}

static int start(void **state)
{
	(void)state;
	memset(config, 0, sizeof(config));
	loop_init(1000000000);
	pci_init();
	dma_init();
	disk = pci_get(0);
	ide = pci_get(1);
	return 0;
}

static void functions_are_found(void **state)
{
	struct pci_bar bar;

	(void)state;
	assert_null(pci_get(4));
	assert_int_equal(disk->vendor, 0x8086);
	assert_int_equal(disk->device, 0x2922);
	assert_int_equal(disk->class, 0x010601);
	assert_int_equal(disk->revision, 2);
	assert_ptr_equal(pci_find(NULL, 0x010000, 0xff0000), disk);
	assert_ptr_equal(pci_find(disk, 0x010000, 0xff0000), ide);
	assert_null(pci_find(ide, 0x010000, 0xff0000));
	assert_ptr_equal(pci_find(NULL, 0x010100, 0xffff00), ide);
	assert_int_equal(pci_claim(disk, "one"), 0);
	assert_int_equal(pci_claim(disk, "two"), EBUSY);
	assert_string_equal(disk->driver, "one");
	assert_string_equal(pci_class_name(disk->class), "AHCI controller");
	assert_string_equal(pci_class_name(0x0c0330), "USB controller (xHCI)");
	assert_int_equal(pci_bar(disk, 0, &bar), 0);
	assert_ptr_equal(bar.regs, (void *)0x100000000);
	assert_int_equal(bar.size, 0x4000);
	assert_int_equal(pci_bar(disk, 4, &bar), 0);
	assert_null(bar.regs);
	assert_int_equal(bar.port, 0xc040);
	assert_int_equal(pci_read(disk, 256, 4), UINT32_MAX);
	assert_int_equal(pci_write(disk, 4, 2, 0), 0);
	assert_int_equal(pci_write(disk, 16, 4, 0), EPERM);
}

static void capabilities_end(void **state)
{
	static const uint8_t list[][2] = {	/* id, next */
		[0x40 / 4] = { PCI_CAP_VENDOR, 0x50 }, [0x50 / 4] = { 1, 0x60 },
		[0x60 / 4] = { PCI_CAP_VENDOR, 0x70 }, [0x70 / 4] = { 5, 0x40 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		memcpy(&config[4 * i], list[i], 2);
	}
	config[0x34] = 0x43;		/* the lowest bits are not to count */
	assert_int_equal(pci_capability(disk, PCI_CAP_VENDOR, 0), 0);
	config[6] = 0x10;
	assert_int_equal(pci_capability(disk, PCI_CAP_VENDOR, 0), 0x40);
	assert_int_equal(pci_capability(disk, PCI_CAP_VENDOR, 0x40), 0x60);
	assert_int_equal(pci_capability(disk, PCI_CAP_MSI, 0), 0x70);
	/* the list is a circle */
	assert_int_equal(pci_capability(disk, PCI_CAP_MSIX, 0), 0);
	assert_int_equal(pci_capability(disk, PCI_CAP_VENDOR, 0x60), 0x40);
}

static void count(void *arg)
{
	(*(unsigned *)arg)++;
}

static void messages_call(void **state)
{
	unsigned calls[18] = { 0 }, numbers[4];
	uint64_t taken;

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(pci_irq(disk, i, count, &calls[i]), 0);
		assert_int_equal(lines[i], HC_LINE_MSI + i);
	}
	/* there is no 17th line, and no 17th message */
	assert_int_equal(pci_irq(disk, 16, count, &calls[16]), ENOENT);
	assert_int_equal(pci_irq(ide, 0, count, &calls[16]), ENOENT);
	events = HC_EVENT_IRQ(16) | HC_EVENT_IRQ(31) | HC_EVENT_IRQ(2);
	loop_step(0);
	assert_int_equal(calls[0], 1);
	assert_int_equal(calls[15], 1);
	assert_int_equal(calls[1] + calls[16], 0);
	/* another function for the same keeps the line */
	assert_int_equal(pci_irq(disk, 0, count, &calls[16]), 0);
	assert_int_equal(lines[0], 16);
	pci_irq_off(disk, 1);
	assert_int_equal(lines[1], HC_PCI_NO_LINE);
	events = HC_EVENT_IRQ(16) | HC_EVENT_IRQ(17);
	loop_step(0);
	assert_int_equal(calls[16], 1);
	assert_int_equal(calls[1], 0);
	assert_int_equal(pci_irq(disk, 1, count, &calls[1]), 0);
	assert_int_equal(pci_interrupts(disk, numbers, 4, &taken), 4);
	assert_int_equal(numbers[0], 16);
	assert_int_equal(taken, 2);
	/* an IDE channel has a line of the manifest's */
	assert_int_equal(pci_isa_irq(disk, 0, count, &calls[17]), ENOENT);
	assert_int_equal(pci_isa_irq(ide, 2, count, &calls[17]), ENOENT);
	assert_int_equal(pci_isa_irq(ide, 0, count, &calls[17]), 0);
	events = HC_EVENT_IRQ(2);
	loop_step(0);
	assert_int_equal(calls[17], 1);
	for (unsigned i = 0; i < 16; i++) {
		pci_irq_off(disk, i);
	}
	assert_int_equal(pci_interrupts(disk, numbers, 4, &taken), 0);
}

/* Two on one line: each looks, and the line is opened again afterwards. */
static void lines_are_shared(void **state)
{
	struct pci_dev *a = pci_get(2), *b = pci_get(3);
	unsigned calls[2] = { 0 }, numbers[2];
	uint64_t taken;

	(void)state;
	assert_int_equal(pci_intx(disk, count, &calls[0]), ENOENT);
	assert_int_equal(pci_intx(ide, count, &calls[0]), ENOENT);
	intx_on = false;
	assert_int_equal(pci_intx(a, count, &calls[0]), 0);
	assert_true(intx_on);
	assert_int_equal(pci_intx(b, count, &calls[1]), 0);
	assert_int_equal(opened, 2);
	events = HC_EVENT_IRQ(5);
	loop_step(0);
	assert_int_equal(calls[0], 1);
	assert_int_equal(calls[1], 1);
	assert_int_equal(opened, 3);
	/* and again without an interrupt, which is none to count */
	pci_irq_again(b, PCI_INTX);
	loop_step(0);
	assert_int_equal(calls[1], 2);
	assert_int_equal(pci_interrupts(b, numbers, 2, &taken), 1);
	assert_int_equal(numbers[0], 5);
	assert_int_equal(taken, 1);
	/* messages likewise */
	assert_int_equal(pci_irq(disk, 3, count, &calls[0]), 0);
	calls[0] = 0;
	pci_irq_again(disk, 3);
	pci_irq_again(disk, 4);
	loop_step(0);
	assert_int_equal(calls[0], 1);
	pci_irq_off(disk, 3);
}

static void resets_end_all(void **state)
{
	unsigned calls = 0;

	(void)state;
	assert_int_equal(pci_irq(disk, 0, count, &calls), 0);
	assert_int_equal(pci_master(disk, true), 0);
	assert_true(disk->master);
	reset_answer = HC_EAGAIN;
	assert_int_equal(pci_reset(disk), EAGAIN);
	assert_int_equal(masters, 0);
	reset_answer = HC_OK;
	assert_int_equal(pci_reset(disk), 0);
	events = HC_EVENT_IRQ(16);
	loop_step(0);
	assert_int_equal(calls, 0);
	reset_answer = HC_ENOSYS;
	assert_int_equal(pci_reset(disk), ENOTSUP);
}

static void the_pool_is_divided(void **state)
{
	uint8_t *a, *b, *c;

	(void)state;
	assert_int_equal(dma_size(), sizeof(pool));
	assert_false(dma_guarded());
	assert_null(dma_alloc(0, 1));
	assert_null(dma_alloc(sizeof(pool) + 1, 1));
	assert_null(dma_alloc(SIZE_MAX, 1));
	memset(pool, 0xaa, sizeof(pool));
	a = dma_alloc(1, 1);
	b = dma_alloc(PAGE + 1, 64);
	c = dma_alloc(PAGE, 8 * PAGE);
	assert_ptr_equal(a, pool);
	assert_ptr_equal(b, pool + PAGE);
	assert_int_equal(dma_bus(a + 5), BUS + 5);
	assert_int_equal(dma_bus(c) % (8 * PAGE), 0);
	assert_int_equal(a[PAGE - 1] | b[2 * PAGE - 1] | c[0], 0);
	assert_int_equal(dma_room(), sizeof(pool) - 4 * PAGE);
	dma_free(b, PAGE + 1);
	dma_free(NULL, PAGE);
	/* the first that fits */
	assert_ptr_equal(dma_alloc(2 * PAGE, 1), b);
	assert_null(dma_alloc(PAGES * PAGE - 3 * PAGE, 1));
	dma_free(a, 1);
	dma_free(b, 2 * PAGE);
	dma_free(c, PAGE);
	assert_ptr_equal(dma_alloc(sizeof(pool), 1), pool);
	assert_int_equal(dma_room(), 0);
	assert_null(dma_alloc(1, 1));
	dma_free(pool, sizeof(pool));
}

/* Pieces of all sizes come and go: none overlaps another, none is lost. */
static void pieces_do_not_overlap(void **state)
{
	static struct {
		uint8_t *at;
		size_t size;
	} piece[16];

	(void)state;
	srand(1);
	for (unsigned n = 0; n < 20000; n++) {
		unsigned i = (unsigned)rand() % 16;
		size_t align = (size_t)1 << rand() % 16;

		for (size_t k = 0; k < piece[i].size; k += 512) {
			assert_int_equal(piece[i].at[k], i + 1);
		}
		dma_free(piece[i].at, piece[i].size);
		piece[i].size = (size_t)(1 + rand() % (8 * PAGE));
		piece[i].at = dma_alloc(piece[i].size, align);
		if (!piece[i].at) {
			piece[i].size = 0;
			continue;
		}
		assert_int_equal(dma_bus(piece[i].at) % align, 0);
		memset(piece[i].at, (int)i + 1, piece[i].size);
	}
	for (unsigned i = 0; i < 16; i++) {
		dma_free(piece[i].at, piece[i].size);
	}
	assert_int_equal(dma_room(), sizeof(pool));
}

int main(void)
{
#define TEST(f)	cmocka_unit_test_setup(f, start)
	static const struct CMUnitTest tests[] = {
		TEST(functions_are_found), TEST(capabilities_end), TEST(messages_call),
		TEST(lines_are_shared),
		TEST(resets_end_all), TEST(the_pool_is_divided),
		TEST(pieces_do_not_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
