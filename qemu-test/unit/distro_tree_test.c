/* SPDX-License-Identifier: MIT */
/*
 * Trees that are copied and compared: 7,000 entries of every kind, a copy that is
 * killed again and again and gone on with, an original that has changed meanwhile.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "qemu-test/unit/distro_made.h"

#define KILLS	25u

static void test_copy(void **state)
{
	struct stat before, after;

	(void)state;
	made_need();
	made_copy();
	assert_int_equal(made_trees.done.files, MADE_ENTRIES);
	assert_int_equal(fstatat(made.to, made.file, &before, 0), 0);
	assert_int_equal(made_compare(), 0);
	/* A second one keeps all that is there. */
	made_copy();
	assert_int_equal(fstatat(made.to, made.file, &after, 0), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(before.st_ctim.tv_nsec, after.st_ctim.tv_nsec);
}

/* Whatever a kill leaves, the next copy goes on with. */
static void test_killed(void **state)
{
	unsigned kills = 0;

	(void)state;
	made_need();
	made_empty();
	for (unsigned i = 0; i < 4 * KILLS && kills < KILLS; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			made_trees.root = made.to;
			_exit(distro_tree_copy(&made_trees, made.from) ? 0 : 1);
		}
		usleep((useconds_t)made_any(60000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
		kills += WIFSIGNALED(status);
	}
	assert_true(kills > 3);
	made_copy();
	assert_int_equal(made_compare(), 0);
}

/* Where a copy was begun, the original has changed since. */
static void test_changed(void **state)
{
	(void)state;
	made_need();
	made_copy();
	assert_int_equal(mkdirat(made.from, "later", 0755), 0);
	made_fill("later/one", 2, 0);
	assert_int_equal(linkat(made.from, "later/one", made.from, "later/two", 0), 0);
	made_copy();
	assert_int_equal(made_compare(), 0);
	/* A folder is a file, a file a folder, two names one less. */
	assert_true(distro_tree_clear(made.from, "later"));
	made_fill("later", 1, 0);
	assert_int_equal(unlinkat(made.from, "later", 0), 0);
	assert_int_equal(mkdirat(made.from, "later", 0700), 0);
	assert_int_equal(symlinkat("x", made.from, "later/x"), 0);
	made_copy();
	assert_int_equal(made_compare(), 0);
	assert_int_equal(distro_tree_clear(made.from, "later"), 1);
	made_copy();
	assert_int_equal(made_compare(), 0);
	assert_int_equal(faccessat(made.to, "later", F_OK, 0), -1);
}

/* What chattr has made unchangeable goes, too. */
static void test_unchangeable(void **state)
{
	char command[200];

	(void)state;
	made_need();
	assert_int_equal(mkdirat(made.to, "some", 0700), 0);
	assert_int_equal(mknodat(made.to, "some/file", S_IFREG | 0600, 0), 0);
	snprintf(command, sizeof(command), "cd %s/%s/some && chattr +i file && "
		 "chattr +a .", made.where, made.new);
	assert_int_equal(system(command), 0);
	made_empty();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_unchangeable),
	};

	return cmocka_run_group_tests(tests, made_set_up, made_take_down);
}
