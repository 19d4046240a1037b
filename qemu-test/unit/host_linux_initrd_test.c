/* SPDX-License-Identifier: MIT */
/* What an initramfs unpacks to, of good, compressed and broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/guest/linux_initrd.h"

#define MIB	(1ull << 20)

static uint8_t file[65536];
static size_t used;

/* Appends a member: of a file that says to be of `bytes`, `there` are. */
static void add(const char *name, unsigned mode, uint64_t bytes, size_t there)
{
	size_t start = used;

	used += (size_t)sprintf((char *)file + used, "070701%08x%08x%08x%08x"
				"%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1u,
				mode, 0u, 0u, 1u, 0u, (unsigned)bytes, 0u, 0u,
				0u, 0u, (unsigned)strlen(name) + 1, 0u);
	assert_int_equal(used - start, 110);
	strcpy((char *)file + used, name);
	used = (used + strlen(name) + 1 + 3) & ~3ull;
	memset(file + used, 'd', there);
	used = (used + there + 3) & ~3ull;
}

/* In memory of exactly that size: the sanitizer sees a byte too many. */
static uint64_t unpacked(size_t size)
{
	uint8_t *copy = malloc(size);
	uint64_t bytes;

	if (size > 0) {
		memcpy(copy, file, size);
	}
	bytes = linux_initrd_unpacked(copy, size);
	free(copy);
	return bytes;
}

static int setup(void **state)
{
	(void)state;
	memset(file, 0, sizeof(file));
	used = 0;
	return 0;
}

static void whole_archives(void **state)
{
	(void)state;
	assert_int_equal(unpacked(0), 0);
	add("bin", 0040755, 0, 0);
	add("bin/sh", 0100755, 5000, 5000);
	add("bin/ls", 0120777, 2, 2);
	add("empty", 0100644, 0, 0);
	add("null", 0020666, 0, 0);
	add("TRAILER!!!", 0, 0, 0);
	assert_int_equal(unpacked(used), 8192);
	used += 512;				/* and one laid over it */
	add("etc/extra", 0100644, 1, 1);
	add("TRAILER!!!", 0, 0, 0);
	assert_int_equal(unpacked(used), 12288);
	used += 512;				/* and a compressed one */
	memcpy(file + used, "\x1f\x8b", 2);
	assert_int_equal(unpacked(used + 777), 12288 + 777);
}

static void broken_archives(void **state)
{
	(void)state;
	add("a", 0100644, 100, 100);
	/* Cut anywhere: nothing outside is read. */
	for (size_t size = 0; size < used; size++) {
		assert_true(unpacked(size) <= 4096 + size);
	}
	setup(state);
	add("large", 0100644, 0xffffffff, 8);	/* it is not all there */
	assert_int_equal(unpacked(used), 4096 * MIB);
	add("b", 0100644, 1, 1);
	file[used - 30] = 'x';
	memset(file + 94, 'f', 8);		/* a name of 4 GiB */
	assert_int_equal(unpacked(used), 4096 * MIB);
	file[20] = 'g';				/* no digit */
	assert_int_equal(unpacked(used), used);
}

static void room(void **state)
{
	/* 64 bytes for each page: 6 MiB of 384. */
	static const struct {
		uint64_t ram, kernel, initrd;
		const char *cmdline;
		uint64_t want;
	} t[] = {
		{ 384, 8, 210, "quiet", 80 },
		{ 384, 8, 210, "quiet noroot=x", 80 },
		{ 384, 8, 210, "quiet root=/dev/vda", 160 },
		{ 384, 8, 210, "rootfstype=ramfs", 160 },
		{ 64, 8, 60, "", 0 },
		{ 0, 8, 60, "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(linux_initrd_room(t[i].ram * MIB,
						   t[i].kernel * MIB,
						   t[i].initrd * MIB,
						   t[i].cmdline),
				 t[i].want * MIB);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(whole_archives, setup),
		cmocka_unit_test_setup(broken_archives, setup),
		cmocka_unit_test(room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
