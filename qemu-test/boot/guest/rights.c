/* SPDX-License-Identifier: MIT */
/*
 * rights DIR: changes files with set-user-ID and set-group-ID, by all that
 * changes them and as various users, and prints which of the two are left. What
 * is right is what ext4 answers in the same Linux: the test compares.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <sys/syscall.h>

#define OWNER	1000u
#define OTHER	1001u
#define GROUP	1002u		/* the file's */

enum how {
	WRITE, DIRECT, APPEND, CUT, OPEN_CUT, PATH_CUT, ALLOCATE, PUNCH, ZERO,
	COPY, CHGRP, HOWS
};

static const char *const how_text[HOWS] = {
	"write", "write past the cache", "append", "ftruncate", "O_TRUNC",
	"truncate", "fallocate", "punch a hole", "zero", "copy_file_range",
	"chgrp"
};

static char page[4096] __attribute__((aligned(4096)));

static long change(enum how how, const char *name)
{
	int f = open(name, O_RDWR | (how == DIRECT ? O_DIRECT :
				     how == APPEND ? O_APPEND :
				     how == OPEN_CUT ? O_TRUNC : 0));
	loff_t zero = 0;

	switch (how) {
	case WRITE:
	case DIRECT:
	case APPEND:
		return write(f, page, sizeof(page));
	case CUT:
		return ftruncate(f, 1);
	case PATH_CUT:
		return truncate(name, 1);
	case ALLOCATE:
		return fallocate(f, 0, 0, 100);
	case PUNCH:
		return fallocate(f, FALLOC_FL_PUNCH_HOLE |
				 FALLOC_FL_KEEP_SIZE, 0, 100);
	case ZERO:
		return fallocate(f, FALLOC_FL_ZERO_RANGE, 0, 100);
	case COPY:
		return copy_file_range(open("source", O_RDONLY), &zero, f,
				       &zero, sizeof(page), 0);
	case CHGRP:
		return chown(name, -1u, OWNER);
	default:
		return f;
	}
}

/* Root; the owner, in the file's group and not; somebody else with one capability,
 * to set what he likes, and with none. */
enum who { ROOT, MEMBER, STRANGER, MAY_SET, NOBODY, WHOS };

static int become(enum who who)
{
	struct __user_cap_header_struct head = {
		_LINUX_CAPABILITY_VERSION_3, 0
	};
	struct __user_cap_data_struct caps[2] = {
		{ 1u << CAP_FSETID, 1u << CAP_FSETID, 0 }, { 0 },
	};
	gid_t group = GROUP;

	if (who == ROOT) {
		return 0;
	}
	return setgroups(who == MEMBER, &group) || setgid(OWNER) ||
	       prctl(PR_SET_KEEPCAPS, who == MAY_SET) ||
	       setuid(who == MAY_SET || who == NOBODY ? OTHER : OWNER) ||
	       (who == MAY_SET && syscall(SYS_capset, &head, caps));
}

static void try_all(enum who who, mode_t mode)
{
	struct stat st;
	int status;

	for (enum how how = 0; how < HOWS; how++) {
		int f = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);

		if (f < 0 || write(f, page, sizeof(page)) < 0 ||
		    fchown(f, OWNER, GROUP) || fchmod(f, mode) || close(f)) {
			perror("file");
			exit(1);
		}
		fflush(stdout);
		if (fork() == 0) {
			status = become(who);
			errno = 0;
			_exit(status ? 255 :
			      change(how, "file") < 0 ? errno : 0);
		}
		wait(&status);
		stat("file", &st);
		printf("%d, %04o, %s: %s, %04o\n", who, mode, how_text[how],
		       strerror(WEXITSTATUS(status)), st.st_mode & 07777);
	}
}

int main(int argc, char **argv)
{
	static const mode_t modes[] = {
		06777, 06767, 06666, 02666, 02676, 04666, 0666
	};
	int f;

	if (argc != 2 || mkdir(argv[1], 0755) || chdir(argv[1])) {
		perror("rights");
		return 1;
	}
	umask(0);
	f = open("source", O_RDWR | O_CREAT, 0666);
	if (f < 0 || write(f, page, sizeof(page)) < 0) {
		perror("source");
		return 1;
	}
	for (enum who who = 0; who < WHOS; who++) {
		for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]);
		     i++) {
			try_all(who, modes[i]);
		}
	}
	printf("rights: done\n");
	return 0;
}
