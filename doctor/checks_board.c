/* SPDX-License-Identifier: MIT */
/* Checks of what is around the CPUs: ACPI's tables, IOMMUs, PCI. Pure. */
#include "check.h"

/* VT-d [VT-d "Capability Register", "Extended Capability Register"] */
#define CAP_LEVELS	(3ull << 9)	/* tables of 3 or 4 levels */
#define CAP_LEVELS_4	(1ull << 10)
#define ECAP_COHERENT	(1ull << 0)
#define ECAP_QUEUE	(1ull << 1)

/* Class codes [PCI Code and ID Assignment], without the revision */
#define CLASS_STORAGE	0x01u
#define CLASS_NETWORK	0x02u
#define CLASS_BRIDGE	0x06u
#define CLASS_RAID	0x0104u
#define CLASS_IDE	0x0101u
#define CLASS_AHCI	0x010601u
#define CLASS_NVME	0x010802u
#define CLASS_XHCI	0x0c0330u
#define ID_NONE		0xffffu

static bool rsdp(const struct facts *f, struct text *t)
{
	check_say(t, "%s", f->rsdp ? "there" : "none, or its checksum is wrong");
	return f->rsdp;
}

static bool has_acpi(const struct facts *f)
{
	return f->rsdp;
}

static bool sums(const struct facts *f, struct text *t)
{
	check_say(t, "%u tables, %u of them wrong%s%s", f->tables, f->tables_bad,
		  f->tables_bad != 0 ? ", the first: " : "", f->table_bad);
	return f->tables_bad == 0 && f->tables != 0;
}

static bool madt(const struct facts *f, struct text *t)
{
	check_say(t, "%s", !f->madt ? "none" : f->madt_sound ? "names the CPUs" : "malformed");
	return f->madt && f->madt_sound;
}

static bool has_madt(const struct facts *f)
{
	return f->madt && f->madt_sound;
}

static bool madt_cpus(const struct facts *f, struct text *t)
{
	check_say(t, "%u in the MADT, %u by MP services, %u of those not in the MADT",
		  f->madt_cpus, f->cpu_count, f->madt_unknown);
	return f->madt_unknown == 0 && f->madt_cpus == f->cpu_count;
}

static bool has_mp(const struct facts *f)
{
	return has_madt(f) && f->mp && f->mp_silent == 0 && f->mp_count <= FACTS_CPUS;
}

static bool ioapic(const struct facts *f, struct text *t)
{
	uint32_t version = f->ioapic_version & 0xff, last = f->ioapic_version >> 16 & 0xff;

	check_say(t, "at 0x%lx: version 0x%x, %u inputs", f->ioapic_at, version, last + 1);
	return version >= 0x10 && version <= 0x2f && last >= 15 && last < 240;
}

static bool one_ioapic(const struct facts *f, struct text *t)
{
	check_say(t, "%u", f->ioapics);
	return f->ioapics <= 1;
}

static bool fadt(const struct facts *f, struct text *t)
{
	check_say(t, "PM timer at port 0x%x", f->pm_timer);
	return f->fadt && f->pm_timer != 0;
}

static bool mcfg(const struct facts *f, struct text *t)
{
	check_say(t, "%u windows", f->mcfg_windows);
	return f->mcfg && f->mcfg_windows != 0;
}

static bool has_window(const struct facts *f)
{
	return f->mcfg_windows != 0;
}

static bool mcfg_agrees(const struct facts *f, struct text *t)
{
	check_say(t, "function 00:00.0 is %s by memory and by ports",
		  f->mcfg_agrees ? "the same" : "another one");
	return f->mcfg_agrees;
}

static const struct check acpi[] = {
	{ "acpi", "ACPI's tables", "ACPI 6.5 \"Root System Description Pointer (RSDP)\"",
	  "Update the firmware; turn ACPI on in the set-up.", VERDICT_WARNING, CHECK_BY(rsdp) },
	{ "acpi-sums", "their checksums are right", "ACPI 6.5 \"System Description Table Header\"",
	  "Update the firmware: a table whose checksum is wrong is not used.", VERDICT_WARNING,
	  has_acpi, CHECK_BY(sums) },
	{ "acpi-madt", "a MADT", "ACPI 6.5 \"Multiple APIC Description Table (MADT)\"",
	  "Update the firmware; MP services are asked instead.", VERDICT_WARNING, has_acpi,
	  CHECK_BY(madt) },
	{ "acpi-madt-cpus", "the MADT has the CPUs that there are",
	  "ACPI 6.5 \"Multiple APIC Description Table (MADT)\"", "Update the firmware.",
	  VERDICT_WARNING, has_mp, CHECK_BY(madt_cpus) },
	{ "ioapic", "an I/O APIC answers", "82093AA \"I/O APIC Registers\"",
	  "Update the firmware; turn the I/O APIC (\"APIC mode\") on in the set-up.",
	  VERDICT_FAILURE, CHECK_BY(ioapic) },
	{ "ioapic-one", "there is one I/O APIC", "CAVEATS.md \"Processors\"",
	  "Leave what is on the others unused: only that with GSI 0 is masked and used.",
	  VERDICT_WARNING, has_madt, CHECK_BY(one_ioapic) },
	{ "acpi-pm-timer", "a PM timer", "ACPI 6.5 \"Fixed ACPI Description Table (FADT)\"",
	  "Update the firmware: the TSC is measured against the firmware's Stall().",
	  VERDICT_WARNING, has_acpi, CHECK_BY(fadt) },
	{ "acpi-mcfg", "configuration space in memory",
	  "PCI Firmware 3.3 \"MCFG Table Description\"",
	  "Update the firmware: without it only the first 256 bytes of functions of segment 0 are "
	  "reached.", VERDICT_WARNING, has_acpi, CHECK_BY(mcfg) },
	{ "acpi-mcfg-agrees", "it is where the MCFG says",
	  "PCIe \"PCI Express Enhanced Configuration Access Mechanism (ECAM)\"",
	  "Update the firmware.", VERDICT_FAILURE, has_window, CHECK_BY(mcfg_agrees) },
};
const struct check_list check_acpi = { acpi, sizeof(acpi) / sizeof(acpi[0]) };

static bool iommu(const struct facts *f, struct text *t)
{
	check_say(t, "%s", f->iommu_table ? "the firmware tells of one" : "no DMAR, no IVRS");
	return f->iommu_table;
}

static bool has_iommu(const struct facts *f)
{
	return f->iommu_table;
}

static bool iommu_sound(const struct facts *f, struct text *t)
{
	check_say(t, "%s", f->iommu_wrong != NULL ? f->iommu_wrong : "understood");
	return f->iommu_wrong == NULL;
}

static bool has_units(const struct facts *f)
{
	return f->iommu_units != 0;
}

static bool iommu_answer(const struct facts *f, struct text *t)
{
	check_say(t, "%u units, %u of them silent", f->iommu_units, f->iommu_dead);
	return f->iommu_dead == 0;
}

static bool has_vtd(const struct facts *f)
{
	return f->iommu_units > f->iommu_dead && f->iommu_kind == BOOT_IOMMU_INTEL;
}

static bool vtd_queue(const struct facts *f, struct text *t)
{
	check_say(t, "capabilities 0x%lx, 0x%lx", f->iommu_cap, f->iommu_ecap);
	return (f->iommu_ecap & ECAP_QUEUE) != 0;
}

static bool vtd_levels(const struct facts *f, struct text *t)
{
	check_say(t, "of %s levels", (f->iommu_cap & CAP_LEVELS_4) != 0 ? "4" :
		  (f->iommu_cap & CAP_LEVELS) != 0 ? "3" : "neither 3 nor 4");
	return (f->iommu_cap & CAP_LEVELS) != 0;
}

static bool vtd_coherent(const struct facts *f, struct text *t)
{
	check_say(t, "%s", (f->iommu_ecap & ECAP_COHERENT) != 0 ? "yes" : "not all");
	return (f->iommu_ecap & ECAP_COHERENT) != 0;
}

static bool interrupts(const struct facts *f, struct text *t)
{
	check_say(t, "%s", f->iommu_interrupts ? "yes" : "no");
	return f->iommu_interrupts;
}

static bool opt_out(const struct facts *f, struct text *t)
{
	check_say(t, "the firmware %s", f->iommu_opt_out ? "asks for xAPIC mode"
							   : "leaves it open");
	return !f->iommu_opt_out;
}

static bool reserved(const struct facts *f, struct text *t)
{
	check_say(t, "%u lie in free memory", f->iommu_reserved_bad);
	return f->iommu_reserved_bad == 0;
}

static const struct check iommus[] = {
	{ "iommu", "an IOMMU", "VT-d \"DMA Remapping Reporting Structure\", AMD-Vi \"IVRS\"",
	  "The IOMMU is off: turn on VT-d (Intel), or IOMMU / AMD-Vi (AMD) in the set-up. Without "
	  "it a device can reach all memory.", VERDICT_WARNING, CHECK_BY(iommu) },
	{ "iommu-table", "its table can be understood",
	  "VT-d \"BIOS Considerations\", AMD-Vi \"I/O Virtualization ACPI Table\"",
	  "Update the firmware: the IOMMU is not used.", VERDICT_WARNING, has_iommu,
	  CHECK_BY(iommu_sound) },
	{ "iommu-units", "its units answer", "VT-d \"Register Descriptions\", AMD-Vi \"IOMMU MMIO "
	  "Registers\"", "Update the firmware: it names a unit that is not there.",
	  VERDICT_FAILURE, has_units, CHECK_BY(iommu_answer) },
	{ "iommu-queue", "VT-d has queued invalidation", "VT-d \"Extended Capability Register\"",
	  "A newer chipset is needed; the IOMMU is not used.", VERDICT_WARNING, has_vtd,
	  CHECK_BY(vtd_queue) },
	{ "iommu-levels", "VT-d has tables of 3 or 4 levels", "VT-d \"Capability Register\"",
	  "A newer chipset is needed; the IOMMU is not used.", VERDICT_WARNING, has_vtd,
	  CHECK_BY(vtd_levels) },
	{ "iommu-coherent", "VT-d looks into caches", "VT-d \"Extended Capability Register\"",
	  "Nothing: tables are flushed to memory, which is slower.", VERDICT_WARNING, has_vtd,
	  CHECK_BY(vtd_coherent) },
	{ "iommu-interrupts", "it checks interrupts",
	  "VT-d \"Interrupt Remapping\", AMD-Vi \"Interrupt Remapping Tables\"",
	  "Turn interrupt remapping on in the set-up (Intel: VT-d, and x2APIC not opted out).",
	  VERDICT_WARNING, has_units, CHECK_BY(interrupts) },
	{ "iommu-opt-out", "the firmware lets x2APIC mode be used",
	  "VT-d \"DMA Remapping Reporting Structure\" (X2APIC_OPT_OUT)",
	  "Turn \"x2APIC opt out\" off in the set-up.", VERDICT_WARNING, has_units,
	  CHECK_BY(opt_out) },
	{ "iommu-reserved", "memory that devices keep is the firmware's",
	  "VT-d \"Reserved Memory Region Reporting Structure\"",
	  "Update the firmware: a device that needs such memory will not reach it.",
	  VERDICT_WARNING, has_units, CHECK_BY(reserved) },
};
const struct check_list check_iommu = { iommus, sizeof(iommus) / sizeof(iommus[0]) };

static uint32_t class_of(const struct pci_facts *p)
{
	return p->class >> 8;
}

/* Has the host partition a driver for it? host-bridge/blk, host-bridge/net. */
static bool disk_driven(const struct pci_facts *p)
{
	return class_of(p) == CLASS_AHCI || class_of(p) == CLASS_NVME ||
	       class_of(p) >> 8 == CLASS_IDE || p->id == 0x10421af4 || p->id == 0x10011af4;
}

static bool card_driven(const struct pci_facts *p)
{
	return p->id == 0x10411af4 || p->id == 0x10001af4 || p->id == 0x100e8086 ||
	       p->id == 0x10d38086;
}

/* Functions that the host partition would drive. */
static bool driven(const struct pci_facts *p)
{
	return disk_driven(p) || card_driven(p);
}

static bool any(const struct facts *f, bool (*is)(const struct pci_facts *p), const char *what,
		struct text *t)
{
	for (uint32_t i = 0; i < f->pci_count; i++) {
		if (is(&f->pci[i])) {
			check_say(t, "0x%x is %x:%x, class 0x%x", f->pci[i].address,
				  f->pci[i].id & 0xffff, f->pci[i].id >> 16,
				  class_of(&f->pci[i]));
			return true;
		}
	}
	check_say(t, "no %s among %u functions", what, f->pci_count);
	return false;
}

static bool pci(const struct facts *f, struct text *t)
{
	check_say(t, "%u functions", f->pci_all);
	return f->pci_all != 0;
}

static bool pci_room(const struct facts *f, struct text *t)
{
	check_say(t, "%u, of which %u were looked at", f->pci_all, f->pci_count);
	return f->pci_all <= f->pci_count;
}

static bool disk(const struct facts *f, struct text *t)
{
	return any(f, disk_driven, "disk controller with a driver", t);
}

static bool is_raid(const struct pci_facts *p)
{
	return class_of(p) >> 8 == CLASS_RAID;
}

static bool no_raid(const struct facts *f, struct text *t)
{
	return !any(f, is_raid, "RAID controller", t);
}

static bool card(const struct facts *f, struct text *t)
{
	return any(f, card_driven, "network card with a driver", t);
}

static bool is_xhci(const struct pci_facts *p)
{
	return class_of(p) == CLASS_XHCI;
}

static bool usb(const struct facts *f, struct text *t)
{
	return any(f, is_xhci, "xHCI controller", t);
}

static bool lacks_msi(const struct pci_facts *p)
{
	return driven(p) && !p->msi && class_of(p) >> 8 != CLASS_IDE && p->id != 0x100e8086;
}

static bool messages(const struct facts *f, struct text *t)
{
	return !any(f, lacks_msi, "disk or card without messages", t);
}

static bool is_unplaced(const struct pci_facts *p)
{
	return driven(p) && p->unplaced;
}

static bool placed(const struct facts *f, struct text *t)
{
	return !any(f, is_unplaced, "BAR without an address of a disk or card", t);
}

static bool is_shared(const struct pci_facts *p)
{
	return driven(p) && p->shared;
}

static bool alone(const struct facts *f, struct text *t)
{
	return !any(f, is_shared, "disk or card behind such a bridge", t);
}

static const struct check pcis[] = {
	{ "pci", "PCI functions answer", "PCI 3.0 \"Configuration Mechanism #1\"",
	  "Update the firmware.", VERDICT_FAILURE, CHECK_BY(pci) },
	{ "pci-room", "no more than can be looked at", "docs/doctor.md",
	  "Turn devices off that are not needed.", VERDICT_WARNING, CHECK_BY(pci_room) },
	{ "pci-disk", "a disk controller with a driver", "docs/disks.md",
	  "Set the SATA controller to AHCI. Without a disk the volume is in memory.",
	  VERDICT_WARNING, CHECK_BY(disk) },
	{ "pci-raid", "no controller in RAID mode", "PCI Code and ID Assignment",
	  "Set SATA from RAID (Intel RST, Optane) to AHCI, and VMD off: disks behind it are not "
	  "seen.", VERDICT_WARNING, CHECK_BY(no_raid) },
	{ "pci-network", "a network card with a driver", "docs/network.md",
	  "Put a card with an Intel 82574L (e1000e) in; Linux has no network else.",
	  VERDICT_WARNING, CHECK_BY(card) },
	{ "pci-usb", "an xHCI controller", "xHCI \"Architectural Overview\"",
	  "Turn USB 3 (xHCI) on in the set-up.", VERDICT_WARNING, CHECK_BY(usb) },
	{ "pci-messages", "disks and cards interrupt by messages", "PCI 3.0 \"MSI Capability "
	  "Structure\"", "Use another controller: one without MSI is polled, or gets no driver.",
	  VERDICT_WARNING, CHECK_BY(messages) },
	{ "pci-placed", "their registers have addresses", "PCI 3.0 \"Address Maps\"",
	  "Turn \"Above 4G decoding\" on in the set-up, or a boot from this device.",
	  VERDICT_WARNING, CHECK_BY(placed) },
	{ "pci-alone", "an IOMMU can tell them apart", "PCIe to PCI/PCI-X Bridge \"Requester ID\"",
	  "Put the card into another slot: behind a bridge to conventional PCI it is nobody's.",
	  VERDICT_WARNING, has_units, CHECK_BY(alone) },
};
const struct check_list check_pci = { pcis, sizeof(pcis) / sizeof(pcis[0]) };
