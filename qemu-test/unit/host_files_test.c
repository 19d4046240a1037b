/* SPDX-License-Identifier: MIT */
/*
 * Commands on files that somebody interrupts while Linux is asked: ctrl-c ends
 * the command, not one of its questions. Linux has COUNT files; the look at one
 * of them, or its removal, is where ctrl-c comes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "host-bridge/guest/linux.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/commands_linux.h"
#include "host-bridge/ui/console.h"
#include "host-bridge/ui/places.h"

#define COUNT	5u
#define AT	2u		/* where it goes wrong */

static unsigned asked;
static int wrong;		/* with this */

static int ask(const char *path)
{
	assert_true(place_in_linux(path));
	return asked++ == AT ? wrong : 0;
}

bool place_in_linux(const char *path)
{
	return strchr(path, ':') != NULL;
}

const char *place_path(const char *path)
{
	return strchr(path, ':') + 1;
}

int place_stat(const struct places *places, const char *path, bool follow,
	       struct place_stat *st)
{
	(void)places;
	(void)follow;
	*st = (struct place_stat){ .side = st, .mode = 0100644 };
	return ask(path);
}

int place_list(const struct places *places, const char *path,
	       bool (*fn)(void *arg, const char *name, size_t len), void *arg)
{
	(void)places;
	(void)path;
	for (unsigned i = 0; i < COUNT; i++) {
		char name = (char)('a' + i);

		assert_true(fn(arg, &name, 1));
	}
	return 0;
}

int place_remove(const struct places *places, const char *path)
{
	(void)places;
	return ask(path);
}

int place_rename(const struct places *places, const char *from,
		 const char *to)
{
	(void)places;
	(void)to;
	return ask(from);
}

int place_mkdir(const struct places *places, const char *path)
{
	(void)places;
	return ask(path);
}

int place_open(const struct places *places, const char *path, bool create,
	       struct place_file *file)
{
	(void)places;
	(void)path;
	(void)create;
	(void)file;
	return EIO;
}

int place_read(struct place_file *file, uint64_t offset, void *buf,
	       size_t len, size_t *done)
{
	(void)file;
	(void)offset;
	(void)buf;
	(void)len;
	(void)done;
	return EIO;
}

int place_write(struct place_file *file, uint64_t offset, const void *buf,
		size_t len, size_t *done)
{
	return place_read(file, offset, (void *)(uintptr_t)buf, len, done);
}

void place_close(struct place_file *file)
{
	(void)file;
}

const struct command_env *commands_linux_find(const struct command_env *env,
					      const char *name)
{
	(void)name;
	return env;
}

const struct command_env *commands_linux_named(const struct command_env *env,
					       const char *name)
{
	return commands_linux_find(env, name);
}

void commands_linux_names(const struct command_env *env, struct completion *c,
			  const char *end)
{
	(void)env;
	(void)c;
	(void)end;
}

bool commands_linux_wait(const struct command_env *env)
{
	(void)env;
	return true;
}

bool linux_ready(const struct guest *guest)
{
	(void)guest;
	return true;
}

bool console_go_on(void)
{
	return true;
}

bool console_interrupted(void)
{
	return false;
}

void loop_step(uint64_t deadline)
{
	(void)deadline;
}

uint64_t loop_uptime_ms(void)
{
	return 0;
}

/* How many files the command asks about when the one at AT goes wrong so. */
static unsigned asks(const char *command, int error)
{
	char name[] = "c", file[] = "linux:/f", folder[] = "linux:/";
	char *argv[] = { name, file, file, file, file, file };
	const struct command_env env = { 0 };
	const struct command *c = commands_files;

	while (strcmp(c->name, command) != 0) {
		c++;
		assert_non_null(c->name);
	}
	asked = 0;
	wrong = error;
	if (strcmp(command, "ls") == 0) {
		argv[1] = folder;
		c->run(&env, 2, argv, "");
	} else {
		c->run(&env, 1 + COUNT, argv, "");
	}
	return asked;
}

static void ctrl_c_ends_the_command(void **state)
{
	static const char *const commands[] = { "ls", "rm", "mkdir" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(asks(commands[i], EINTR), AT + 1);
		/* Other errors are a line, and the others' turn. */
		assert_int_equal(asks(commands[i], ENOENT), COUNT);
		assert_int_equal(asks(commands[i], 0), COUNT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ctrl_c_ends_the_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
