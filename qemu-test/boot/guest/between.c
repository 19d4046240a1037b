/* SPDX-License-Identifier: MIT */
/*
 * One end of a channel between two Linuxes, as a program has it (docs/manifest.md
 * "Several Linuxes"): "between TEXT" puts TEXT into the own section and says so in
 * the state word; "between" alone tells the other end's word and text.
 */
#include <fcntl.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../proto/channel_device.h"
#include "../../../hypervisor/include/abi/channel.h"

#define SAID	7u

/* The device's folder, with a slash; NULL: there is none. */
static char *find(void)
{
	static char path[256];
	char class[16] = "";
	glob_t all;

	glob("/sys/bus/pci/devices/*/class", 0, NULL, &all);
	for (size_t i = 0; i < all.gl_pathc; i++) {
		FILE *f = fopen(all.gl_pathv[i], "r");
		unsigned value = 0;

		if (f && fgets(class, sizeof(class), f) &&
		    sscanf(class, "%x", &value) == 1 &&
		    value == CHANNEL_PCI_CLASS_OTHER) {
			fclose(f);
			snprintf(path, sizeof(path), "%s", all.gl_pathv[i]);
			*strrchr(path, 'c') = '\0';
			return path;
		}
		if (f) {
			fclose(f);
		}
	}
	return NULL;
}

static int open_resource(const char *folder, int n)
{
	char path[300];

	snprintf(path, sizeof(path), "%sresource%d", folder, n);
	return open(path, O_RDWR);
}

int main(int argc, char **argv)
{
	const char *folder = find();
	uint32_t id = 0, word = SAID, size;
	const uint32_t *table;
	struct stat st;
	int ports, region;
	char *map;

	if (!folder) {
		puts("no such channel");
		return 1;
	}
	ports = open_resource(folder, 0);
	region = open_resource(folder, 2);
	if (ports < 0 || region < 0 || fstat(region, &st) ||
	    pread(ports, &id, 4, CHANNEL_IO_ID) != 4 || id > 1) {
		perror(folder);
		return 1;
	}
	map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		   region, 0);
	if (map == MAP_FAILED) {
		perror("resource2");
		return 1;
	}
	table = (const void *)map;
	size = table[CHANNEL_ST_OUTPUT_SIZE];
	if (argc > 1) {
		strcpy(map + CHANNEL_OUTPUT_OFFSET(id, size), argv[1]);
		return pwrite(ports, &word, 4, CHANNEL_IO_STATE) != 4;
	}
	printf("%u %s\n", table[CHANNEL_ST_STATE(1 - id)],
	       map + CHANNEL_OUTPUT_OFFSET(1 - id, size));
	return 0;
}
