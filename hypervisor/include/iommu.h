/* SPDX-License-Identifier: MIT */
/*
 * What devices may reach: nothing, but for those that a partition has been given,
 * and these the partition's DMA pool alone, at its guest-physical addresses. And
 * whom they may interrupt: CPU 0, by vectors that were made for them.
 *
 * This is all that core/ and x86/ see; inside iommu/ a const table per vendor runs
 * the units. All on CPU 0, where the host partition is, so without a lock.
 */
#ifndef ISTHMUS_IOMMU_H
#define ISTHMUS_IOMMU_H

#include <abi/boot_info.h>
#include <abi/hypercall.h>
#include <types.h>

struct guest_regs;
struct partition;

/* Memory that a partition's devices reach: contiguous, whole pages. */
struct iommu_pool {
	hpa_t hpa;
	gpa_t gpa;		/* on the bus, too */
	uint64_t size;
};

void iommu_init(const struct boot_info *bi);
enum hc_iommu iommu_state(void);
bool iommu_is_unit(uint32_t function);
hv_status_t iommu_attach(struct partition *p, uint32_t function,
			 const struct iommu_pool *pool) MUST_CHECK;
hv_status_t iommu_detach(uint32_t function) MUST_CHECK;
hv_status_t iommu_msi(uint32_t function, uint8_t vector, uint64_t *address,
		      uint32_t *data) MUST_CHECK;
uint32_t iommu_ioapic(uint8_t vector, bool level);
void iommu_report_poll(uint64_t now);
hv_status_t iommu_report_query(uint64_t index, struct guest_regs *r);

extern uint64_t iommu_report_at;	/* host TSC: iommu_report_poll() is due */

#endif
