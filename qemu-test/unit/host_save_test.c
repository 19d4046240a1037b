/* SPDX-License-Identifier: MIT */
/*
 * The first page of a saved template (guest/linux_save.c): what was written is read;
 * whatever else is there is refused, each field by itself, whether or not the
 * checksum is right; and what is of another machine is told as what it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/guest/linux_save.h"
#include "host-bridge/rt/crc32c.h"

#define HZ	2000000000ull
#define S	1000000000ll

static uint8_t page[LINUX_SAVE_PAGE];

static struct linux_save sample(void)
{
	struct linux_save s;

	memset(&s, 0, sizeof(s));
	s.ram = 128 << 20;
	s.pages = 5000;
	s.data_crc = 0x12345678;
	s.vcpus = 2;
	s.channels = 2;
	s.output_size[0] = 65536;
	s.output_size[1] = 4096;
	s.host[0] = 1;
	strcpy(s.name, "a");
	s.tsc_hz = HZ;
	s.began_ns = 1700000000 * S;
	s.age_ns = 60 * S;
	for (unsigned i = 0; i < LINUX_SAVE_CPU; i++) {
		s.cpu[i] = 0x100 + i;
	}
	memset(s.io, 7, sizeof(s.io));
	return s;
}

/* The checksum of a page that somebody else has made is right, too. */
static void sign(void)
{
	const uint32_t none = 0;
	const size_t at = offsetof(struct linux_save, crc);
	uint32_t crc;

	memcpy(page + at, &none, 4);
	crc = crc32c(~0u, page, sizeof(page));
	memcpy(page + at, &crc, 4);
}

static void round_trip(void **state)
{
	struct linux_save s = sample(), got;

	(void)state;
	linux_save_write(&s, page);
	assert_null(linux_save_read(&got, page));
	assert_memory_equal(&s, &got, sizeof(s));
	sign();
	assert_null(linux_save_read(&got, page));
}

/* Each bit of the page. */
static void damaged(void **state)
{
	struct linux_save s = sample(), got;

	(void)state;
	linux_save_write(&s, page);
	for (unsigned bit = 0; bit < 8 * sizeof(page); bit++) {
		page[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_non_null(linux_save_read(&got, page));
		page[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	/* cut off, the rest zeros */
	for (size_t len = 0; len < sizeof(s); len++) {
		uint8_t cut[LINUX_SAVE_PAGE] = { 0 };

		memcpy(cut, page, len);
		if (memcmp(cut, page, sizeof(page)) != 0) {
			assert_non_null(linux_save_read(&got, cut));
		}
	}
	assert_null(linux_save_read(&got, page));
}

#define REFUSED(field, value, why) do {					\
	struct linux_save s_ = sample(), got_;				\
	const char *said_;						\
									\
	linux_save_write(&s_, page);					\
	s_.field = (value);						\
	memcpy(page, &s_, sizeof(s_));					\
	sign();								\
	said_ = linux_save_read(&got_, page);				\
	assert_non_null(said_);						\
	assert_non_null(strstr(said_, why));				\
} while (0)

static void refused(void **state)
{
	struct linux_save s = sample(), got;

	(void)state;
	REFUSED(magic[0], 'X', "no saved template");
	REFUSED(version, LINUX_SAVE_VERSION + 1, "another version");
	REFUSED(record, 0, "another version");
	REFUSED(ram, 0, "cannot be");
	REFUSED(ram, 4097, "cannot be");
	REFUSED(ram, UINT64_MAX & ~4095ull, "cannot be");
	REFUSED(pages, (128 << 20) / 4096 + 1, "cannot be");
	REFUSED(vcpus, 0, "cannot be");
	REFUSED(vcpus, 9, "cannot be");
	REFUSED(channels, CHANNEL_GUEST_MAX + 1, "cannot be");
	REFUSED(channels, UINT32_MAX, "cannot be");
	REFUSED(host[1], 2, "cannot be");
	REFUSED(tsc_hz, 0, "cannot be");
	REFUSED(age_ns, -1, "cannot be");
	REFUSED(age_ns, INT64_MAX, "cannot be");
	REFUSED(name[0], '\033', "cannot be");
	REFUSED(name[0], (char)0x9b, "cannot be");
	/* a name without an end */
	memset(s.name, 'n', sizeof(s.name));
	linux_save_write(&s, page);
	assert_non_null(linux_save_read(&got, page));
	/* something behind what is known */
	s = sample();
	linux_save_write(&s, page);
	page[LINUX_SAVE_PAGE - 1] = 1;
	sign();
	assert_non_null(strstr(linux_save_read(&got, page), "does not know"));
}

#define DIFFERS(field, value, what) do {				\
	struct linux_save a_ = sample(), b_ = sample();			\
	const char *said_;						\
									\
	a_.field = (value);						\
	said_ = linux_save_differs(&a_, &b_, text);			\
	assert_non_null(said_);						\
	assert_non_null(strstr(said_, what));				\
	assert_non_null(linux_save_differs(&b_, &a_, text));		\
} while (0)

static void another_machine(void **state)
{
	char text[LINUX_SAVE_WHY];
	struct linux_save a = sample(), b = sample();

	(void)state;
	/* its name, time and devices are not the machine's */
	strcpy(b.name, "other");
	b.began_ns = b.age_ns = 0;
	memset(b.io, 0, sizeof(b.io));
	b.tsc_hz += b.tsc_hz / 200;
	assert_null(linux_save_differs(&a, &b, text));
	for (unsigned i = 0; i < LINUX_SAVE_CPU; i++) {
		DIFFERS(cpu[i], 1, "another processor: CPUID leaf");
	}
	DIFFERS(cpu[6], 0x1, "leaf 7 EBX was 0x1 there and is 0x106 here");
	DIFFERS(tsc_hz, HZ * 2, "TSC counts 4000000 kHz");
	DIFFERS(ram, 96 << 20, "96 MiB and 2 vCPUs, which here has 128 MiB");
	DIFFERS(vcpus, 1, "128 MiB and 1 vCPUs");
	DIFFERS(channels, 1, "other channels");
	DIFFERS(output_size[1], 8192, "other channels");
	DIFFERS(host[0], 0, "other channels");
}

/* Its clock goes on as if it had been off its processors. */
static void times(void **state)
{
	struct linux_save s = sample();
	uint64_t start;

	(void)state;
	assert_null(linux_save_start(&s, HZ, s.began_ns + 100 * S, 7, &start));
	assert_true(start == 7 - 100 * HZ);
	/* a clock that is behind: as long as it had run */
	assert_null(linux_save_start(&s, HZ, s.began_ns + 1, 7, &start));
	assert_true(start == 7 - 60 * HZ);
	assert_null(linux_save_start(&s, HZ, 0, 7, &start));
	assert_true(start == 7 - 60 * HZ);
	s.began_ns = INT64_MIN;
	assert_null(linux_save_start(&s, HZ, INT64_MAX, 7, &start));
	s.began_ns = 0;
	assert_non_null(strstr(linux_save_start(&s, HZ, 40ll * 366 * 86400 * S,
						7, &start), "30 years"));
	assert_null(linux_save_start(&s, HZ, 29ll * 366 * 86400 * S, 0,
				     &start));
	assert_true(start == -(29ull * 366 * 86400 * HZ));
}

/* Any bytes with a right checksum. */
static void anything(void **state)
{
	struct linux_save s, got, here = sample();
	char text[LINUX_SAVE_WHY];
	unsigned taken = 0;
	uint64_t start;

	(void)state;
	srand(1);
	for (unsigned i = 0; i < 200000; i++) {
		s = sample();
		linux_save_write(&s, page);
		for (int k = rand() % 4; k >= 0; k--) {
			page[(size_t)rand() % sizeof(s)] = (uint8_t)rand();
		}
		sign();
		if (!linux_save_read(&got, page)) {
			taken++;
			(void)linux_save_differs(&got, &here, text);
			(void)linux_save_start(&got, HZ, rand(), 1, &start);
			assert_true(got.vcpus <= 8 && got.channels <= 4);
			assert_true(linux_save_memory(&got, got.ram) >
				    got.ram);
		}
	}
	assert_in_range(taken, 1000, 190000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip), cmocka_unit_test(damaged),
		cmocka_unit_test(refused), cmocka_unit_test(another_machine),
		cmocka_unit_test(times), cmocka_unit_test(anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
