/* SPDX-License-Identifier: MIT */
/*
 * secrets: texts in memory, of which each has its number.
 *   write N MIB  fills that much memory with text N, and ends without clearing it
 *   look         says which texts there are in all memory that this Linux has, by
 *                /proc/kcore: "N: so many" for each, and how much it was
 * A text is 64 bytes, and aligned; in this program it is nowhere.
 */
#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TEXT		64u
#define NUMBERS		16u
#define CHUNK		(1u << 20)
#define MAGIC(i)	((0x9e3779b97f4a7c15ull ^ key) * (2 * (i) + 1))

static volatile uint64_t key = 0x5ec4e75;

static int write_text(uint64_t number, size_t mib)
{
	uint64_t *at = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	for (size_t i = 0; i < mib << 17; i += 8) {
		for (unsigned k = 0; k < 7; k++) {
			at[i + k] = MAGIC(k);
		}
		at[i + 7] = number;
	}
	return 0;
}

/* Counts the texts in it. */
static void look_at(const uint64_t *at, size_t len, uint64_t found[NUMBERS])
{
	for (size_t i = 0; i + 8 <= len / 8; i += 8) {
		if (at[i] == MAGIC(0) && at[i + 1] == MAGIC(1) &&
		    at[i + 6] == MAGIC(6) && at[i + 7] < NUMBERS) {
			found[at[i + 7]]++;
		}
	}
}

static int look(void)
{
	static uint64_t found[NUMBERS];
	static Elf64_Phdr segment[64];
	uint64_t *chunk = aligned_alloc(4096, CHUNK), all = 0;
	int fd = open("/proc/kcore", O_RDONLY);
	Elf64_Ehdr head;

	if (fd < 0 || pread(fd, &head, sizeof(head), 0) != sizeof(head) ||
	    head.e_phnum > 64 || !chunk ||
	    pread(fd, segment, sizeof(segment), (off_t)head.e_phoff) < 0) {
		perror("/proc/kcore");
		return 1;
	}
	for (unsigned i = 0; i < head.e_phnum; i++) {
		const Elf64_Phdr *s = &segment[i];

		/* What is RAM has its address there. */
		if (s->p_type != PT_LOAD || s->p_paddr == (uint64_t)-1) {
			continue;
		}
		for (uint64_t at = 0; at < s->p_memsz; at += CHUNK) {
			ssize_t n = pread(fd, chunk, CHUNK,
					  (off_t)(s->p_offset + at));

			if (n > 0) {
				look_at(chunk, (size_t)n, found);
				all += (uint64_t)n;
			}
			memset(chunk, 0, CHUNK);
		}
	}
	for (unsigned i = 0; i < NUMBERS; i++) {
		if (found[i]) {
			printf("%u: %llu\n", i, (unsigned long long)found[i]);
		}
	}
	printf("of %llu MiB\n", (unsigned long long)(all >> 20));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "write") == 0) {
		return write_text(strtoull(argv[2], NULL, 0),
				  strtoul(argv[3], NULL, 0));
	}
	return argc == 2 && strcmp(argv[1], "look") == 0 ? look() : 2;
}
