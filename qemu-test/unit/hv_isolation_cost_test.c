/* SPDX-License-Identifier: MIT */
/*
 * What a look at tables costs, in instructions: compiled as the hypervisor's code is,
 * and counted by the processor's single step. The worst there is: pages of 4 KiB, none
 * beside the one before.
 */
#include <stdio.h>

#include "hv_steps.h"
#include "hypervisor/check/check.h"
#include "hypervisor/iommu/iommu_int.h"

#define MIB		0x100000ull
#define MACHINE		(32 * MIB)
#define RAM		0x40000000ull
#define MOST		66u		/* a page: 17 M a GiB */
#define PAGES		512u		/* of one table */

__asm__(".globl text_end, rodata_end\n"
	".set text_end, 0xffffffff80002000\n"
	".set rodata_end, 0xffffffff80003000\n");

struct iommu_unit iommu_units[BOOT_MAX_IOMMUS];
uint32_t iommu_unit_count;
const struct iommu_ops *iommu_ops, iommu_vtd;
uint64_t paging_cr3;
static uint64_t own_root;

static struct pt_format npt = {
	.table = 7, .present = 1, .leaf = BIT64(0) | BIT64(2), .large = BIT64(7),
	.write = BIT64(1), .no_exec = BIT64(63), .uncached = BIT64(3) | BIT64(4),
};
static struct pt_format ept = {
	.table = 7, .present = 7, .leaf = BIT64(0) | BIT64(6), .large = BIT64(7),
	.write = BIT64(1), .exec = BIT64(2), .cached = 6ull << 3,
};

uint8_t *msr_map(void)
{
	uint8_t *map = hpa_ptr(frame_boot(FRAME_HYPERVISOR, 2 * PAGE_SIZE, "MSRs"));

	return memset(map, 0xff, 2 * PAGE_SIZE);
}

static void vcpu_ok(struct vcpu *v)
{
	(void)v;
}

const struct hvm_ops hvm_vmx = { .gpm_format = &ept, .vcpu_init = vcpu_ok };
const struct hvm_ops hvm_svm = { .gpm_format = &npt, .vcpu_init = vcpu_ok };
const struct hvm_ops *hvm = &FORMAT;

enum hc_iommu iommu_state(void)
{
	return HC_IOMMU_NONE;
}

uint32_t read_device32(const volatile uint8_t *at)
{
	return *at;
}

uint64_t read_device64(const volatile uint8_t *at)
{
	return *at;
}

uint64_t read_cr3(void)
{
	return own_root;
}

void check_cpu_state(void)
{
}

void lapic_ipi(uint32_t apic_id, uint8_t vector)
{
	(void)apic_id;
	(void)vector;
}

static struct partition *guest;

/* PAGES pages, each by itself. */
static void fill(void)
{
	static hpa_t page[PAGES];
	uint64_t i;

	for (i = 0; i < PAGES; i++) {
		page[i] = frame_alloc(partition_frames(guest), false);
	}
	for (i = 0; i < PAGES; i++) {
		assert_int_equal(gpm_map(guest, GPA(RAM + i * PAGE_SIZE),
					 page[i * 79 % PAGES], PAGE_SIZE, GPM_ALL), HC_OK);
	}
}

static int machine(void **state)
{
	uint64_t *t, pa;
	uint32_t i;

	(void)state;
	steps_start();
	fakes_reset();
	fake_memory_map(MACHINE);
	boot.mem_count = 1;
	boot.mem[0] = (struct boot_mem){ 0, MACHINE, BOOT_MEM_FREE, 0 };
	boot.partition_count = 2;
	for (i = 0; i < 2; i++) {
		struct boot_partition *p = &boot.partitions[i];

		p->name[0] = (char)('a' + i);
		p->id = i;
		p->flags = i ? 0 : BOOT_PARTITION_HOST;
		p->vcpus = 1;
		p->mem_cap = MACHINE;
		p->demand_count = 2;
		p->demand[0] = (struct boot_demand){ 0, 0x9f000 };
		p->demand[1] = (struct boot_demand){ RAM, MACHINE };
	}
	frame_init(&boot);
	partition_create_all(&boot);
	guest = partitions[1];
	check_init();
	own_root = frame_alloc(FRAME_HYPERVISOR, true).v;
	t = (uint64_t *)hpa_ptr(HPA(own_root)) + (DMAP_BASE >> 39 & 511);
	*t = frame_alloc(FRAME_HYPERVISOR, true).v | 3;
	t = hpa_ptr(HPA(*t & ~PAGE_MASK));
	*t = frame_alloc(FRAME_HYPERVISOR, true).v | 3;
	t = hpa_ptr(HPA(*t & ~PAGE_MASK));
	for (pa = 0; pa < MACHINE; pa += BIG_PAGE_SIZE) {
		t[pa / BIG_PAGE_SIZE] = pa | BIT64(63) | 0x83;
	}
	cpu_count = 1;
	return 0;
}

/* Instructions of both passes. */
static uint64_t look(void)
{
	memset(check_tables, 0, check_pages / 4);
	check_ram = steps = 0;
	count(true);
	check_maps(true);
	check_maps(false);
	counting = 0;
	return steps;
}

static void each_page(void **state)
{
	uint64_t none, all;

	(void)state;
	/* the tables above are there already */
	assert_int_equal(gpm_map(guest, GPA(RAM + BIG_PAGE_SIZE),
				 frame_alloc(partition_frames(guest), false), PAGE_SIZE, GPM_ALL),
			 HC_OK);
	none = look();
	fill();
	all = look();
	assert_int_equal(check_ram, PAGES + 1);
	print_message("%llu instructions for %u pages\n", (unsigned long long)(all - none),
		      PAGES);
	assert_in_range((all - none) / PAGES, 10, MOST);
}

/* A piece of the list holds the partition's lock no longer than anything else. */
static void listed(void **state)
{
	struct guest_regs r = { .rdx = 0 };
	uint64_t pages = 0;

	(void)state;
	do {
		WATCH("a piece", assert_int_equal(check_query_map(1, &r), HC_OK));
		pages += r.rsi / PAGE_SIZE;
		r.rdx = r.rdi + r.rsi;
	} while (pages < 2);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_page),
		cmocka_unit_test(listed),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
