/* SPDX-License-Identifier: MIT */
/*
 * What the EFI side of the loader shares: the firmware's tables, the console,
 * memory, the modules, the machine. Everything runs on the boot processor,
 * in order, once; whatever fails ends in console_fail().
 */
#ifndef ISTHMUS_BOOT_LOADER_H
#define ISTHMUS_BOOT_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include <efi.h>

#include "acpi.h"
#include "hypervisor/include/abi/black_box.h"
#include "hypervisor/include/abi/boot_info.h"
#include "proto/host_info.h"
#include "manifest.h"
#include "memmap.h"

#define PAGE_SIZE	4096ull
#define PAGE_2M		(2ull << 20)
#define MIB		(1ul << 20)

/* docs/stages.md explains them. */
enum stage {
	STAGE_FIRMWARE = 10,
	STAGE_PROCESSOR = 11,
	STAGE_MANIFEST = 12,
	STAGE_MODULES = 13,
	STAGE_MACHINE = 14,
	STAGE_MEMORY = 15,
	STAGE_EXIT = 16,
	STAGE_DEVICES = 17,
	STAGE_ENTER = 18,
};

struct module {
	void *data;
	uint64_t size;
};

struct black_box_read;

extern EFI_HANDLE efi_image;
extern EFI_SYSTEM_TABLE *efi_st;
extern EFI_BOOT_SERVICES *efi_bs;

static inline uint64_t round_up(uint64_t value, uint64_t to)
{
	return (value + to - 1) & ~(to - 1);
}

/* console.c */
void console_init(uint64_t rsdp);
void console_write(const char *text);
void console_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void console_stage(enum stage stage, const char *name);
void console_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void console_leave_firmware(void);
extern struct box_log *console_log;

/* serial.c */
void serial_find(uint64_t rsdp);
void serial_put(char c);
const struct boot_uart *serial_uart(void);
void serial_choose(const struct manifest *manifest, const char *path);
void serial_tell(struct boot_info *info, struct host_info *host);

/* screen.c */
bool screen_take(EFI_HANDLE handle);
void screen_write(const char *bytes);
void screen_tell(const struct memmap *map, struct boot_info *info, struct host_info *host);
uint64_t screen_end(void);

/* memory.c */
void *memory_alloc(uint64_t size, uint64_t align, uint32_t type, const char *what);
uint64_t memory_alloc_low_page(void);
bool memory_at(uint64_t at, uint64_t size);
void memory_free(uint64_t at, uint64_t size);
uint64_t memory_keep(uint64_t base, uint64_t size, uint32_t type);
void memory_read_map(struct memmap *map);
void memory_leave_firmware(struct memmap *map);

/* files.c */
bool files_open(void);
bool files_write(const char *path, const struct black_box_read *text);
void files_read(const char *path, const uint8_t *sha256, uint32_t type, struct module *module);

/* box.c */
void box_open(void);
extern struct module box_module;	/* the host partition's part of it all, which it begins */
void box_keep(struct boot_info *info);

/* processor.c */
void processor_check(void);
uint64_t processor_tsc_hz(uint16_t pm_timer);
bool processor_erms_slow(void);
uint32_t processor_apic_id(void);

/* machine.c */
uint64_t machine_rsdp(void);
void machine_cpus(uint64_t rsdp, struct acpi_machine *machine);
void machine_iommus(struct boot_info *info, uint32_t ioapic_id);
void machine_clock(uint64_t *seconds, uint64_t *tsc);
void machine_ecam(uint64_t rsdp, struct boot_info *info);
void machine_quiet_devices(struct boot_info *info, const struct manifest *manifest,
			   const struct memmap *map);

/* partitions.c */
struct host_info *partitions_place(struct boot_info *info, const struct manifest *manifest,
				   const struct module *modules, const struct module *blob);

#endif
