/* SPDX-License-Identifier: MIT */
/*
 * A kernel that somebody else might have written: it says on COM1 how it was
 * started and what it was told, a line for each, and halts. Both protocols'
 * structures are read as their documents have them, not by host-bridge's
 * headers.
 */
#include <stdint.h>

#include "drivers/portio.h"

#define COM1			0x3f8
#define LSR_THR_EMPTY		0x20
#define MULTIBOOT_STARTED	0x2badb002u

struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count;
	uint32_t mods_addr, syms[4], mmap_length, mmap_addr, drives[2];
	uint32_t config_table, boot_loader_name;
};

struct multiboot_mmap {
	uint32_t size;			/* of what follows */
	uint64_t start, length;
	uint32_t type;
} __attribute__((packed));

struct multiboot_module {
	uint32_t start, end, string, reserved;
};

struct hvm_start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};

struct hvm_modlist_entry {
	uint64_t start, size, cmdline, reserved;
};

struct hvm_memmap_entry {
	uint64_t start, length;
	uint32_t type, reserved;
};

/* entry.S: EAX, EBX, CR0, CR4, CS, DS, EFER, EFLAGS. */
extern uint32_t begun[8];

static volatile uint32_t zeros[3000];
static const char far[] __attribute__((section(".far"))) = "far away";

void kernel_main(void);

static void print(const char *text)
{
	for (; *text; text++) {
		while (!(port_in8(COM1 + 5) & LSR_THR_EMPTY)) {
		}
		port_out8(COM1, (uint8_t)*text);
	}
}

static void hex(const char *before, uint64_t value)
{
	char text[17];
	unsigned at = 16;

	text[at] = '\0';
	do {
		text[--at] = "0123456789abcdef"[value & 15];
		value >>= 4;
	} while (value > 0);
	print(before);
	print(text + at);
}

static const void *at(uint64_t address)
{
	return (const void *)(uintptr_t)address;
}

static void line(const char *what)
{
	print("KERNEL32 ");
	print(what);
}

static void memory(uint64_t start, uint64_t length, uint32_t type)
{
	line("memory");
	hex(" ", start);
	hex(" ", start + length);
	hex(" ", type);
	print("\n");
}

/* With the sum of its bytes. */
static void module(uint64_t start, uint64_t size)
{
	const uint8_t *bytes = at(start);
	uint32_t sum = 0;

	for (uint32_t i = 0; i < size; i++) {
		sum += bytes[i];
	}
	line("module");
	hex(" ", size);
	hex(" ", sum);
	print("\n");
}

static void command(uint64_t address)
{
	line("command ");
	print(at(address));
	print("\n");
}

static void multiboot(const struct multiboot_info *info)
{
	uint32_t end = info->mmap_addr + info->mmap_length;
	uint32_t next = info->mmap_addr;

	line("multiboot");
	hex(" ", info->flags);
	hex(" ", info->mem_lower);
	hex(" ", info->mem_upper);
	print(" ");
	print(at(info->boot_loader_name));
	print("\n");
	command(info->cmdline);
	while (next < end) {
		const struct multiboot_mmap *m = at(next);

		memory(m->start, m->length, m->type);
		next += m->size + sizeof(m->size);
	}
	for (uint32_t i = 0; i < info->mods_count; i++) {
		const struct multiboot_module *m = at(info->mods_addr);

		module(m[i].start, m[i].end - m[i].start);
	}
}

static void pvh(const struct hvm_start_info *info)
{
	const struct hvm_memmap_entry *map = at(info->memmap);
	const struct hvm_modlist_entry *modules = at(info->modlist);

	line("pvh");
	hex(" ", info->magic);
	hex(" ", info->version);
	hex(" ", *(const uint64_t *)at(info->rsdp));
	print("\n");
	command(info->cmdline);
	for (uint32_t i = 0; i < info->memmap_entries; i++) {
		memory(map[i].start, map[i].length, map[i].type);
	}
	for (uint32_t i = 0; i < info->nr_modules; i++) {
		module(modules[i].start, modules[i].size);
	}
}

/* From entry.S; returning halts. */
void kernel_main(void)
{
	uint32_t dirty = 0;

	line("start");
	for (unsigned i = 0; i < 8; i++) {
		if (i != 1) {
			hex(" ", begun[i]);
		}
	}
	print("\n");
	for (unsigned i = 0; i < sizeof(zeros) / sizeof(zeros[0]); i++) {
		dirty |= zeros[i];
	}
	line(dirty ? "bss is dirty, " : "bss is zero, ");
	print(far);
	print("\n");
	if (begun[0] == MULTIBOOT_STARTED) {
		multiboot(at(begun[1]));
	} else {
		pvh(at(begun[1]));
	}
	line("end\n");
}
