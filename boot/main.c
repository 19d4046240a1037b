/* SPDX-License-Identifier: MIT */
/*
 * BOOTX64.EFI: from the firmware to the hypervisor, stage by stage
 * (docs/stages.md). Trusts the firmware and, once their SHA-256 matches, the
 * files the manifest names; checks the form of everything it reads.
 *
 * One processor, no interrupts but the console's tick, no return: whatever fails ends in
 * console_fail() with a sentence. Nothing of this program is left when the
 * hypervisor runs: its memory is the firmware's "loader" type and goes to the
 * page pool.
 */
#include <string.h>

#include "drivers/tco.h"
#include "elf.h"
#include "iommu.h"
#include "loader.h"
#include "paging.h"
#include "pci.h"

#define MANIFEST_PATH	"\\isthmus\\isthmus.dtb"
/* far more than hypervisor.lds lets the image have */
#define HV_IMAGE_MAX	(64 * MIB)
#define IDENT_MIN_GIB	4
#define IDENT_MAX_GIB	512	/* one root entry */

EFI_HANDLE efi_image;
EFI_SYSTEM_TABLE *efi_st;
EFI_BOOT_SERVICES *efi_bs;

/* static: too large for the firmware's stack; strings point into blob */
static struct manifest manifest;
static struct module blob;
static struct module modules[MANIFEST_MAX_MODULES];
static struct memmap map;

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

/* The first file; all others are in it. It becomes a module of its own. */
static void manifest_load(void)
{
	char error[MANIFEST_ERROR_LEN];

	if (!files_open()) {
		console_fail("the loader was not started from a file system it can read: start it "
			     "from the EFI system partition that holds \\isthmus");
	}
	files_read(MANIFEST_PATH, NULL, BOOT_MEM_PARTITION, &blob);
	if (!manifest_decode(blob.data, blob.size, &manifest, error)) {
		console_fail("%s: %s; correct the .dts and make the boot disk again",
			     MANIFEST_PATH, error);
	}
	serial_choose(&manifest, MANIFEST_PATH);
}

/* The two images are copied out of their files, which are then free again;
 * other modules stay where they are, as the host partition's memory. */
static void modules_load(void)
{
	for (uint32_t i = 0; i < manifest.module_count; i++) {
		const struct manifest_module *m = &manifest.module[i];
		bool image = i == manifest.hypervisor || i == manifest.host_image;

		files_read(m->path, m->sha256, image ? BOOT_MEM_FREE : BOOT_MEM_PARTITION,
			   &modules[i]);
	}
}

/* Loads the hypervisor's image and returns its entry point. */
static uint64_t hypervisor_load(struct boot_info *info)
{
	const struct module *file = &modules[manifest.hypervisor];
	struct elf_image image;
	const char *wrong = elf_check(file->data, file->size, HV_IMAGE_BASE,
				      HV_IMAGE_BASE + HV_IMAGE_MAX, &image);
	void *data;

	if (wrong != NULL) {
		console_fail("%s: as the hypervisor at 0x%lx: %s; build it again",
			     manifest.module[manifest.hypervisor].path, (uint64_t)HV_IMAGE_BASE,
			     wrong);
	}
	/* whole 2 MiB pages: boot/'s tables map them so; behind the image are the
	 * hypervisor's own tables, and it gives the rest away */
	info->image_size = round_up(image.end - HV_IMAGE_BASE, PAGE_2M);
	data = memory_alloc(info->image_size, PAGE_2M, BOOT_MEM_HYPERVISOR, "the hypervisor");
	memset(data, 0, info->image_size);
	elf_load(file->data, HV_IMAGE_BASE, data);
	info->image_phys = (uint64_t)data;
	return image.entry;
}

/* The hand-over structure, filled in as the stages find things out. */
static struct boot_info *info_new(void)
{
	struct boot_info *info = memory_alloc(sizeof(*info), PAGE_SIZE, BOOT_MEM_FREE,
					      "boot information");

	memset(info, 0, sizeof(*info));
	info->magic = BOOT_INFO_MAGIC;
	info->version = BOOT_INFO_VERSION;
	info->size = sizeof(*info);
	info->flags = manifest.panic_resets ? BOOT_FLAG_RESET : 0;
	if (manifest.mark != NULL) {
		info->mark[0] = BOOT_MARK_BYTE;
		memcpy(info->mark + 1, manifest.mark, BOOT_MARK_LEN);
	}
	return info;
}

/* Processors, interrupt controllers, and what is measured on this one. */
static void processors_find(struct boot_info *info)
{
	struct acpi_machine machine;
	uint32_t self = processor_apic_id();

	info->rsdp = machine_rsdp();
	machine_cpus(info->rsdp, &machine);
	machine_ecam(info->rsdp, info);
	machine_iommus(info, machine.ioapic_id);
	info->lapic_phys = machine.lapic;
	info->ioapic_phys = machine.ioapic;
	info->cpu_count = machine.cpu_count;
	memcpy(info->apic_id, machine.apic_id, sizeof(info->apic_id));
	box_keep(info);
	/* the hypervisor starts all but this one */
	while (info->bsp < info->cpu_count && info->apic_id[info->bsp] != self) {
		info->bsp++;
	}
	if (info->bsp == info->cpu_count) {
		console_fail("this processor (APIC id %u) is not among the %u that the firmware "
			     "lists; update the firmware", self, info->cpu_count);
	}
	info->tsc_hz = processor_tsc_hz((uint16_t)machine.pm_timer);
	info->flags |= processor_erms_slow() ? BOOT_FLAG_ERMS_SLOW : 0;
}

static bool in_ecam(const struct boot_info *info, uint64_t base, uint64_t end)
{
	bool found = false;

	for (uint32_t i = 0; i < info->ecam_count; i++) {
		const struct boot_ecam *w = &info->ecam[i];

		found |= base < w->base + ((w->bus_last + 1ull) << 20) &&
			 end > w->base + ((uint64_t)w->bus_first << 20);
	}
	return found;
}

/* Device memory must not be memory, nor a controller the hypervisor runs, nor
 * PCI's configuration space. */
static void mmio_check(const struct boot_info *info)
{
	const struct boot_partition *p = &info->partitions[0];

	for (uint32_t i = 0; i < p->mmio_count; i++) {
		uint64_t base = p->mmio[i].hpa, end = base + p->mmio[i].size;

		if (memmap_overlaps(&map, base, end) || in_ecam(info, base, end) ||
		    (info->lapic_phys >= base && info->lapic_phys < end) ||
		    (info->ioapic_phys >= base && info->ioapic_phys < end) ||
		    iommu_overlaps(&info->iommus, base, end)) {
			console_fail("\"mmio\" or \"serial\" in the manifest gives the host "
				     "partition 0x%lx to 0x%lx, but that is RAM, an interrupt "
				     "controller, an IOMMU or PCI's: correct it", base, end);
		}
	}
}

/* What a device may reach beside the DMA pool must be the firmware's own: a
 * range that is memory of anybody else is no device's, whatever the table says. */
static void reserved_check(struct boot_iommus *iommus)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < iommus->reserved_count; i++) {
		const struct boot_reserved *r = &iommus->reserved[i];

		if (memmap_in_use(&map, r->base, r->base + r->size)) {
			console_say("the firmware wants 0x%lx to 0x%lx to be reached by a device, "
				    "but that is memory in use: it will not be", r->base,
				    r->base + r->size);
		} else {
			iommus->reserved[kept++] = *r;
		}
	}
	iommus->reserved_count = kept;
}

/* What is promised to partitions must be free now; the hypervisor's own tables
 * come out of the rest. */
static void memory_check(void)
{
	uint64_t all = memmap_total(&map, 0) / MIB;
	uint64_t available = memmap_total(&map, BOOT_MEM_FREE) / MIB;

	console_say("memory: %lu MiB besides the firmware's, %lu MiB of it free", all, available);
	if (available < manifest.min_memory / MIB) {
		console_fail("too little memory: %lu MiB of %lu MiB are free, the partitions need "
			     "%lu MiB to begin with; give the machine more memory, or lower "
			     "\"memory-min-mib\" in the manifest", available, all,
			     manifest.min_memory / MIB);
	}
}

/* Makes the page tables for the jump: memory and the screen one to one, so that this
 * code and boot_info stay where they are, and the image; returns the root's address. What
 * the loader has allocated is below 4 GiB; where the loader itself is, the
 * firmware has decided. */
static void enter(uint64_t cr3, uint64_t entry, const struct boot_info *info)
	__attribute__((noreturn));

static uint64_t tables_make(struct boot_info *info)
{
	const struct boot_mem *last = &map.mem[map.count - 1];
	uint64_t end = last->base + last->size;
	uint32_t gib = (uint32_t)(round_up(end > screen_end() ? end : screen_end(), 1ull << 30)
				  >> 30);
	uint64_t *tables, *high;

	gib = gib < IDENT_MIN_GIB ? IDENT_MIN_GIB : gib > IDENT_MAX_GIB ? IDENT_MAX_GIB : gib;
	info->ident_end = (uint64_t)gib << 30;
	if ((uint64_t)enter >= info->ident_end) {
		console_fail("the firmware has loaded this program at 0x%lx, beyond the %u GiB it "
			     "can map; update the firmware", (uint64_t)enter, gib);
	}
	tables = memory_alloc((PAGING_TABLES(gib) + 2) * PAGE_SIZE, PAGE_SIZE,
			      BOOT_MEM_FREE, "page tables");
	high = tables + PAGING_TABLES(gib) * PAGE_SIZE / sizeof(*tables);
	paging_identity(tables, (uint64_t)tables, gib);
	paging_map_image(tables, high, (uint64_t)high, info->image_phys, info->image_size);
	return (uint64_t)tables;
}

/* Fills in what the host partition is told of the machine, and adds the screen
 * to its device memory. The vendor's name is a stranger's text: ASCII only. */
static void host_tell(struct boot_info *info, struct host_info *host)
{
	const CHAR16 *vendor = efi_st->FirmwareVendor;

	for (unsigned i = 0; vendor && vendor[i] && i < sizeof(host->platform) - 1; i++) {
		host->platform[i] = vendor[i] < 0x7f ? (char)vendor[i] : '?';
	}
	machine_clock(&host->wall_seconds, &host->wall_tsc);
	host->tsc_hz = info->tsc_hz;
	host->rsdp = info->rsdp;
	host->machine_cpus = info->cpu_count;
	host->machine_memory = memmap_total(&map, 0);
	screen_tell(&map, info, host);
}

/* The jump, as abi/boot_info.h says. This code is mapped at the same address
 * by both tables; the stack is not used any more. */
static void enter(uint64_t cr3, uint64_t entry, const struct boot_info *info)
{
	__asm__ volatile("cli; cld; mov %0, %%cr3; jmp *%1"
			 : : "r"(cr3), "r"(entry), "D"(info) : "memory");
	__builtin_unreachable();
}

/**
 * Entry from the firmware. Never returns: either the hypervisor takes over
 * or console_fail() ends the program.
 */
EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	struct boot_info *info;
	struct host_info *host;
	uint64_t entry, cr3;

	efi_image = image;
	efi_st = table;
	efi_bs = table->BootServices;
	/* the firmware's resets the machine after five minutes, without a
	 * word [UEFI 2.10 "EFI_BOOT_SERVICES.SetWatchdogTimer()"]; the
	 * console has its own */
	efi_bs->SetWatchdogTimer(0, 0, 0, NULL);
	console_init(machine_rsdp());
	box_open();
	console_stage(STAGE_FIRMWARE, "firmware");
	console_stage(STAGE_PROCESSOR, "processor");
	processor_check();
	console_stage(STAGE_MANIFEST, "manifest");
	manifest_load();

	console_stage(STAGE_MODULES, "modules");
	info = info_new();
	modules_load();
	entry = hypervisor_load(info);
	/* before the map is read: what is allocated here counts as taken */
	host = partitions_place(info, &manifest, modules, &blob);

	console_stage(STAGE_MACHINE, "machine");
	processors_find(info);

	console_stage(STAGE_MEMORY, "memory");
	info->trampoline = memory_alloc_low_page();
	memory_read_map(&map);
	serial_tell(info, host);
	mmio_check(info);
	cr3 = tables_make(info);
	/* again: the tables were allocated in between */
	memory_read_map(&map);
	memory_check();
	reserved_check(&info->iommus);
	host_tell(info, host);

	console_stage(STAGE_EXIT, "exit");
	info->watchdog = manifest.panic_resets ? tco_start(pci_config_read) : 0;
	memory_leave_firmware(&map);
	info->mem_count = map.count;
	memcpy(info->mem, map.mem, sizeof(info->mem));
	console_stage(STAGE_DEVICES, "devices");
	/* what the firmware's tables have besides memory, nobody knows */
	__asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
	machine_quiet_devices(info, &manifest, &map);
	console_stage(STAGE_ENTER, "enter");
	enter(cr3, entry, info);
}
