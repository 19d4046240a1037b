/* SPDX-License-Identifier: MIT */
/*
 * The command "vdisk": the disks that Linux has of the host.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/guest/linux.h"
#include "host-bridge/nbd/nbd_server.h"
#include "host-bridge/ui/commands.h"

#define MIB	(1ull << 20)

/* Of one Linux; returns how many. */
static unsigned list_of(const struct command_env *env)
{
	const struct nbd_disk *disk = NULL;
	unsigned i;

	for (i = 0; env->disks &&
	     (disk = nbd_service_get(env->disks, i)); i++) {
		printf("  %-12s%s%s %8llu MiB  %s, %llu reads (%llu KiB), "
		       "%llu writes (%llu KiB), %llu flushes, %llu errors\n",
		       disk->name, env->count > 1 ? " of " : "",
		       env->count > 1 ? env->guest->want->name : "",
		       (unsigned long long)(disk->store->size / MIB),
		       disk->users > 0 ? "in use" : "not in use",
		       (unsigned long long)disk->reads,
		       (unsigned long long)disk->read_bytes >> 10,
		       (unsigned long long)disk->writes,
		       (unsigned long long)disk->written_bytes >> 10,
		       (unsigned long long)disk->flushes,
		       (unsigned long long)disk->errors);
	}
	return i;
}

static void list(const struct command_env *env)
{
	unsigned found = 0;

	for (unsigned i = 0; i < env->count; i++) {
		found += list_of(&env->all[i]);
	}
	if (found == 0) {
		printf("Linux has no disk: the manifest names none\n");
	}
}

/* Whose the disk of that name is, and its index there; NULL: nobody's. No two
 * have one name. */
static struct nbd_service *find(const struct command_env *env,
				const char *name, unsigned *index)
{
	const struct nbd_disk *disk;

	for (unsigned k = 0; k < env->count; k++) {
		struct nbd_service *of = env->all[k].disks;

		for (*index = 0; of && (disk = nbd_service_get(of, *index));
		     ++*index) {
			if (strcmp(disk->name, name) == 0) {
				return of;
			}
		}
	}
	return NULL;
}

/**
 * Makes a disk of Linux's larger: its name, and MiB as they were typed. What
 * becomes of it is printed.
 */
void commands_vdisk_grow(const struct command_env *env, const char *name,
			 const char *text)
{
	unsigned index;
	struct nbd_service *of = find(env, name, &index);
	int error;
	char *end;
	unsigned long long mib = strtoull(text, &end, 10);

	if (!of) {
		printf("Linux has no disk \"%s\"\n", name);
		return;
	}
	if (*end != '\0' || end == text || mib > UINT64_MAX / MIB) {
		printf("\"%s\" is no number of MiB\n", text);
		return;
	}
	error = nbd_file_grow(nbd_service_get(of, index)->store, mib * MIB);
	if (error != 0) {
		printf("%s: %s\n", name, error == EINVAL
		       ? "a disk can only become larger" : error == ENOTSUP
		       ? "a disk of the machine's, or a part of one, keeps its size"
		       : strerror(error));
		return;
	}
	nbd_service_resized(of, index);
	printf("%s has %llu MiB now\n", name, mib);
}

static void run_vdisk(const struct command_env *env, int argc, char **argv,
		      const char *rest)
{
	(void)rest;
	if (argc == 1) {
		list(env);
	} else if (argc == 4 && strcmp(argv[1], "grow") == 0) {
		commands_vdisk_grow(env, argv[2], argv[3]);
	} else {
		printf("usage: vdisk [grow NAME MIB]\n");
	}
}

static void complete_vdisk(const struct command_env *env,
			   struct completion *c)
{
	(void)env;
	completion_add(c, "grow", 4);
}

const struct command commands_vdisk[] = {
	{ "vdisk", "[grow NAME MIB]", "the disks that Linux has of the host",
	  "  Each is a file of the volume, or a disk of the machine's or a part\n"
	  "  of one; the manifest says which. Without arguments: their size\n"
	  "  and what was done with them.\n"
	  "  grow  makes one larger, while Linux uses it\n",
	  0, 3, run_vdisk, complete_vdisk },
	{ 0 }
};
