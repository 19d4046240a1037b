/* SPDX-License-Identifier: MIT */
/*
 * The manifest: what to load and which partitions to make. docs/manifest.md
 * describes the binding.
 */
#ifndef ISTHMUS_BOOT_MANIFEST_H
#define ISTHMUS_BOOT_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "hypervisor/include/abi/boot_info.h"

#define MANIFEST_MAX_SIZE	(256u << 10)
#define MANIFEST_MAX_MODULES	40
#define MANIFEST_MAX_DISKS	32
#define MANIFEST_ERROR_LEN	240

#define MANIFEST_MAX_PCI_RULES	16

enum pci_field {
	PCI_BY_CLASS,		/* register 8 of its configuration space */
	PCI_BY_ID,		/* register 0 */
	PCI_BY_ADDRESS,		/* as in struct boot_pci */
};

/* Functions of PCI that are the host partition's: those in which the field,
 * masked, has this value. */
struct pci_rule {
	enum pci_field field;
	uint32_t mask, value;
};

static inline bool pci_rule_is_for(const struct pci_rule *rule, const struct boot_pci *is)
{
	uint32_t field = rule->field == PCI_BY_CLASS ? is->class :
			 rule->field == PCI_BY_ID ? is->id : is->address;

	return (field & rule->mask) == rule->value;
}

/* Pointers lead into the blob. */
struct manifest_module {
	const char *name;
	const char *path;
	const uint8_t *sha256;		/* 32 bytes */
};

struct manifest {
	const char *mark;		/* BOOT_MARK_LEN characters; NULL: none */
	bool panic_resets;		/* the machine */
	const char *serial;		/* where the console is; NULL: to be found */
	struct pci_rule serial_rule;	/* on this function, unless mask is 0 .. */
	struct boot_uart serial_uart;	/* .. or there; base 0: nowhere */
	uint32_t serial_speed;		/* bit/s; 0: not said */
	uint32_t serial_clock;		/* Hz; 0: not said */
	uint32_t module_count;
	uint32_t hypervisor;		/* index in module[] */
	uint32_t host_image;		/* index in module[] */
	uint32_t partition_count;
	uint32_t channel_count;
	uint32_t dma_mib;		/* the host partition's DMA pool */
	uint32_t pci_rule_count;
	struct pci_rule pci_rule[MANIFEST_MAX_PCI_RULES];
	uint32_t disk_count;
	uint64_t min_memory;		/* bytes the partitions begin with */
	struct manifest_module module[MANIFEST_MAX_MODULES];
	/* Regions and start state are left to the loader. */
	struct boot_partition partition[BOOT_MAX_PARTITIONS];
	struct boot_channel channel[BOOT_MAX_CHANNELS];
};

bool manifest_blob_ok(const void *blob, uint64_t size);
bool manifest_decode(const void *blob, uint64_t size, struct manifest *manifest,
		     char error[MANIFEST_ERROR_LEN]);

#endif
