/* SPDX-License-Identifier: MIT */
/*
 * The host partition before it runs: its low memory (information, GDT, page
 * tables), its program, its modules. All of it becomes regions of partition 0,
 * which the hypervisor maps as they are. Guests get nothing here: host-bridge
 * loads them.
 */
#include <string.h>

#include "elf.h"
#include "loader.h"
#include "paging.h"

#define LOW_SIZE	0x9000ull	/* ends where HOST_BOOT_GPA's 28K do */
#define HOST_MAPPED_GIB	4
#define HOST_TABLES_GPA	(HOST_BOOT_GPA + PAGE_SIZE)

_Static_assert(HOST_INFO_GPA + sizeof(struct host_info) <= HOST_BOOT_GPA &&
	       HOST_TABLES_GPA + PAGING_TABLES(HOST_MAPPED_GIB) * PAGE_SIZE <= LOW_SIZE,
	       "all fits");

/* Null, unused, 64-bit code (0x10), data (0x18): flat, accessed. */
static const uint64_t host_gdt[] = { 0, 0, 0x00af9b000000ffffull, 0x00cf93000000ffffull };

/* data is physical = virtual, and whole pages from memory_alloc(). */
static void region_add(struct boot_partition *p, uint64_t gpa, const void *data, uint64_t size,
		       uint32_t flags)
{
	if (p->region_count == BOOT_MAX_REGIONS) {
		console_fail("the host partition has more than %u regions: use fewer modules",
			     BOOT_MAX_REGIONS);
	}
	p->regions[p->region_count++] = (struct boot_region) {
		.gpa = gpa, .hpa = (uint64_t)data, .size = round_up(size, PAGE_SIZE),
		.flags = flags };
}

/* Guest-physical 0 to LOW_SIZE; returns where host_info lies in it. Page
 * tables name guest-physical addresses, which differ from where they are now.
 * Not executable: there is nothing to run in it. */
static struct host_info *low_memory(struct boot_partition *p)
{
	uint8_t *low = memory_alloc(LOW_SIZE, PAGE_SIZE, BOOT_MEM_PARTITION, "the host partition");
	struct host_info *host = (void *)(low + HOST_INFO_GPA);

	memset(low, 0, LOW_SIZE);
	memcpy(low + HOST_BOOT_GPA, host_gdt, sizeof(host_gdt));
	paging_identity((uint64_t *)(void *)(low + HOST_TABLES_GPA), HOST_TABLES_GPA,
			HOST_MAPPED_GIB);
	region_add(p, 0, low, LOW_SIZE, BOOT_MAP_WRITE);
	*host = (struct host_info) {
		.magic = HOST_INFO_MAGIC, .version = HOST_INFO_VERSION, .size = sizeof(*host),
		.ram_end = p->mem_cap };
	return host;
}

/* The ELF image in memory of its own, at the address it is linked for, and the
 * start state. Writable and executable as a whole: its own page tables part
 * it. What is zeros to its end is RAM like other RAM: there when it is touched. */
static void program(struct boot_partition *p, const struct module *file, const char *path)
{
	struct elf_image image;
	const char *wrong = elf_check(file->data, file->size, HOST_IMAGE_GPA, p->mem_cap, &image);
	uint64_t size;
	void *data;

	if (wrong != NULL) {
		console_fail("%s: as the host partition's program at 0x%lx to 0x%lx: %s; build it "
			     "again", path, (uint64_t)HOST_IMAGE_GPA, p->mem_cap, wrong);
	}
	/* 2 MiB aligned, so that the hypervisor can map it by large pages */
	size = round_up(image.filled - HOST_IMAGE_GPA, PAGE_SIZE);
	data = memory_alloc(size, PAGE_2M, BOOT_MEM_PARTITION, path);
	memset(data, 0, size);
	elf_load(file->data, HOST_IMAGE_GPA, data);
	region_add(p, HOST_IMAGE_GPA, data, size, BOOT_MAP_WRITE | BOOT_MAP_EXEC);
	p->start_rip = image.entry;
	p->start_cr3 = HOST_TABLES_GPA;
	p->start_rsi = HOST_INFO_GPA;
	p->start_gdt = HOST_BOOT_GPA;
}

/* Memory for the host partition's devices to read and write, in one piece; it
 * comes on top of the cap, too. */
static void dma_pool(struct boot_info *info, uint32_t mib)
{
	struct boot_partition *p = &info->partitions[0];
	uint64_t size = mib * MIB;
	void *data = memory_alloc(size, PAGE_2M, BOOT_MEM_PARTITION, "\"dma-mib\"");

	memset(data, 0, size);
	region_add(p, HOST_DMA_GPA, data, size, BOOT_MAP_WRITE);
	info->dma = p->regions[p->region_count - 1];
	p->mem_cap += size;
	p->mem_min += size;
}

/* Shows a module to the host partition at *gpa, which moves on. What is
 * loaded beforehand comes on top of the cap meant for its RAM. */
static void module_add(struct boot_partition *p, struct host_info *host, const char *name,
		       const struct module *module, uint64_t *gpa)
{
	struct host_module *m = &host->modules[host->module_count++];

	if (host->module_count > HOST_MAX_MODULES || module->size > HOST_MODULE_END - *gpa) {
		console_fail("module %s: the modules are more than %u, or larger than %lu MiB "
			     "together", name, HOST_MAX_MODULES,
			     (uint64_t)(HOST_MODULE_END - HOST_MODULE_GPA) / MIB);
	}
	/* at most 31 characters: manifest_decode.c */
	memcpy(m->name, name, strlen(name) + 1);
	m->gpa = *gpa;
	m->size = module->size;
	region_add(p, *gpa, module->data, module->size, BOOT_MAP_WRITE);
	p->mem_cap += round_up(module->size, PAGE_SIZE);
	p->mem_min += round_up(module->size, PAGE_SIZE);
	*gpa += round_up(module->size, PAGE_2M);
}

/**
 * Copies the partitions and channels of the manifest into *info and loads
 * the host partition: its memory becomes regions of partition 0. Returns its
 * host_info, in which what is measured later is still missing.
 */
struct host_info *partitions_place(struct boot_info *info, const struct manifest *manifest,
				   const struct module *modules, const struct module *blob)
{
	struct boot_partition *p = &info->partitions[0];
	uint32_t image = manifest->host_image;
	uint64_t gpa = HOST_MODULE_GPA;
	struct host_info *host;

	info->partition_count = manifest->partition_count;
	info->channel_count = manifest->channel_count;
	memcpy(info->partitions, manifest->partition, sizeof(info->partitions));
	memcpy(info->channels, manifest->channel, sizeof(info->channels));
	host = low_memory(p);
	program(p, &modules[image], manifest->module[image].path);
	dma_pool(info, manifest->dma_mib);
	/* the blob is the first module */
	host->manifest_gpa = gpa;
	host->manifest_size = blob->size;
	module_add(p, host, "manifest", blob, &gpa);
	module_add(p, host, HOST_BOX_MODULE, &box_module, &gpa);
	if (p->restarts > 0) {
		struct module legacy = { .size = HOST_LEGACY_SIZE };

		legacy.data = memory_alloc(legacy.size, PAGE_2M, BOOT_MEM_PARTITION,
					   "\"restarts\"");
		memset(legacy.data, 0, legacy.size);
		module_add(p, host, HOST_LEGACY_MODULE, &legacy, &gpa);
	}
	for (uint32_t i = 0; i < manifest->module_count; i++) {
		if (i != image && i != manifest->hypervisor) {
			module_add(p, host, manifest->module[i].name, &modules[i], &gpa);
		}
	}
	return host;
}
