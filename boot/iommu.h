/* SPDX-License-Identifier: MIT */
/* What the firmware says of IOMMUs, as boot_info has it. */
#ifndef ISTHMUS_BOOT_IOMMU_H
#define ISTHMUS_BOOT_IOMMU_H

#include <stdbool.h>
#include <stdint.h>

#include "hypervisor/include/abi/boot_info.h"

/* A word of a function's configuration space; all ones: there is nothing. */
typedef uint32_t iommu_config(uint32_t function, uint32_t reg);

const char *iommu_dmar(const uint8_t *table, uint32_t size, uint32_t ioapic_id,
		       iommu_config *config, struct boot_iommus *out);
const char *iommu_ivrs(const uint8_t *table, uint32_t size, uint32_t ioapic_id,
		       struct boot_iommus *out);
bool iommu_overlaps(const struct boot_iommus *iommus, uint64_t base, uint64_t end);

#endif
