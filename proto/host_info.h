/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What boot/ hands to the host partition: one page-aligned structure in its
 * memory at HOST_INFO_GPA; RSI holds its address when the program starts.
 * Addresses are guest-physical, sizes bytes.
 *
 * The host partition starts in 64-bit mode on page tables made by boot/ (in
 * its own memory, below 1 MiB) that map guest-physical 0..4 GiB one to one,
 * writable and executable; the program replaces them by its own.
 */
#ifndef ISTHMUS_HOST_INFO_H
#define ISTHMUS_HOST_INFO_H

#include <stdint.h>

#include "hypervisor/include/abi/boot_info.h"

#define HOST_INFO_MAGIC		0x5453485355485449ull	/* "ITHUSHST" */
#define HOST_INFO_VERSION	4

/* The host partition's map of guest-physical memory. */
#define HOST_INFO_GPA		0x00001000ull	/* struct host_info */
#define HOST_BOOT_GPA		0x00002000ull	/* GDT, page tables: 28 KiB */
#define HOST_IMAGE_GPA		0x00400000ull	/* host-bridge links here */
#define HOST_RAM_END_MAX	0x40000000ull	/* RAM, on demand, ends by */
#define HOST_DMA_GPA		0x40000000ull	/* DMA pool */
#define HOST_DMA_MAX		0x20000000ull
#define HOST_MODULE_GPA		0x60000000ull	/* modules, 2 MiB aligned */
#define HOST_MODULE_END		0xa0000000ull
#define HOST_UART_GPA		0xa0000000ull	/* page of the console's, if memory */
#define HOST_FRAMEBUFFER_GPA	0xb0000000ull
#define HOST_BAR_GPA		0x100000000ull	/* memory of PCI functions */
#define HOST_BAR_SIZE		0x40000000ull
#define HOST_CHANNEL_GPA	0x140000000ull	/* own channel i: + i * 64 MiB */
#define HOST_CHANNEL_STRIDE	0x04000000ull
#define HOST_CHANNELS		32

#define HOST_MAX_MODULES	41

/* The host partition's part of the black box: struct box_host. */
#define HOST_BOX_MODULE		"black-box"
/* Memory that outlives the host partition's program, if it may be started again:
 * zeros before the first. */
#define HOST_LEGACY_MODULE	"legacy"
#define HOST_LEGACY_SIZE	0x800000ull

struct host_module {
	char name[32];		/* "kernel", "initrd", "volume", "manifest".. */
	uint64_t gpa;
	uint64_t size;		/* exact file size */
};

struct host_framebuffer {
	uint64_t gpa;		/* 0: there is none */
	uint32_t width;
	uint32_t height;
	uint32_t stride;	/* pixels a line */
	uint32_t blue_first;	/* 1: byte 0 of a pixel is blue; 0: red */
};

#define HOST_UART_POLLED	0xffffffffu

struct host_info {
	uint64_t magic;
	uint32_t version;
	uint32_t size;
	uint64_t tsc_hz;
	uint64_t ram_end;	/* RAM is 0..ram_end, on demand but for what
				 * boot/ loaded */
	uint64_t manifest_gpa;	/* the device tree blob, checked by boot/ */
	uint64_t manifest_size;
	uint64_t rsdp;		/* host-physical, information only; 0: none */
	struct host_framebuffer framebuffer;
	struct boot_uart uart;	/* the console's; base: port, or guest-physical */
	uint32_t uart_line;	/* its line in irqs[]; HOST_UART_POLLED: none */
	uint32_t machine_cpus;
	uint64_t machine_memory;	/* bytes besides the firmware's */
	uint32_t module_count;
	uint32_t reserved;
	uint64_t wall_seconds;	/* UTC since 1970 (EFI GetTime) .. */
	uint64_t wall_tsc;	/* .. at this TSC; 0, 0: not known */
	char platform[32];	/* firmware vendor, for the banner */
	struct host_module modules[HOST_MAX_MODULES];
};

#endif
