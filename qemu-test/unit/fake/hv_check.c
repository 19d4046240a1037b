/* SPDX-License-Identifier: MIT */
/* The machine behind hv_check.h. */
#include "hv_check.h"

#define FIRST_FRAME	0x100000ull
#define MAP		0x10000ull	/* the hypervisor's own: empty */

/* hypervisor.lds: where these end. */
__asm__(".globl text_end, rodata_end\n"
	".set text_end, 0xffffffff80002000\n"
	".set rodata_end, 0xffffffff80003000\n");

const struct hvm_ops hvm_vmx, hvm_svm;

const uint8_t *frame_owners(uint64_t *pages)
{
	static uint8_t owners[IOMMU_MEMORY / PAGE_SIZE];

	*pages = ARRAY_SIZE(owners);
	owners[MAP / PAGE_SIZE] = FRAME_HYPERVISOR;
	memset(owners + FIRST_FRAME / PAGE_SIZE, FRAME_HYPERVISOR,
	       (POOL_HPA - FIRST_FRAME) / PAGE_SIZE);
	memset(owners + POOL_HPA / PAGE_SIZE, FRAME_PARTITION0, POOL_SIZE / PAGE_SIZE);
	return owners;
}

struct partition *partition_host(void)
{
	return &iommu_partition;
}

uint64_t read_cr3(void)
{
	return MAP;
}

void check_cpu_state(void)
{
}

void lapic_ipi(uint32_t apic_id, uint8_t vector)
{
	fail_msg("CPU %u is asked: %u", apic_id, vector);
}

/* The words, "" if all is right. owned: the host partition's functions. */
const char *isolation(const struct boot_info *bi, const uint32_t *owned, uint32_t n)
{
	static bool ready;
	struct guest_regs r;

	boot.iommus = bi->iommus;
	boot.dma = (struct boot_region){ POOL_GPA, POOL_HPA, POOL_SIZE, BOOT_MAP_WRITE, 0 };
	for (boot.pci_count = 0; boot.pci_count < n; boot.pci_count++) {
		boot.pci[boot.pci_count].address = owned[boot.pci_count];
		boot.pci[boot.pci_count].flags = BOOT_PCI_OWNED;
	}
	cpu_count = 1;
	if (!ready) {
		check_init();
		ready = true;
	}
	memset(iommu_log, 0, sizeof(iommu_log));
	assert_int_equal(check_query(&r), HC_OK);
	return r.rdi ? iommu_log : "";
}

/* The entry that a walk for a bus address comes to as its depth-th: 4 is a page's. */
uint64_t *table_entry(uint64_t root, uint32_t depth, uint64_t bus)
{
	uint64_t *e = &root;
	uint32_t i;

	for (i = 0; i < depth; i++) {
		e = (uint64_t *)hpa_ptr(HPA(*e & IOMMU_ADDRESS)) + (bus >> (39 - 9 * i) & 511);
	}
	return e;
}
