/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What boot/ hands to the hypervisor: the machine as found and the
 * partitions as the manifest wants them, already checked and normalised.
 *
 * boot/ enters the hypervisor at its ELF entry in 64-bit mode with
 * interrupts off, RDI = physical address of struct boot_info, and page tables
 * of boot/'s own that map (a) physical memory one to one up to
 * boot_info.ident_end and (b) the hypervisor image at HV_IMAGE_BASE. The
 * hypervisor copies the structure and switches to its own tables at once: both
 * lie in memory that is free from then on. All addresses below are
 * physical unless the name says otherwise; all sizes are bytes.
 */
#ifndef ISTHMUS_ABI_BOOT_INFO_H
#define ISTHMUS_ABI_BOOT_INFO_H

#ifndef ISTHMUS_ABI_NO_STDINT
#include <stdint.h>
#endif

#define BOOT_INFO_MAGIC		0x544f4f4253554d48ull	/* "HMUSBOOT" */
#define BOOT_INFO_VERSION	9

#define BOOT_COM1		0x3f8	/* a PC's first serial port */

/* Link address of the hypervisor image (2 MiB aligned in both spaces). */
#define HV_IMAGE_BASE		0xffffffff80000000ull

enum {	/* at most */
	BOOT_MAX_MEM = 512, BOOT_MAX_CPUS = 64, BOOT_MAX_PARTITIONS = 18,
	BOOT_MAX_PORTS = 48, BOOT_MAX_IRQS = 16, BOOT_MAX_MMIO = 64,
	BOOT_MAX_REGIONS = 48, BOOT_MAX_DEMAND = 4, BOOT_MAX_CHANNELS = 32,
	BOOT_MAX_ECAM = 16, BOOT_MAX_PCI = 64, BOOT_PCI_BARS = 6,
	BOOT_MAX_IOMMUS = 16, BOOT_MAX_SCOPES = 96, BOOT_MAX_RESERVED = 32,
	/* characters of the manifest's "mark"; stands before them on the wire */
	BOOT_NAME_LEN = 16, BOOT_MARK_LEN = 16, BOOT_MARK_BYTE = 0x1e,
};

enum boot_mem_type {
	BOOT_MEM_FREE = 1,	/* the hypervisor's to use: its page pool */
	BOOT_MEM_HYPERVISOR = 2,/* image, trampoline page */
	BOOT_MEM_PARTITION = 3,	/* loaded for a partition: see regions[] */
	BOOT_MEM_FIRMWARE = 4,	/* ACPI tables, runtime services, reserved */
};

/* Sorted by base, not overlapping, 4 KiB granular. Absent = not memory. */
struct boot_mem {
	uint64_t base;
	uint64_t size;
	uint32_t type;		/* enum boot_mem_type */
	uint32_t reserved;
};

/* What a partition may do with a port range. Unlisted: reads give all ones,
 * writes are dropped. */
enum boot_port_policy {
	BOOT_PORT_NATIVE = 1,	/* no exit: the partition owns the device */
	BOOT_PORT_FORWARD = 2,	/* the exit becomes an ioreq to the host */
};

struct boot_port {
	uint16_t first;
	uint16_t last;		/* inclusive */
	uint32_t policy;	/* enum boot_port_policy */
};

#define BOOT_IRQ_LEVEL		0x1u	/* level triggered, else edge */
#define BOOT_IRQ_ACTIVE_LOW	0x2u

/* An I/O APIC input the partition owns, which is the host's alone; line i of it
 * raises event bit HC_EVENT_IRQ(i), i being the index in irqs[]. */
struct boot_irq {
	uint32_t gsi;
	uint32_t flags;
};

#define BOOT_MAP_WRITE		0x1u
#define BOOT_MAP_EXEC		0x2u
#define BOOT_MAP_UNCACHED	0x4u	/* device memory */

/* Memory that exists before the partition runs (owned by it), or (mmio[])
 * device memory it owns. 4 KiB granular. */
struct boot_region {
	uint64_t gpa;
	uint64_t hpa;
	uint64_t size;
	uint32_t flags;
	uint32_t reserved;
};

/* Guest-physical ranges that are RAM, populated by the page pool (zeroed) on
 * first touch; preloaded regions inside a range take precedence. */
struct boot_demand {
	uint64_t gpa;
	uint64_t size;
};

#define BOOT_PARTITION_HOST	0x1u	/* gets ioreqs, may use host hypercalls */

struct boot_partition {
	char name[BOOT_NAME_LEN];	/* NUL terminated */
	uint32_t id;			/* = index in partitions[] */
	uint32_t flags;
	uint32_t vcpus;
	uint32_t port_count;
	uint32_t irq_count;
	uint32_t mmio_count;
	uint32_t region_count;
	uint32_t demand_count;
	uint32_t restarts;	/* of the host partition, after its end; then a
				 * panic */
	uint32_t reserved;
	uint64_t mem_cap;		/* most memory it may own, bytes */
	uint64_t mem_min;		/* kept free for it, whatever others do */
	/* Long-mode start state of vCPU 0, the host's: paging on with CR3 =
	 * start_cr3, flat CS 0x10 / DS 0x18, RSI = start_rsi, IF=0. */
	uint64_t start_rip;
	uint64_t start_cr3;
	uint64_t start_rsi;
	uint64_t start_gdt;		/* GPA of a GDT with these selectors */
	struct boot_port ports[BOOT_MAX_PORTS];
	struct boot_irq irqs[BOOT_MAX_IRQS];
	struct boot_region mmio[BOOT_MAX_MMIO];
	struct boot_region regions[BOOT_MAX_REGIONS];
	struct boot_demand demand[BOOT_MAX_DEMAND];
};

/* A channel between two partitions: see docs/channel.md. The hypervisor
 * allocates the pages and maps the region at gpa[i] in partition peer[i]. */
struct boot_channel {
	uint32_t peer[2];
	uint64_t gpa[2];
	uint64_t output_size;	/* bytes of each output section, power of two
				 * data area + one header page */
};

/* PCI's configuration space as memory: a function's 4 KiB are at base +
 * ((address & 0xffff) << 12). What is in none of these is reached by ports
 * 0xcf8 and 0xcfc: segment 0 only, and 256 bytes. */
struct boot_ecam {
	uint64_t base;		/* bus 0's, whether or not it is here */
	uint16_t segment;
	uint8_t bus_first;
	uint8_t bus_last;
	uint32_t reserved;
};

#define BOOT_BAR_IO		0x1u
#define BOOT_BAR_64		0x2u	/* the next BAR is its upper half */

/* A base address register, as the firmware has set it. Ports are in the
 * partition's ports[], memory in its mmio[], without the pages that have an
 * MSI-X table in them. */
struct boot_pci_bar {
	uint64_t base;		/* host-physical address, or first port */
	uint64_t size;		/* 0: none, or of no use to the partition */
	uint64_t gpa;		/* where the partition has base */
	uint32_t flags;
	uint32_t reserved;
};

#define BOOT_PCI_OWNED		0x1u	/* the host partition's; all others are
					 * bridges above such */
#define BOOT_PCI_ROOT		0xffffu	/* parent: there is no bridge above */

/* Offsets of capabilities are in configuration space; 0: it has none. */
struct boot_pci {
	uint32_t address;	/* segment << 16 | bus << 8 | device << 3 |
				 * function */
	uint32_t id;		/* register 0: vendor, device << 16 */
	uint32_t class;		/* register 8: class << 8 | revision */
	uint32_t flags;
	uint16_t parent;	/* the bridge above, in pci[] */
	uint16_t express;
	uint16_t msi;
	uint16_t msix;
	uint16_t msix_count;	/* entries of its table */
	uint8_t irq[2];		/* 1 + line in irqs[]: of an IDE channel that
				 * works as an ISA device; [0] of a function
				 * that sends no messages */
	uint32_t reserved;
	uint64_t msix_table;	/* host-physical */
	struct boot_pci_bar bar[BOOT_PCI_BARS];
};

/* PCI functions by number: segment << 16 | bus << 8 | device << 3 | function. */
#define BOOT_FUNCTION_NONE	0xffffffffu

enum boot_iommu_kind {
	BOOT_IOMMU_NONE = 0,
	BOOT_IOMMU_INTEL = 1,	/* DMAR */
	BOOT_IOMMU_AMD = 2,	/* IVRS */
};

#define BOOT_IOMMU_REGISTERS	0x4000ull	/* bytes of a unit's at most */
#define BOOT_IOMMU_ALL		0x1u	/* has all of its segment's functions that
					 * are in no other's scope */

struct boot_iommu {
	uint64_t base;		/* of its registers, 4 KiB aligned */
	uint32_t segment;
	uint32_t function;	/* itself, if it is one; it is nobody's */
	uint32_t flags;
	uint32_t settings;	/* AMD's: bits of its control register that the
				 * firmware wants */
};

/* Functions first to last, inclusive, are behind that unit. */
struct boot_scope {
	uint32_t unit;
	uint32_t first, last;
};

/* Memory of the firmware's that these functions go on using. */
struct boot_reserved {
	uint64_t base;		/* 4 KiB granular */
	uint64_t size;
	uint32_t first, last;	/* functions, inclusive */
	uint32_t flags;		/* BOOT_MAP_WRITE */
	uint32_t reserved;
};

#define BOOT_IOMMUS_INTERRUPTS	0x1u	/* interrupts may be remapped */

struct boot_iommus {
	uint32_t kind;		/* enum boot_iommu_kind: all are of one */
	uint32_t flags;
	uint32_t unit_count;
	uint32_t scope_count;
	uint32_t reserved_count;
	uint32_t ioapic_unit;	/* that the I/O APIC is behind .. */
	uint32_t ioapic_function; /* .. as which its interrupts come, or
				 * BOOT_FUNCTION_NONE: not told */
	uint32_t reserved_word;
	struct boot_iommu units[BOOT_MAX_IOMMUS];
	struct boot_scope scopes[BOOT_MAX_SCOPES];
	struct boot_reserved reserved[BOOT_MAX_RESERVED];
};

/* The framebuffer, linear, 32 bits a pixel: the hypervisor's to draw on until the
 * host partition runs, and for a panic. Device memory, in that partition's mmio[]. */
struct boot_screen {
	uint64_t base;		/* 4 KiB granular */
	uint64_t size;		/* 0: there is none */
	uint32_t width, height;	/* pixels .. */
	uint32_t stride;	/* .. and those of a line; height lines are within size */
	uint32_t blue_first;	/* 1: byte 0 of a pixel is blue; 0: red */
};

/* A serial port, 16550. Register i is port base + i, or a byte of device memory,
 * or 32 bits of it: all in one page, below 4 GiB. */
enum boot_uart_kind { BOOT_UART_PORTS, BOOT_UART_BYTES, BOOT_UART_WORDS };

struct boot_uart {
	uint64_t base;		/* 0: there is none */
	uint32_t kind;		/* enum boot_uart_kind */
	uint32_t divisor;	/* of its clock by 16; 0: as it was set */
};

#define BOOT_FLAG_ERMS_SLOW	0x1u	/* measured: REP MOVSB/STOSB slower
					 * per byte than REP MOVSQ/STOSQ */
#define BOOT_FLAG_RESET		0x4u	/* a panic ends in a reset, not in a halt */

struct boot_info {
	uint64_t magic;
	uint32_t version;
	uint32_t size;			/* sizeof(struct boot_info) */
	uint64_t box;			/* struct black_box, of type
					 * BOOT_MEM_FIRMWARE: mapped apart. Up to
					 * here the same in all versions */
	uint64_t ident_end;
	uint64_t image_phys;		/* hypervisor image, 2 MiB aligned */
	uint64_t image_size;		/* 2 MiB */
	uint64_t trampoline;		/* one free page below 1 MiB, for APs */
	uint64_t tsc_hz;		/* measured against a timer */
	uint64_t lapic_phys;
	uint64_t ioapic_phys;
	uint64_t rsdp;			/* 0 if there is none */
	uint32_t flags;
	uint32_t cpu_count;
	uint32_t bsp;			/* index in apic_id[] of this CPU */
	uint32_t mem_count;
	uint32_t partition_count;
	uint32_t channel_count;
	uint32_t ecam_count;
	uint32_t pci_count;
	uint32_t reserved;
	uint32_t watchdog;		/* port of the chipset's, which a write of
					 * 1, 16 bits, holds off for 20 s; 0: none */
	uint64_t box_size;
	/* What stands before a line of ours on the serial line, so that
	 * "isthmus boot" knows it from what a guest prints; "": nothing. */
	char mark[BOOT_MARK_LEN + 8];
	uint32_t apic_id[BOOT_MAX_CPUS];
	struct boot_mem mem[BOOT_MAX_MEM];
	struct boot_partition partitions[BOOT_MAX_PARTITIONS];	/* 0: the host's */
	struct boot_channel channels[BOOT_MAX_CHANNELS];
	struct boot_ecam ecam[BOOT_MAX_ECAM];
	struct boot_pci pci[BOOT_MAX_PCI];
	struct boot_region dma;		/* the host partition's DMA pool, one of
					 * its regions[]; size 0: it has none */
	struct boot_iommus iommus;
	struct boot_screen screen;
	struct boot_uart uart;		/* the hypervisor's until the host partition
					 * runs, and for a panic; set up */
};

#endif
