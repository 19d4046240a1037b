/* SPDX-License-Identifier: MIT */
/*
 * The machine's I/O APIC: nothing that firmware has left open interrupts, and
 * no interrupt comes while its registers, a pair for all entries, are used.
 */
#include "hv_fakes.h"

#include <iommu.h>

#define IOAPIC		0xfec00000ull
#define PINS		24u
#define MASKED		0x10000u
#define REDIR(pin)	(0x10u + 2 * (pin))

static uint32_t page[1024], maps, cli, sti, eois;
static uint8_t pic[2], routed[3];

/* IOREGSEL and IOWIN, as memory. */
#define SELECT	page[0]
#define WINDOW	page[4]

void *paging_map_device(uint64_t pa, bool through)
{
	assert_false(through);
	assert_int_equal(pa, IOAPIC);
	maps++;
	return page;
}

/* The high word of an entry, remapped or not, is somebody else's. */
uint32_t iommu_ioapic(uint8_t vector, bool level)
{
	routed[vector - VECTOR_IRQ_BASE] = 1 + level;
	return (uint32_t)vector << 17;
}

void lapic_eoi(void)
{
	eois++;
}

void outb(uint16_t port, uint8_t v)
{
	assert_true(port == 0x21 || port == 0xa1);
	pic[port == 0xa1] = v;
}

/* Before the first line is open: the last that was written is a mask. */
void cpu_cli(void)
{
	assert_int_equal(WINDOW, MASKED);
	cli++;
}

/* After the last one: it is open. */
void cpu_sti(void)
{
	assert_int_equal(cli, 1);
	assert_int_equal(SELECT, REDIR(20));
	assert_int_equal(WINDOW & (MASKED | 0xff), VECTOR_IRQ_BASE + 2);
	sti++;
}

static uint32_t checks;

void check_cpu(void)
{
	checks++;
}

static void start_up(void **state)
{
	static const struct boot_partition config = {
		.irq_count = 3,
		.irqs = { { .gsi = 16, .flags = BOOT_IRQ_LEVEL }, { .gsi = 4 },
			  { .gsi = 20, .flags = BOOT_IRQ_LEVEL } },
	};
	struct partition part = { .config = &config };
	struct boot_info bi = { .ioapic_phys = IOAPIC };

	(void)state;
	fakes_reset();
	cpus[0] = &fake_cpu[0];
	WINDOW = (PINS - 1) << 16;	/* the version register */
	/* no partition is needed: it comes first of all */
	irq_mask_all(&bi);
	assert_int_equal(pic[0] & pic[1], 0xff);
	assert_int_equal(maps, 1);
	assert_int_equal(SELECT, REDIR(PINS - 1));
	assert_int_equal(WINDOW, MASKED);
	assert_int_equal(cli + sti, 0);
	partitions[0] = &part;
	partition_count = 1;
	irq_init();
	assert_int_equal(cli, 1);
	assert_int_equal(sti, 1);
	assert_int_equal(maps, 1);
	assert_memory_equal(routed, "\2\1\2", 3);
	/* one that is level-triggered is masked until it has been served */
	irq_handle(VECTOR_IRQ_BASE);
	assert_int_equal(SELECT, REDIR(16));
	assert_true(WINDOW & MASKED);
	assert_true(WINDOW & 0x8000);	/* and seen when it falls */
	assert_int_equal(fake.events, HC_EVENT_IRQ(0));
	assert_int_equal(eois, 1);
	assert_int_equal(irq_control(0, 1), HC_OK);
	assert_false(WINDOW & MASKED);
	/* nothing else opens or closes it */
	assert_int_equal(irq_control(BIT64(32), 0), HC_ENOENT);
	assert_int_equal(irq_control(0, 2), HC_EINVAL);
	assert_false(WINDOW & MASKED);
	assert_int_equal(irq_control(3, 1), HC_ENOENT);
	/* messages raise lines of their own, and only those */
	for (uint32_t v = VECTOR_MSI_BASE - 1; v <= VECTOR_MSI_BASE + 16; v++) {
		uint32_t line = HC_LINE_MSI + v - VECTOR_MSI_BASE;

		fake.events = 0;
		irq_handle(v);
		assert_int_equal(fake.events, v < VECTOR_MSI_BASE ||
				 v > VECTOR_MSI_BASE + 15 ? 0 :
				 HC_EVENT_IRQ(line));
	}
	assert_int_equal(eois, 1 + 18);
	assert_int_equal(checks, 0);
	irq_handle(VECTOR_CHECK);
	assert_int_equal(checks, 1);
	assert_int_equal(eois, 1 + 19);
	/* an EOI would end another's */
	irq_handle(VECTOR_SPURIOUS);
	assert_int_equal(eois, 1 + 19);
}

/* The loader does not know how many inputs there are. */
static void no_such_input(void **state)
{
	static const struct boot_partition config = {
		.name = "host", .irq_count = 1, .irqs = { { .gsi = PINS } },
	};
	struct partition part = { .config = &config };

	(void)state;
	WINDOW = MASKED;
	partitions[0] = &part;
	assert_panics(irq_init());
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(start_up), cmocka_unit_test(no_such_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
