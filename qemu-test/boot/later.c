/* SPDX-License-Identifier: MIT */
/*
 * Laid over the C library of an emulator: its time of day, by which its battery-
 * backed clock goes, is later by as many seconds as are in the file LATER_FILE, a
 * number of 64 bits that may change at any time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>

int gettimeofday(struct timeval *tv, void *zone)
{
	static int (*real)(struct timeval *, void *);
	static const volatile int64_t *later;
	int result;

	if (!real) {
		const char *name = getenv("LATER_FILE");
		int fd = open(name ? name : "", O_RDONLY | O_CLOEXEC);

		later = mmap(NULL, sizeof(*later), PROT_READ, MAP_SHARED, fd, 0);
		real = (int (*)(struct timeval *, void *))dlsym(RTLD_NEXT,
								"gettimeofday");
	}
	result = real(tv, zone);
	if (later != MAP_FAILED) {
		tv->tv_sec += *later;
	}
	return result;
}
