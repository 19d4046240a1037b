/* SPDX-License-Identifier: MIT */
/* The console's `watch` on the volume: changes are made where a command's loop
 * would run, and the lines are looked at. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/agent/agent.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/commands_linux.h"
#include "host-bridge/ui/commands_watch.h"
#include "host-bridge/ui/console.h"
#include "qemu-test/unit/volume_fixture.h"

static struct fixture f;
static uint32_t dir, other, file;
static void (*const *step)(void);	/* what happens next */
static bool more;			/* steps, and then ctrl-c */
static bool changing;			/* a step is being done */

int __real_volume_readdir(struct volume *vol, uint32_t dir_ino, uint64_t cookie,
			  bool (*fn)(void *, const struct volume_entry *),
			  void *arg);
int __wrap_volume_readdir(struct volume *vol, uint32_t dir_ino, uint64_t cookie,
			  bool (*fn)(void *, const struct volume_entry *),
			  void *arg);

/* While others run the directory may have to be read from a disk. */
int __wrap_volume_readdir(struct volume *vol, uint32_t dir_ino, uint64_t cookie,
			  bool (*fn)(void *, const struct volume_entry *),
			  void *arg)
{
	return changing ? EAGAIN :
	       __real_volume_readdir(vol, dir_ino, cookie, fn, arg);
}

bool console_go_on(void)
{
	if (*step) {
		changing = true;
		(*step++)();
		changing = false;
		return true;
	}
	return more;
}

void loop_step(uint64_t deadline)
{
	assert_int_equal(deadline, LOOP_FOREVER);
	more = false;
}

bool place_in_linux(const char *path)
{
	return strncmp(path, "linux:", 6) == 0;
}

const char *place_path(const char *path)
{
	return path + 6;
}

const struct command_env *commands_linux_find(const struct command_env *env,
					      const char *name)
{
	assert_true(place_in_linux(name));
	return env;
}

bool commands_linux_wait(const struct command_env *env)
{
	(void)env;
	return true;
}

enum agent_result agent_run(struct agent *agent, const char *const *fields,
			    enum agent_mode mode, uint32_t *status)
{
	(void)agent;
	(void)mode;
	assert_string_equal(fields[0], "watch");
	printf("<%s>\n", fields[1]);
	*status = 0;
	return AGENT_EXITED;
}

const char *agent_error(const struct agent *agent)
{
	(void)agent;
	return "";
}

static void make(void)
{
	file = new_file(f.vol, dir, "a");
	(void)new_file(f.vol, other, "elsewhere");
}

static void modify(void)
{
	put(f.vol, file, 0, "x", 1);
	put(f.vol, file, 1, "x", 1);
	put(f.vol, find(f.vol, other, "elsewhere"), 0, "x", 1);
}

static void rename_it(void)
{
	assert_int_equal(move(f.vol, dir, "a", dir, "b"), 0);
	assert_int_equal(move(f.vol, dir, "b", other, "c"), 0);
	put(f.vol, file, 0, "y", 1);
	assert_int_equal(move(f.vol, other, "c", dir, "d"), 0);
}

static void attributes(void)
{
	struct volume_attr attr = { .mode = 0600 };

	assert_int_equal(volume_setattr(f.vol, file, VOLUME_SET_MODE, &attr),
			 0);
	assert_int_equal(volume_setattr(f.vol, dir, VOLUME_SET_MODE, &attr), 0);
}

static void delete_it(void)
{
	assert_int_equal(volume_unlink(f.vol, dir, NAME("d")), 0);
	(void)new_file(f.vol, dir, "e\x1b[1m");
	assert_int_equal(volume_unlink(f.vol, dir, NAME("e\x1b[1m")), 0);
}

/* Of two names of one file it is the one that is there. */
static void link_it(void)
{
	assert_int_equal(volume_link(f.vol, file, dir, NAME("hard")), 0);
	assert_int_equal(volume_unlink(f.vol, dir, NAME("d")), 0);
	put(f.vol, file, 0, "z", 1);
	assert_int_equal(volume_rename(f.vol, dir, NAME("hard"), dir, NAME("d"),
				       0), 0);
}

static void exchange(void)
{
	uint32_t second = new_file(f.vol, dir, "second");

	assert_int_equal(volume_rename(f.vol, dir, NAME("second"), dir,
				       NAME("d"), VOLUME_RENAME_EXCHANGE), 0);
	put(f.vol, second, 0, "z", 1);
	put(f.vol, file, 0, "z", 1);
	assert_int_equal(volume_rename(f.vol, dir, NAME("second"), dir,
				       NAME("d"), 0), 0);
	put(f.vol, file, 0, "z", 1);
}

static void delete_all(void)
{
	assert_int_equal(volume_rmdir(f.vol, ROOT, NAME("dir")), 0);
}

static void many(void)
{
	char name[16];

	for (unsigned i = 0; i < 7000; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		(void)new_file(f.vol, dir, name);
	}
}

/* Runs the command with steps, the last of them NULL; what it printed. */
static char *watch(const char *path, void (*const *steps)(void))
{
	struct command_env env = { .volume = f.vol };
	char *argv[] = { "watch", (char *)path, NULL };
	FILE *old = stdout;
	char *text = NULL;
	size_t len;

	step = steps;
	more = true;
	stdout = open_memstream(&text, &len);
	commands_watch(&env, 2, argv, path);
	fclose(stdout);
	stdout = old;
	return text;
}

static int setup(void **state)
{
	(void)state;
	fixture_open(&f, 16, "-N 8192");
	dir = new_dir(f.vol, ROOT, "dir");
	other = new_dir(f.vol, ROOT, "other");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_check(&f);
	fixture_close(&f);
	return 0;
}

static void a_directory(void **state)
{
	static void (*const steps[])(void) = {
		make, modify, rename_it, attributes, delete_it, delete_all,
		NULL,
	};
	char *text = watch("dir", steps);

	(void)state;
	assert_string_equal(text, "watching dir; ctrl-c ends it\n"
			    "create a\nmodify a\nmove   a -> b\n"
			    "move   b -> \nmove    -> d\n"
			    "attrib d\nattrib .\ndelete d\n"
			    "create e?[1m\ndelete e?[1m\nattrib .\n"
			    "delete .\n");
	free(text);
}

static void names_that_change(void **state)
{
	static void (*const steps[])(void) = { make, rename_it, link_it, exchange,
					       NULL };
	char *text = watch("dir", steps);

	(void)state;
	assert_string_equal(text, "watching dir; ctrl-c ends it\n"
			    "create a\nmove   a -> b\nmove   b -> \n"
			    "move    -> d\nattrib d\ncreate hard\n"
			    "attrib hard\ndelete d\nmodify hard\n"
			    "move   hard -> d\ncreate second\n"
			    "move   second -> d\nmove   d -> second\n"
			    "modify d\nmodify second\n"
			    "move   second -> d\nmodify d\n");
	free(text);
}

static void a_file(void **state)
{
	static void (*const steps[])(void) = {
		modify, rename_it, attributes, delete_it, NULL,
	};
	char *text;

	(void)state;
	make();
	text = watch("dir/a", steps);
	assert_non_null(strstr(text, "ends it\nmodify .\nmove   .\n"));
	assert_non_null(strstr(text, "attrib .\n"));
	assert_non_null(strstr(text, "delete .\n"));
	free(text);
}

static void too_much(void **state)
{
	static void (*const steps[])(void) = { many, NULL };
	char *text = watch("dir", steps);

	(void)state;
	assert_non_null(strstr(text, "create n0\n"));
	assert_null(strstr(text, "create n6999\n"));
	assert_string_equal(text + strlen(text) - strlen("events were lost\n"),
			    "events were lost\n");
	free(text);
}

static void what_is_not_there(void **state)
{
	static void (*const steps[])(void) = { NULL };
	char *text = watch("none", steps);

	(void)state;
	assert_string_equal(text, "none: No such file or directory\n");
	free(text);
	text = watch("linux:/x", steps);
	assert_string_equal(text, "</x>\n");
	free(text);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(a_directory), TEST(names_that_change), TEST(a_file),
		TEST(too_much), TEST(what_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
