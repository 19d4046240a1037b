/* SPDX-License-Identifier: MIT */
/*
 * The machine around the boot processor: other processors, interrupt
 * controllers, clock, and devices that must keep quiet. The firmware
 * is asked and believed, but for the form of its tables.
 */
#include <string.h>

#include "io.h"
#include "iommu.h"
#include "loader.h"
#include "pci.h"

#define PIC1_MASK		0x21
#define PIC2_MASK		0xa1

static struct pci_machine pci;

static EFI_GUID acpi2_guid = ACPI_20_TABLE_GUID;
static EFI_GUID acpi1_guid = ACPI_TABLE_GUID;

/* [PI 1.8 volume 2 "MP Services Protocol"]; gnu-efi does not have it. */
static EFI_GUID mp_guid = {
	0x3fdda605, 0xa76e, 0x4f46, { 0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08 } };

#define MP_USABLE	0x6u		/* enabled, healthy */

/* EFI_PROCESSOR_INFORMATION. */
struct mp_processor {
	uint64_t apic_id;
	uint32_t flags;
	uint8_t rest[76];		/* location, and room for later versions */
};

/* Only the first two functions are called. */
struct mp_services {
	EFI_STATUS (EFIAPI *count)(struct mp_services *self, UINTN *count, UINTN *enabled);
	EFI_STATUS (EFIAPI *info)(struct mp_services *self, UINTN number,
				  struct mp_processor *info);
};

/* Address of one of the firmware's tables; 0: there is none. */
static uint64_t config_table(const EFI_GUID *guid)
{
	for (UINTN i = 0; i < efi_st->NumberOfTableEntries; i++) {
		const EFI_CONFIGURATION_TABLE *t = &efi_st->ConfigurationTable[i];

		if (memcmp(&t->VendorGuid, guid, sizeof(*guid)) == 0) {
			return (uint64_t)t->VendorTable;
		}
	}
	return 0;
}

/**
 * Physical address of the ACPI root pointer, of the newer kind if there are
 * both; 0 if there is none.
 */
uint64_t machine_rsdp(void)
{
	uint64_t rsdp = config_table(&acpi2_guid);

	return rsdp != 0 ? rsdp : config_table(&acpi1_guid);
}

/* false: the firmware has no such service, or names nobody. */
static bool cpus_by_mp_services(struct acpi_machine *machine)
{
	struct mp_services *mp;
	struct mp_processor p;
	UINTN count, enabled;

	if (EFI_ERROR(efi_bs->LocateProtocol(&mp_guid, NULL, (void **)&mp)) ||
	    EFI_ERROR(mp->count(mp, &count, &enabled))) {
		return false;
	}
	for (UINTN i = 0; i < count; i++) {
		if (!EFI_ERROR(mp->info(mp, i, &p)) && (p.flags & MP_USABLE) == MP_USABLE) {
			acpi_add_cpu(machine, (uint32_t)p.apic_id);
		}
	}
	return machine->cpu_count > 0;
}

/**
 * Finds processors, interrupt controllers and PM timer: in ACPI's tables, or
 * else by the firmware's MP services, or else there is this processor alone.
 */
void machine_cpus(uint64_t rsdp, struct acpi_machine *machine)
{
	const char *by = "the ACPI MADT";
	const uint8_t *table;
	uint32_t size;

	acpi_init(machine);
	table = acpi_find(rsdp, "APIC", &size);
	if (table == NULL || !acpi_madt(table, size, machine)) {
		/* what a malformed table has left behind goes */
		acpi_init(machine);
		by = "MP services";
		if (!cpus_by_mp_services(machine)) {
			by = "itself only: no ACPI, no MP services";
			acpi_add_cpu(machine, processor_apic_id());
		}
	}
	table = acpi_find(rsdp, "FACP", &size);
	machine->pm_timer = table != NULL ? acpi_pm_timer(table, size) : 0;
	console_say("processors: %u, told by %s; beyond the %u that can be used: %u",
		    machine->cpu_count, by, BOOT_MAX_CPUS, machine->cpus_left_out);
}

/**
 * Finds the IOMMUs, with what the firmware says of them: in the DMAR (Intel) or
 * the IVRS (AMD). A table that is not understood, or says more than there is
 * room for, counts as none: a unit of which half is known would protect nothing.
 */
void machine_iommus(struct boot_info *info, uint32_t ioapic_id)
{
	struct boot_iommus *iommus = &info->iommus;
	const char *name = "DMAR", *wrong = NULL;
	const uint8_t *table;
	uint32_t size;

	table = acpi_find(info->rsdp, name, &size);
	if (table != NULL) {
		wrong = iommu_dmar(table, size, ioapic_id, pci_config_read, iommus);
	} else if ((table = acpi_find(info->rsdp, name = "IVRS", &size)) != NULL) {
		wrong = iommu_ivrs(table, size, ioapic_id, iommus);
	}
	if (wrong != NULL) {
		console_say("the ACPI %s is of no use: %s; IOMMUs are not used. Update the "
			    "firmware", name, wrong);
		memset(iommus, 0, sizeof(*iommus));
	}
}

/**
 * The firmware's clock as seconds since 1970 in UTC, and the TSC at that
 * moment; 0 and 0 if it has none. A firmware that names no time zone is
 * taken to mean UTC.
 */
void machine_clock(uint64_t *seconds, uint64_t *tsc)
{
	EFI_TIME t;
	int64_t years, days;

	*seconds = *tsc = 0;
	if (EFI_ERROR(efi_st->RuntimeServices->GetTime(&t, NULL)) || t.Year < 1970 ||
	    t.Month < 1 || t.Month > 12) {
		return;
	}
	/* Years begin in March: the leap day is the last, and the months'
	 * lengths repeat every five. */
	years = t.Year - (t.Month < 3);
	days = years * 365 + years / 4 - years / 100 + years / 400 +
	       (153 * ((t.Month + 9) % 12) + 2) / 5 + t.Day - 1 - 719468;
	/* right after the clock was read, give or take its one second */
	*tsc = rdtsc();
	*seconds = (uint64_t)(days * 86400 + t.Hour * 3600 + t.Minute * 60 + t.Second +
			      (t.TimeZone == EFI_UNSPECIFIED_TIMEZONE ? 0 : t.TimeZone * 60));
}

/* Where no device's memory may lie: controllers that the hypervisor runs, with
 * all that chipsets have around them, and configuration space. */
#define CHIPSET		0xfec00000ull
#define CHIPSET_END	0xff000000ull

static void ranges_take(const struct boot_info *info)
{
	pci_take(&pci, CHIPSET, CHIPSET_END);
	pci_take(&pci, info->lapic_phys, info->lapic_phys + PAGE_SIZE);
	pci_take(&pci, info->ioapic_phys, info->ioapic_phys + PAGE_SIZE);
	for (uint32_t i = 0; i < info->iommus.unit_count; i++) {
		pci_take(&pci, info->iommus.units[i].base,
			 info->iommus.units[i].base + BOOT_IOMMU_REGISTERS);
	}
	for (uint32_t i = 0; i < info->ecam_count; i++) {
		const struct boot_ecam *w = &info->ecam[i];

		pci_take(&pci, w->base + ((uint64_t)w->bus_first << 20),
			 w->base + ((w->bus_last + 1ull) << 20));
	}
}

/**
 * Notes in *info where PCI's configuration space is in memory, as ACPI's MCFG says;
 * without one it is reached by ports.
 */
void machine_ecam(uint64_t rsdp, struct boot_info *info)
{
	uint32_t size;
	const uint8_t *table = acpi_find(rsdp, "MCFG", &size);

	info->ecam_count = table != NULL ? acpi_mcfg(table, size, info->ecam, BOOT_MAX_ECAM) : 0;
}

/**
 * Stops every PCI function from reading or writing memory by itself, and masks
 * the legacy interrupt controllers: a device that the firmware has left running
 * would write into memory that has got another owner. Then says what is whose, in
 * *info. The firmware is gone and interrupts are off, so it starts nothing again;
 * on page tables that map all below info->ident_end.
 */
void machine_quiet_devices(struct boot_info *info, const struct manifest *manifest,
			   const struct memmap *map)
{
	uint32_t owned = 0;

	port_out8(PIC1_MASK, 0xff);
	port_out8(PIC2_MASK, 0xff);
	pci.map = map;
	pci.console = info->uart;
	pci.address_end = 1ull << (cpuid(0x80000008).eax & 0xff);
	pci_config_set(info);
	pci_scan(&pci, info, manifest);
	pci_handoff(&pci, info->ident_end, info->tsc_hz);
	pci_stop(&pci);
	console_say("%u bus masters stopped", pci.stopped);
	ranges_take(info);
	pci_bars_read(&pci);
	pci_give(&pci, info);
	for (uint32_t i = 0; i < info->pci_count; i++) {
		owned += info->pci[i].flags & BOOT_PCI_OWNED;
	}
	console_say("PCI: %u functions by %s, %u of them for the host partition%s", pci.count,
		    info->ecam_count != 0 ? "the ACPI MCFG" : "ports 0xcf8, 0xcfc", owned,
		    pci.too_many ? ": there are too many" : "");
	if (pci.shared != 0) {
		console_say("PCI: functions behind a bridge to conventional PCI are nobody's, "
			    "as an IOMMU cannot tell them apart: %u, the first 0x%x behind 0x%x",
			    pci.shared, pci.shared_address, pci.shared_bridge);
	}
	if (pci.refused != 0) {
		console_say("PCI: %u BARs overlap what is another's, or have no room: the host "
			    "partition does not get them; the first is BAR %u of 0x%x", pci.refused,
			    pci.refused_bar, pci.refused_address);
	}
}
