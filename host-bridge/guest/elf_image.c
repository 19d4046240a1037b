/* SPDX-License-Identifier: MIT */
/*
 * ELF kernels. The file may be anyone's: every field is checked before it is used,
 * and nothing outside the file is read whatever it says. What is written goes to
 * the caller's buffers. [ELF "Program Header"], [Multiboot 0.6.96], [Xen "x86/HVM
 * direct boot ABI"]
 *
 * HC_PARTITION_START begins in 64-bit mode. So the first instructions of such a
 * kernel are ours, in its low memory: out of long mode, to its entry.
 */
#include <string.h>

#include "host-bridge/guest/elf_image.h"

#define ET_EXEC			2u
#define EM_386			3u
#define EM_X86_64		62u
#define PT_LOAD			1u
#define PT_NOTE			4u
#define HEADERS_MAX		64u

#define NOTE_PHYS32_ENTRY	18u	/* XEN_ELFNOTE_PHYS32_ENTRY */

#define MULTIBOOT_MAGIC		0x1badb002u
#define MULTIBOOT_STARTED	0x2badb002u	/* EAX */
#define MULTIBOOT_SEARCH	8192u
/* Of the first 16 flags, which ask for something, these are met: modules on
 * pages, sizes of memory. Flag 16: addresses for what is no ELF file. */
#define MULTIBOOT_MET		0x00003u
#define MULTIBOOT_MUST		0x0ffffu
#define MULTIBOOT_ADDRESSES	0x10000u

#define PVH_MAGIC		0x336ec578u
#define PVH_VERSION		1u

/* In the page of the GDT: the start. In that of the boot parameters: what the
 * kernel is told. */
#define START_GPA		(LINUX_GDT_GPA + 0x100u)
#define INFO_GPA		LINUX_BOOT_PARAMS_GPA
#define MAP_GPA			(INFO_GPA + 0x100u)
#define MODULES_GPA		(INFO_GPA + 0x200u)
#define NAME_GPA		(INFO_GPA + 0x300u)

/* Where fields are in files of either class. */
struct format {
	unsigned address;		/* bytes of one */
	unsigned header, phoff, phentsize, phnum;
	unsigned entry_size, offset, paddr, filesz, memsz;
};

static const struct format formats[] = {
	{ 4, 52, 28, 42, 44, 32, 4, 12, 16, 20 },
	{ 8, 64, 32, 54, 56, 56, 8, 24, 32, 40 },
};

/* Little-endian fields at any alignment, as this processor has them. */
static uint64_t get(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;

	memcpy(&value, at, bytes);
	return value;
}

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
	memcpy(at, &value, bytes);
}

/** See elf_image.h. */
bool elf_image_is(const void *file, size_t size)
{
	return size >= 4 && memcmp(file, "\177ELF", 4) == 0;
}

/* What kind of file this is; *format is how to read it. NULL, or what is
 * wrong. */
static const char *check_header(const uint8_t *f, size_t size,
				const struct format **format)
{
	uint64_t machine, phoff, bytes;

	if (size < 64 || f[4] < 1 || f[4] > 2 || f[5] != 1) {
		return "it is no ELF file of a PC";
	}
	*format = &formats[f[4] - 1];
	machine = get(f + 18, 2);
	if (machine != EM_X86_64 && (machine != EM_386 || f[4] != 1)) {
		return "it is no ELF file of a PC";
	}
	if (get(f + 16, 2) != ET_EXEC) {
		return "it is no ELF file that is linked to run at an address";
	}
	phoff = get(f + (*format)->phoff, (*format)->address);
	bytes = get(f + (*format)->phnum, 2) * (*format)->entry_size;
	if (get(f + (*format)->phentsize, 2) != (*format)->entry_size ||
	    bytes == 0 || bytes > HEADERS_MAX * (*format)->entry_size) {
		return "it has no program headers, or too many, or strange ones";
	}
	if (phoff > size || bytes > size - phoff) {
		return "it is truncated: its program headers are not in it";
	}
	return NULL;
}

/* A note's name and description are padded. */
static uint64_t padded(uint64_t bytes)
{
	return (bytes + 3) & ~3ull;
}

/* Xen's entry, if it is among these notes. */
static void look_for_entry(const uint8_t *at, uint64_t left,
			   struct elf_image *image)
{
	while (left >= 12) {
		uint64_t name = padded(get(at, 4));
		uint64_t desc = padded(get(at + 4, 4));

		if (name > left - 12 || desc > left - 12 - name) {
			return;
		}
		if (name == 4 && memcmp(at + 12, "Xen", 4) == 0 &&
		    get(at + 8, 4) == NOTE_PHYS32_ENTRY && desc >= 4) {
			image->pvh = true;
			image->entry = (uint32_t)get(at + 16, 4);
		}
		at += 12 + name + desc;
		left -= 12 + name + desc;
	}
}

/* One program header. NULL, or what is wrong. */
static const char *add_segment(const uint8_t *f, size_t size,
			       const struct format *format, const uint8_t *ph,
			       struct elf_image *image)
{
	struct elf_segment s = {
		.data_size = get(ph + format->filesz, format->address),
		.gpa = get(ph + format->paddr, format->address),
		.size = get(ph + format->memsz, format->address),
	};
	uint64_t type = get(ph, 4);
	uint64_t offset = get(ph + format->offset, format->address);

	if (type != PT_LOAD && type != PT_NOTE) {
		return NULL;
	}
	if (offset > size || s.data_size > size - offset) {
		return "it is truncated: a segment is not in it";
	}
	s.data = f + offset;
	if (type == PT_NOTE) {
		look_for_entry(s.data, s.data_size, image);
		return NULL;
	}
	if (s.data_size > s.size) {
		return "a segment has more data than memory";
	}
	if (s.size == 0) {
		return NULL;
	}
	if (image->count == ELF_SEGMENTS) {
		return "it has more than 16 segments";
	}
	image->segments[image->count++] = s;
	return NULL;
}

/* The multiboot header, in the file's beginning; its flags, with *found. */
static uint32_t multiboot_flags(const uint8_t *f, size_t size, bool *found)
{
	size_t end = size < MULTIBOOT_SEARCH ? size : MULTIBOOT_SEARCH;

	for (size_t at = 0; at + 12 <= end; at += 4) {
		uint32_t flags = (uint32_t)get(f + at + 4, 4);

		if (get(f + at, 4) == MULTIBOOT_MAGIC &&
		    MULTIBOOT_MAGIC + flags + (uint32_t)get(f + at + 8, 4) ==
		    0) {
			*found = true;
			return flags;
		}
	}
	*found = false;
	return 0;
}

/* Which of the two entries, or why none. A kernel with both is multiboot's. */
static const char *choose_entry(const uint8_t *f, size_t size,
				const struct format *format,
				struct elf_image *image)
{
	bool multiboot;
	uint32_t flags = multiboot_flags(f, size, &multiboot);

	if (multiboot && format->address == 4) {
		if (flags & MULTIBOOT_MUST & ~MULTIBOOT_MET) {
			return "its multiboot header asks for what there is "
			       "not, such as a video mode";
		}
		if (flags & MULTIBOOT_ADDRESSES) {
			return "its multiboot header has addresses of its own "
			       "(flag 16), beside those of the ELF file";
		}
		image->pvh = false;
		image->entry = (uint32_t)get(f + 24, 4);
	} else if (!image->pvh) {
		return "it has neither a multiboot header (which wants a "
		       "32-bit ELF file) nor a PVH entry";
	}
	for (unsigned i = 0; i < image->count; i++) {
		const struct elf_segment *s = &image->segments[i];

		if (image->entry >= s->gpa && image->entry - s->gpa < s->size) {
			return NULL;
		}
	}
	return "its entry is in none of its segments";
}

/**
 * Checks an ELF file of size bytes and describes it in *image, which points into
 * the file. Reads nothing outside the file whatever it contains.
 */
const char *elf_image_parse(const void *file, size_t size,
			    struct elf_image *image)
{
	const uint8_t *f = file, *ph;
	const struct format *format;
	const char *wrong = check_header(f, size, &format);

	if (wrong) {
		return wrong;
	}
	*image = (struct elf_image){ 0 };
	ph = f + get(f + format->phoff, format->address);
	for (uint64_t n = get(f + format->phnum, 2); n > 0 && !wrong; n--) {
		wrong = add_segment(f, size, format, ph, image);
		ph += format->entry_size;
	}
	return wrong ? wrong : choose_entry(f, size, format, image);
}

/**
 * A kernel lies where it is linked to; layout->ram and initrd_size are the
 * caller's. What it begins with is our start, in low memory.
 */
const char *elf_image_place(const struct elf_image *image,
			    struct linux_layout *layout)
{
	uint64_t end = linux_image_ram_end(layout) & ~0xfffull;
	uint64_t top = LINUX_HIGH_RAM;

	for (unsigned i = 0; i < image->count; i++) {
		const struct elf_segment *s = &image->segments[i];

		if (s->gpa < LINUX_HIGH_RAM || s->gpa > end ||
		    s->size > end - s->gpa) {
			return "a segment is outside the memory, which is for "
			       "kernels from 1 MiB on";
		}
		if (s->gpa + s->size > top) {
			top = s->gpa + s->size;
		}
	}
	layout->kernel_gpa = LINUX_HIGH_RAM;
	layout->entry = START_GPA;
	return linux_image_place_initrd(layout, top, end);
}

/* [Multiboot "Boot information format"] */
static void multiboot_info(uint8_t *info, const struct linux_layout *layout,
			   uint8_t *map, uint8_t *module, uint8_t *name)
{
	struct linux_range ranges[LINUX_RANGES];
	unsigned count = linux_image_map(layout, ranges);

	put(info, 1u << 0 | 1u << 2 | 1u << 3 | 1u << 6 | 1u << 9, 4);
	put(info + 4, LINUX_LOW_RAM_END >> 10, 4);
	put(info + 8, (linux_image_ram_end(layout) - LINUX_HIGH_RAM) >> 10, 4);
	put(info + 16, LINUX_CMDLINE_GPA, 4);
	if (layout->initrd_size > 0) {
		put(info + 20, 1, 4);
		put(info + 24, MODULES_GPA, 4);
		put(module, layout->initrd_gpa, 4);
		put(module + 4, layout->initrd_gpa + layout->initrd_size, 4);
		put(module + 8, NAME_GPA + 8, 4);	/* "" */
	}
	put(info + 44, count * 24, 4);
	put(info + 48, MAP_GPA, 4);
	put(info + 64, NAME_GPA, 4);
	memcpy(name, "isthmus", 8);
	for (unsigned i = 0; i < count; i++) {
		put(map + i * 24, 20, 4);	/* what follows */
		put(map + i * 24 + 4, ranges[i].start, 8);
		put(map + i * 24 + 12, ranges[i].end - ranges[i].start, 8);
		put(map + i * 24 + 20, ranges[i].type, 4);
	}
}

/* struct hvm_start_info. [Xen "public/arch-x86/hvm/start_info.h"] */
static void pvh_info(uint8_t *info, const struct linux_layout *layout,
		     uint8_t *map, uint8_t *module)
{
	struct linux_range ranges[LINUX_RANGES];
	unsigned count = linux_image_map(layout, ranges);

	put(info, PVH_MAGIC, 4);
	put(info + 4, PVH_VERSION, 4);
	if (layout->initrd_size > 0) {
		put(info + 12, 1, 4);
		put(info + 16, MODULES_GPA, 8);
		put(module, layout->initrd_gpa, 8);
		put(module + 8, layout->initrd_size, 8);
	}
	put(info + 24, LINUX_CMDLINE_GPA, 8);
	put(info + 32, LINUX_ACPI_GPA, 8);
	put(info + 40, MAP_GPA, 8);
	put(info + 48, count, 4);
	for (unsigned i = 0; i < count; i++) {
		put(map + i * 24, ranges[i].start, 8);
		put(map + i * 24 + 8, ranges[i].end - ranges[i].start, 8);
		put(map + i * 24 + 16, ranges[i].type, 4);
	}
}

/* The way there: compatibility mode by the GDT's 32-bit code, paging off, all of
 * EFER and CR4 off, the entry. [SDM3 "Initializing IA-32e Mode"] */
static void start_code(uint8_t *at, const struct elf_image *image)
{
	static const uint8_t code[] = {
		0xff, 0x2c, 0x25, 0, 0, 0, 0,	/* ljmpl *[7 + 44] */
		0xb8, 0x01, 0, 0, 0,		/* mov $CR0.PE, %eax */
		0x0f, 0x22, 0xc0,		/* mov %eax, %cr0 */
		0xb9, 0x80, 0, 0, 0xc0,		/* mov $IA32_EFER, %ecx */
		0x31, 0xc0,			/* xor %eax, %eax */
		0x31, 0xd2,			/* xor %edx, %edx */
		0x0f, 0x30,			/* wrmsr */
		0x0f, 0x22, 0xe0,		/* mov %eax, %cr4 */
		0x31, 0xf6,			/* xor %esi, %esi */
		0xbb, 0, 0, 0, 0,		/* [31] mov $info, %ebx */
		0xb8, 0, 0, 0, 0,		/* [36] mov $magic, %eax */
		0xb9, 0, 0, 0, 0,		/* [41] mov $entry, %ecx */
		0xff, 0xe1,			/* jmp *%ecx */
	};
	const unsigned far = sizeof(code);	/* offset, selector */

	memcpy(at, code, sizeof(code));
	put(at + 3, START_GPA + far, 4);
	put(at + 32, INFO_GPA, 4);
	put(at + 37, image->pvh ? 0 : MULTIBOOT_STARTED, 4);
	put(at + 42, image->entry, 4);
	put(at + far, START_GPA + 7, 4);
	put(at + far + 4, LINUX_GDT_CODE32, 2);
}

/**
 * Fills the low pages; low is zeroed and LINUX_LOW_END - LINUX_LOW_GPA bytes
 * long. NULL, or that the command line is longer than its page.
 */
const char *elf_image_low(uint8_t *low, const struct elf_image *image,
			  const struct linux_layout *layout,
			  const char *cmdline)
{
	uint8_t *info = low + INFO_GPA - LINUX_LOW_GPA;
	uint8_t *map = low + MAP_GPA - LINUX_LOW_GPA;
	uint8_t *module = low + MODULES_GPA - LINUX_LOW_GPA;
	size_t len = strlen(cmdline);

	if (len >= LINUX_CMDLINE_SIZE) {
		return "the command line is longer than 4095 characters";
	}
	linux_image_tables(low);
	start_code(low + START_GPA - LINUX_LOW_GPA, image);
	memcpy(low + LINUX_CMDLINE_GPA - LINUX_LOW_GPA, cmdline, len + 1);
	if (image->pvh) {
		pvh_info(info, layout, map, module);
	} else {
		multiboot_info(info, layout, map, module,
			       low + NAME_GPA - LINUX_LOW_GPA);
	}
	return NULL;
}

/**
 * Fills the window of size bytes with what of the image's data lies at gpa, the
 * segments in the file's order, and zeros between. False: there is none, and the
 * window is as it was. Memory that nobody has written reads zero anyway.
 */
bool elf_image_piece(const struct elf_image *image, uint64_t gpa,
		     uint8_t *window, uint64_t size)
{
	bool some = false;

	for (unsigned i = 0; i < image->count; i++) {
		const struct elf_segment *s = &image->segments[i];
		uint64_t from = s->gpa > gpa ? s->gpa : gpa;
		uint64_t to = s->gpa + s->data_size < gpa + size ?
			      s->gpa + s->data_size : gpa + size;

		if (from < to && !some) {
			memset(window, 0, size);
			some = true;
		}
		if (from < to) {
			memcpy(window + (from - gpa), s->data + (from - s->gpa),
			       to - from);
		}
	}
	return some;
}
