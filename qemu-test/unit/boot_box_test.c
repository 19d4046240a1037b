/* SPDX-License-Identifier: MIT */
/*
 * The black box that the loader finds, where memory at the places for it is as the
 * last run has left it: the box, and what its guests may have made of the others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "boot/loader.h"
#include "boot/pci.h"
#include "drivers/tco.h"
#include "proto/black_box.h"

#define ROOM	(1ul << 20)	/* at each place, and more than a box needs */

static const uint64_t places[] = { 32 * MIB, 48 * MIB, 64 * MIB, 96 * MIB };

#define PLACES	(sizeof(places) / sizeof(places[0]))

struct box_log *console_log;

static bool taken[PLACES];	/* by the firmware */
static uint32_t freed[PLACES], written;
static char said[400];

void console_say(const char *format, ...)
{
	size_t used = strlen(said);
	va_list args;

	va_start(args, format);
	vsnprintf(said + used, sizeof(said) - used, format, args);
	va_end(args);
}

bool memory_at(uint64_t at, uint64_t size)
{
	assert_true(size <= ROOM);
	for (unsigned i = 0; i < PLACES; i++) {
		if (places[i] == at) {
			return !taken[i];
		}
	}
	return false;
}

void memory_free(uint64_t at, uint64_t size)
{
	(void)size;
	for (unsigned i = 0; i < PLACES; i++) {
		freed[i] += places[i] == at;
	}
}

void *memory_alloc(uint64_t size, uint64_t align, uint32_t type, const char *what)
{
	static uint8_t elsewhere[ROOM] __attribute__((aligned(4096)));

	(void)what;
	assert_true(size <= ROOM);
	assert_int_equal(align, PAGE_SIZE);
	assert_int_equal(type, BOOT_MEM_FREE);
	return elsewhere;
}

uint64_t memory_keep(uint64_t base, uint64_t size, uint32_t type)
{
	(void)size;
	(void)type;
	return base;
}

bool files_write(const char *path, const struct black_box_read *text)
{
	(void)path;
	(void)text;
	written++;
	return true;
}

bool tco_fired(tco_config config)
{
	(void)config;
	return false;
}

uint32_t pci_config_read(uint32_t address, uint32_t reg)
{
	(void)address;
	(void)reg;
	return ~0u;
}

static struct black_box *at(unsigned place)
{
	return (void *)(uintptr_t)(places[place] + BOX_HOST_SIZE);
}

/* A box with a right sum, whoever has made it. */
static void leave(unsigned place, uint64_t boots, const char *words)
{
	struct black_box *b = at(place);

	memset((void *)(uintptr_t)places[place], 0, ROOM);
	b->magic = BOX_MAGIC;
	b->version = BOX_VERSION;
	b->boots = boots;
	b->sum = black_box_sum(b);
	for (; *words != '\0'; words++) {
		box_put(&b->log, *words);
	}
}

static void begin(void)
{
	for (unsigned i = 0; i < PLACES; i++) {
		memset((void *)(uintptr_t)places[i], 0xaa, ROOM);
		taken[i] = false;
		freed[i] = 0;
	}
	box_module.data = NULL;
	console_log = NULL;
	written = 0;
	said[0] = '\0';
}

static void first_place(void **state)
{
	(void)state;
	begin();
	box_open();
	assert_ptr_equal(box_module.data, (void *)(uintptr_t)places[0]);
	assert_ptr_equal(console_log, &at(0)->log);
	assert_true(black_box_is(at(0), ROOM - BOX_HOST_SIZE));
	assert_int_equal(at(0)->boots, 1);
	assert_int_equal(freed[0], 0);
	assert_int_equal(freed[1] + freed[2] + freed[3], 3);
	assert_string_equal(said, "");
	/* the next run's finds it, and has it again */
	box_module.data = NULL;
	box_open();
	assert_int_equal(at(0)->boots, 2);
	assert_non_null(strstr(said, "the last run ended in stage unknown: a reset"));
	assert_int_equal(written, 1);
}

/* What had been free was so this time as well, and is the guests' since. */
static void another_place(void **state)
{
	(void)state;
	begin();
	leave(1, 6, "isthmus: PANIC in the hypervisor: of itself\n");
	taken[0] = true;
	box_open();
	assert_non_null(strstr(said, "of itself"));
	assert_ptr_equal(box_module.data, (void *)(uintptr_t)places[1]);
	assert_int_equal(at(1)->boots, 7);
	/* it is found where it is, though now there is a better place */
	begin();
	leave(1, 6, "isthmus: PANIC in the hypervisor: of itself\n");
	box_open();
	assert_non_null(strstr(said, "of itself"));
	assert_ptr_equal(box_module.data, (void *)(uintptr_t)places[0]);
	assert_int_equal(at(0)->boots, 7);
	assert_false(black_box_is(at(1), ROOM - BOX_HOST_SIZE));
}

/* A guest has the memory of the places behind, and can make a box with right sums
 * there: it is not listened to, also when the run had a clean end. */
static void forged(void **state)
{
	struct box_host *its = (void *)(uintptr_t)places[0];

	(void)state;
	for (unsigned clean = 0; clean < 2; clean++) {
		begin();
		leave(0, 3, "isthmus: PANIC in the hypervisor: of itself\n");
		its->end = clean ? BOX_CLEAN : 0;
		leave(1, 1000, "isthmus: PANIC in the hypervisor: made up\n");
		leave(3, 2000, "isthmus: PANIC in the hypervisor: made up\n");
		box_open();
		assert_null(strstr(said, "made up"));
		assert_int_equal(strstr(said, "of itself") != NULL, !clean);
		assert_int_equal(written, !clean);
		assert_int_equal(at(0)->boots, 4);
		/* nor by the boot after this one */
		assert_false(black_box_is(at(1), ROOM - BOX_HOST_SIZE));
		assert_false(black_box_is(at(3), ROOM - BOX_HOST_SIZE));
	}
}

static void no_place(void **state)
{
	(void)state;
	begin();
	memset(taken, 1, sizeof(taken));
	box_open();
	assert_non_null(strstr(said, "no memory for the black box"));
	assert_non_null(box_module.data);
	assert_int_equal(written, 0);
}

static int map(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PLACES; i++) {
		void *p = mmap((void *)(uintptr_t)places[i], ROOM, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (p != (void *)(uintptr_t)places[i]) {
			return -1;
		}
	}
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_place),
		cmocka_unit_test(another_place),
		cmocka_unit_test(forged),
		cmocka_unit_test(no_place),
	};

	return cmocka_run_group_tests(tests, map, NULL);
}
