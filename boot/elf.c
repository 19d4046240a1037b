/* SPDX-License-Identifier: MIT */
/*
 * Static ELF64 images. The file is not trusted: elf_check() looks at every
 * header field that elf_load() uses, and elf_load() may only be called with
 * a file that passed. [System V ABI "ELF Header", "Program Header"]
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "elf.h"

#define ELF_ET_EXEC	2
#define ELF_EM_X86_64	62
#define ELF_PT_LOAD	1
#define ELF_PT_DYNAMIC	2
#define ELF_PF_X	1
#define ELF_MAX_PHDRS	32

struct elf_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct elf_header) == 64, "ELF64 header");

struct elf_phdr {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
_Static_assert(sizeof(struct elf_phdr) == 56, "ELF64 program header");

/* Headers are copied out: the file may hold them at any alignment. */
static struct elf_phdr phdr_get(const void *file, uint64_t phoff, unsigned i)
{
	struct elf_phdr ph;

	memcpy(&ph, (const uint8_t *)file + phoff + i * sizeof(ph), sizeof(ph));
	return ph;
}

/* Segments must ascend without overlap from image->end, which moves on. */
static const char *segment_check(const struct elf_phdr *ph, uint64_t size,
				 uint64_t high, struct elf_image *image)
{
	if (ph->type == ELF_PT_DYNAMIC) {
		return "it is dynamically linked";
	}
	if (ph->type != ELF_PT_LOAD) {
		return NULL;
	}
	if (ph->offset > size || ph->filesz > size - ph->offset || ph->filesz > ph->memsz) {
		return "a segment lies outside the file, or is larger there than in memory";
	}
	if (ph->vaddr < image->end || ph->vaddr > high || ph->memsz > high - ph->vaddr) {
		return "a segment overlaps another or lies outside the range meant for it";
	}
	image->end = ph->vaddr + ph->memsz;
	image->filled = ph->vaddr + ph->filesz;
	return NULL;
}

/**
 * Checks the ELF file of size bytes against the address range [low, high)
 * and says where it ends and starts. Returns NULL, or what is wrong (a
 * sentence whose subject is the file).
 */
const char *elf_check(const void *file, uint64_t size, uint64_t low,
		      uint64_t high, struct elf_image *image)
{
	static const uint8_t ident[] = { 0x7f, 'E', 'L', 'F', 2, 1, 1 };
	struct elf_header h = { 0 };
	bool entry_ok = false;

	*image = (struct elf_image){ .end = low, .filled = low };
	/* a file shorter than a header leaves zeros, which are no ELF */
	memcpy(&h, file, size < sizeof(h) ? size : sizeof(h));
	if (memcmp(h.ident, ident, sizeof(ident)) != 0 || h.type != ELF_ET_EXEC ||
	    h.machine != ELF_EM_X86_64) {
		return "it is not an x86-64 ELF executable at a fixed address";
	}
	if (h.phentsize != sizeof(struct elf_phdr) || h.phnum > ELF_MAX_PHDRS ||
	    h.phoff > size || h.phnum * sizeof(struct elf_phdr) > size - h.phoff) {
		return "its program header table is malformed or outside the file";
	}
	for (unsigned i = 0; i < h.phnum; i++) {
		struct elf_phdr ph = phdr_get(file, h.phoff, i);
		const char *wrong = segment_check(&ph, size, high, image);

		if (wrong != NULL) {
			return wrong;
		}
		/* in the bytes of the file, not in the zeros behind them */
		entry_ok |= ph.type == ELF_PT_LOAD && (ph.flags & ELF_PF_X) != 0 &&
			    h.entry >= ph.vaddr && h.entry - ph.vaddr < ph.filesz;
	}
	image->entry = h.entry;
	return entry_ok ? NULL : "its entry point is not in an executable segment";
}

/**
 * Copies the segments of a file that passed elf_check() with the same low.
 * dest stands for address low, reaches to elf_image.filled at least and is zeroed:
 * what a segment has beyond its bytes in the file (.bss) is left as it is.
 */
void elf_load(const void *file, uint64_t low, void *dest)
{
	struct elf_header h;

	memcpy(&h, file, sizeof(h));
	for (unsigned i = 0; i < h.phnum; i++) {
		struct elf_phdr ph = phdr_get(file, h.phoff, i);

		if (ph.type == ELF_PT_LOAD) {
			memcpy((uint8_t *)dest + (ph.vaddr - low),
			       (const uint8_t *)file + ph.offset, ph.filesz);
		}
	}
}
