/* SPDX-License-Identifier: MIT */
/*
 * Loading of a kernel, mostly Linux. Everything that it finds in its memory is
 * prepared in windows of our own memory and then donated: the pages change
 * owner, and the next touch of the window gives us zeroed ones. So after the
 * start nothing of Linux is in our reach, and nothing is left to free.
 *
 * The kernel's image is not trusted (linux_image.c or elf_image.c checks it);
 * the hypervisor's answers are believed. From top-level code and from the loop's
 * handlers, which never run at the same time.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/sockets.h"
#include "host-bridge/guest/elf_image.h"
#include "host-bridge/guest/linux_acpi.h"
#include "host-bridge/guest/linux_initrd.h"
#include "host-bridge/guest/linux_load.h"
#include "host-bridge/rt/hc.h"

#define PAGE		4096ull
#define UNIT		(2ull << 20)	/* stage_big: what one call donates */
#define SMALL		(64ull << 10)	/* stage_small */
#define MIB		(1ull << 20)

/* The windows, host-bridge.lds. Outside of a load both are all zeroes: what was
 * donated came back so, and who fails clears up. */
extern uint8_t stage_small[], stage_big[];
extern const uint8_t linux_dsdt[], linux_dsdt_end[];

/* HC_OK downwards; a newer hypervisor may know more. */
static const char *const hc_errors[] = {
	"success", "invalid argument", "not permitted", "no such thing",
	"busy", "out of memory", "try again", "no such hypercall",
};

/** A status in words. */
const char *linux_load_status(int64_t status)
{
	size_t i = (size_t)-status;

	return i < sizeof(hc_errors) / sizeof(hc_errors[0]) ? hc_errors[i] :
							      "unknown error";
}

/** See linux_load.h. */
void linux_load_failed(const struct config_guest *want, enum stage stage,
		       const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	stage_failed(stage, "%s%s%s",
		     want->several ? want->title : "",
		     want->several ? ": " : "", text);
}

/* A kernel of either kind. */
struct kernel {
	const void *file;
	uint64_t size;
	bool is_elf;
	struct elf_image elf;		/* it is one */
	struct linux_image bzimage;	/* it is none */
};

static unsigned long long in_mib(uint64_t bytes)
{
	return bytes / MIB;
}

/* Moves bytes at own (page aligned, with the rest of the last page zero) to
 * Linux: at most 2 MiB, HC_DONATE_MAX pages. HC_OK or a status; on HC_ENOMEM
 * some of the pages may have gone. [docs/hypercalls.md "HC_MEM_DONATE"] */
static int64_t donate(const struct config_guest *want, const uint8_t *own,
		      uint64_t gpa, uint64_t bytes)
{
	struct hc_regs regs = {
		.rdi = want->id,
		.rsi = (uintptr_t)own,
		.rdx = gpa,
		.r10 = (bytes + PAGE - 1) / PAGE,
	};

	return hc_call(HC_MEM_DONATE, &regs);
}

/**
 * Copies data to Linux's memory at gpa (page aligned), which ends at ram_end.
 * Aligned units of 2 MiB, the last one too if most of it is used, go through
 * the big window: they stay large pages, and the window is populated again in
 * few exits. The rest goes through the small one. Zeroes fill up what is
 * donated beyond the data.
 */
int64_t linux_load_data(const struct config_guest *want, uint64_t gpa,
			uint64_t ram_end, const uint8_t *data, uint64_t size)
{
	while (size > 0) {
		bool whole = (gpa & (UNIT - 1)) == 0 && size > UNIT / 2 &&
			     ram_end - gpa >= UNIT;
		uint8_t *window = whole ? stage_big : stage_small;
		/* Pieces of the small window end where its size divides the
		 * address, so that later units begin on 2 MiB. */
		uint64_t room = whole ? UNIT : SMALL - (gpa & (SMALL - 1));
		uint64_t part = size < room ? size : room;
		uint64_t moved = whole ? UNIT : (part + PAGE - 1) & ~(PAGE - 1);
		int64_t status;

		memcpy(window, data, part);
		memset(window + part, 0, moved - part);
		status = donate(want, window, gpa, moved);
		if (status != HC_OK) {
			/* Zero again, whether these pages are still ours or
			 * come anew; and no part of a file stays behind. */
			memset(window, 0, moved);
			return status;
		}
		gpa += part;
		data += part;
		size -= part;
	}
	return HC_OK;
}

/* The same for what an ELF file has, wherever that is: in pieces of the small
 * window. */
static int64_t load_elf(const struct config_guest *want,
			const struct elf_image *image, uint64_t ram_end)
{
	for (uint64_t gpa = LINUX_HIGH_RAM; gpa < ram_end; gpa += SMALL) {
		uint64_t part = ram_end - gpa < SMALL ? ram_end - gpa : SMALL;
		int64_t status;

		if (!elf_image_piece(image, gpa, stage_small, part)) {
			continue;
		}
		status = donate(want, stage_small, gpa, part);
		if (status != HC_OK) {
			memset(stage_small, 0, SMALL);
			return status;
		}
	}
	return HC_OK;
}

/* Linux's command line: what is too long is so with a byte more, too, which
 * linux_image_low() refuses. */
static const char *command_line(const struct config_guest *want,
				const char *words)
{
	static char line[LINUX_CMDLINE_SIZE + 1];

	snprintf(line, sizeof(line), "%s%s%s%s", words ? words : "",
		 words ? " " : "", want->sockets ? SOCKETS_WORD " " : "",
		 want->bootargs);
	return line;
}

/* Low memory, ACPI tables and the reset vector's page, built side by side in the
 * small window (36, 16 and 4 KiB of its 64). NULL, or what went wrong, as a
 * clause for stage_failed(). */
static const char *load_tables(const struct config_guest *want,
			       const struct kernel *kernel,
			       const struct linux_layout *layout,
			       const char *cmdline, unsigned vcpus)
{
	const size_t low_size = LINUX_LOW_END - LINUX_LOW_GPA;
	uint8_t *acpi = stage_small + low_size;
	uint8_t *bios = acpi + LINUX_ACPI_SIZE;
	const char *wrong = kernel->is_elf ?
		elf_image_low(stage_small, &kernel->elf, layout, cmdline) :
		linux_image_low(stage_small, &kernel->bzimage, layout, cmdline);
	size_t acpi_size = linux_acpi_build(acpi, LINUX_ACPI_SIZE,
		LINUX_ACPI_GPA, vcpus, linux_dsdt,
		(size_t)(linux_dsdt_end - linux_dsdt));

	if (!wrong && acpi_size == 0) {
		wrong = "the ACPI tables do not fit their area";
	}
	linux_image_bios(bios);
	if (!wrong &&
	    (donate(want, stage_small, LINUX_LOW_GPA, low_size) != HC_OK ||
	     donate(want, acpi, LINUX_ACPI_GPA, acpi_size) != HC_OK ||
	     donate(want, bios, LINUX_BIOS_GPA, PAGE) != HC_OK)) {
		wrong = "low memory could not be donated";
	}
	if (wrong) {		/* the next try finds the window clean */
		memset(stage_small, 0, low_size + LINUX_ACPI_SIZE + PAGE);
	}
	return wrong;
}

/* The modules named by the manifest; false with a message. */
static bool find_modules(const struct config *config,
			 const struct config_guest *want,
			 const struct host_module **kernel,
			 const struct host_module **initrd)
{
	*kernel = config_module(config, want->kernel);
	*initrd = config_module(config, want->initrd);
	if (!*kernel || (want->initrd && !*initrd)) {
		linux_load_failed(want, STAGE_LINUX_LOADED,
				  "module \"%s\" is missing",
				  *kernel ? want->initrd : want->kernel);
		return false;
	}
	return true;
}

/* Whether Linux can unpack its initrd in ram bytes; false with a message. */
static bool check_initrd(const struct config_guest *want, uint64_t ram,
			 const struct linux_image *image,
			 const struct host_module *initrd)
{
	uint64_t files = linux_initrd_unpacked(
		(const void *)(uintptr_t)initrd->gpa, initrd->size);
	uint64_t room = linux_initrd_room(ram, image->kernel_size,
					  initrd->size, want->bootargs);

	if (files > room) {
		linux_load_failed(want, STAGE_LINUX_LOADED, "initrd \"%s\" "
			"(%llu MiB) unpacks to %llu MiB or more, for which "
			"Linux with %llu MiB has %llu MiB beside it: raise "
			"\"memory-mib\" in the manifest", initrd->name,
			in_mib(initrd->size + MIB - 1),
			in_mib(files + MIB - 1), in_mib(ram), in_mib(room));
	}
	return files <= room;
}

/* What the file is, and where it goes. NULL, or what is wrong with it. */
static const char *look_at(struct kernel *kernel, struct linux_layout *layout)
{
	const char *wrong;

	kernel->is_elf = elf_image_is(kernel->file, kernel->size);
	if (kernel->is_elf) {
		wrong = elf_image_parse(kernel->file, kernel->size,
					&kernel->elf);
		return wrong ? wrong : elf_image_place(&kernel->elf, layout);
	}
	wrong = linux_image_parse(kernel->file, kernel->size, &kernel->bzimage);
	return wrong ? wrong : linux_image_place(&kernel->bzimage, layout);
}

static int64_t load_files(const struct config_guest *want,
			  const struct kernel *kernel,
			  const struct host_module *initrd,
			  const struct linux_layout *layout)
{
	uint64_t ram_end = linux_image_ram_end(layout);
	int64_t status = kernel->is_elf ?
		load_elf(want, &kernel->elf, ram_end) :
		linux_load_data(want, layout->kernel_gpa, ram_end,
				kernel->bzimage.file +
				kernel->bzimage.kernel_offset,
				kernel->bzimage.kernel_size);

	if (status == HC_OK && initrd) {
		status = linux_load_data(want, layout->initrd_gpa, ram_end,
					 (const void *)(uintptr_t)initrd->gpa,
					 initrd->size);
	}
	return status;
}

/**
 * Everything into Linux's memory; *layout tells where. False, with a message,
 * when something is missing, broken, or does not fit: some memory may have
 * moved already, and the caller takes it back.
 */
bool linux_load(const struct config *config, const struct config_guest *want,
		const char *words, struct linux_layout *layout)
{
	const struct host_module *module, *initrd;
	struct kernel kernel;
	struct hc_regs mem;
	const char *wrong;
	int64_t status;

	if (!find_modules(config, want, &module, &initrd)) {
		return false;
	}
	/* The manifest's cap and number of vCPUs. It does not fail for a
	 * partition that boot/ has found in the manifest. */
	(void)hc_query(HC_QUERY_MEMORY, want->id, 0, &mem);
	layout->ram = mem.rsi;
	layout->initrd_size = initrd ? initrd->size : 0;
	kernel.file = (const void *)(uintptr_t)module->gpa;
	kernel.size = module->size;
	wrong = look_at(&kernel, layout);
	if (!wrong) {
		wrong = load_tables(want, &kernel, layout,
				    command_line(want,
						 kernel.is_elf ? NULL : words),
				    (unsigned)mem.r10);
	}
	if (wrong) {
		linux_load_failed(want, STAGE_LINUX_LOADED,
				  "kernel \"%s\" (%llu bytes): %s",
				  module->name,
				  (unsigned long long)module->size, wrong);
		return false;
	}
	/* Others' initrds are no business of ours. */
	if (initrd && !kernel.is_elf &&
	    !check_initrd(want, layout->ram, &kernel.bzimage, initrd)) {
		return false;
	}
	status = load_files(want, &kernel, initrd, layout);
	if (status != HC_OK) {
		linux_load_failed(want, STAGE_LINUX_LOADED, "memory of kernel "
				  "and initrd could not be donated: %s",
				  linux_load_status(status));
	}
	return status == HC_OK;
}
