/* SPDX-License-Identifier: MIT */
/*
 * The command "fsck": the volume, looked at piece by piece while others use it. A
 * piece waits for its blocks as any call of the volume's; between two of them the
 * loop runs.
 */
#include <stdio.h>
#include <string.h>

#include "host-bridge/fs/volume_call.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/console.h"

#define SHOWN	50u		/* of what is found; the rest is counted */

static void report(const struct volume_fsck *check)
{
	printf("%u groups, %llu inodes, %llu blocks of files: %llu things are "
	       "wrong\n", (unsigned)check->groups,
	       (unsigned long long)check->inodes,
	       (unsigned long long)check->blocks,
	       (unsigned long long)check->found);
	if (check->nameless > 0) {
		printf("%llu files without a name: open, or left by a crash\n",
		       (unsigned long long)check->nameless);
	}
	if (check->skipped > 0) {
		printf("%llu files without extents, whose blocks were not "
		       "looked at\n", (unsigned long long)check->skipped);
	}
}

static void run_fsck(const struct command_env *env, int argc, char **argv,
		     const char *rest)
{
	struct volume_fsck check = { 0 };
	int error = 0;

	(void)argc;
	(void)argv;
	(void)rest;
	if (!env->volume) {
		printf("there is no volume\n");
		return;
	}
	while (!check.done && error == 0 && console_go_on()) {
		uint64_t before = check.found;

		error = VOLUME_CHANGE(env->turns,
				      volume_fsck(env->volume, &check));
		if (error == 0 && before < SHOWN) {
			printf("%s", check.text);
		}
	}
	volume_fsck_end(env->volume, &check);
	if (error != 0) {
		printf("it cannot be looked at any further: %s\n",
		       strerror(error));
	} else if (!check.done) {
		printf("interrupted\n");
	}
	report(&check);
}

const struct command commands_fsck[] = {
	{ "fsck", "", "look whether the volume agrees with itself",
	  "  Checksums, descriptors, bitmaps and what they count, each inode's\n"
	  "  blocks: that there are such, that they are marked as used and that\n"
	  "  nobody else has them; that each file has as many names as links. Not:\n"
	  "  blocks that nobody has. Nothing is mended; ctrl-c ends it.\n",
	  0, 0, run_fsck, NULL },
	{ 0 }
};
