/* SPDX-License-Identifier: MIT */
/* Users of files that anybody has written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "guest/init/user.h"

static struct user u;

static const char passwd[] =
	"root:x:0:0:root:/root:/bin/bash\n"
	"daemon:x:1:2::/usr/sbin:/usr/sbin/nologin\n"
	"# a comment\n"
	"ann:x:1000:1001:Ann,,,:/home/ann:\n"
	"ann:x:0:0:a second one:/:/bin/sh\n"
	"12:x:500:500::/twelve:/bin/sh\n"
	"bob:x:1002:1002::/home/bob:/bin/zsh";	/* without an end */
static const char group[] =
	"root:x:0:\n"
	"adm:x:4:ann,bob\n"
	"ann:x:1001:ann\n"
	"annex:x:6:anna,ban,an,nn\n"
	"docker:x:999:bob,ann\n"
	"last:x:7:,,ann";

static bool find(const char *text, const char *who)
{
	return user_find(text, strlen(text), who, &u);
}

static void by_name(void **state)
{
	(void)state;
	assert_true(find(passwd, "ann"));
	assert_int_equal(u.uid, 1000);
	assert_int_equal(u.gid, 1001);
	assert_string_equal(u.home, "/home/ann");
	assert_string_equal(u.shell, "/bin/sh");
	user_groups(group, sizeof(group) - 1, &u);
	assert_int_equal(u.group_count, 4);
	assert_int_equal(u.groups[0], 1001);
	assert_int_equal(u.groups[1], 4);
	assert_int_equal(u.groups[2], 999);
	assert_int_equal(u.groups[3], 7);
	assert_true(find(passwd, "bob"));
	assert_string_equal(u.shell, "/bin/zsh");
	assert_false(find(passwd, "an"));
	assert_false(find(passwd, "anna"));
	assert_false(find(passwd, ""));
	assert_false(find(passwd, "# a comment"));
	assert_false(find(passwd, "ann:x"));
}

static void by_number(void **state)
{
	(void)state;
	assert_true(find(passwd, "1000"));
	assert_string_equal(u.name, "ann");
	assert_true(find(passwd, "1000:4"));
	assert_int_equal(u.gid, 4);
	assert_string_equal(u.home, "/home/ann");
	user_groups(group, sizeof(group) - 1, &u);
	assert_int_equal(u.group_count, 1);
	assert_int_equal(u.groups[0], 4);
	/* A number is one, whoever is called so. */
	assert_true(find(passwd, "12"));
	assert_int_equal(u.uid, 12);
	assert_int_equal(u.gid, 12);
	assert_string_equal(u.home, "/");
	assert_string_equal(u.name, "");
	user_groups(group, sizeof(group) - 1, &u);
	assert_int_equal(u.group_count, 1);
	/* -1 is nobody's, and leaves as it is who one was. */
	assert_false(find(passwd, "4294967295"));
	assert_false(find(passwd, "1000:4294967295"));
	assert_false(find(passwd, "99999999999"));
	assert_false(find(passwd, "1000:"));
	assert_false(find(passwd, ":4"));
	assert_false(find(passwd, "-1"));
	assert_true(find(passwd, "4294967294"));
}

static void root_is_always_there(void **state)
{
	(void)state;
	assert_true(find("", "root"));
	assert_int_equal(u.uid, 0);
	assert_string_equal(u.home, "/root");
	assert_string_equal(u.shell, "/bin/sh");
	assert_true(find(passwd, "root"));
	assert_string_equal(u.shell, "/bin/bash");
	/* By name another line may make him less. */
	assert_true(find("root:x:5:5::/x:/bin/sh\n", "root"));
	assert_int_equal(u.uid, 5);
}

/* None of these is a user. */
static void wrong_lines(void **state)
{
	static const char *const wrong[] = {
		"eve", "eve:", "eve:x", "eve:x:0", "eve:x:0:0", "eve:x:0:0:",
		"eve:x:0:0::/", "eve:x:0:0::/:/bin/sh:more", "eve:x::0::/:/bin/sh",
		"eve:x:0:::/:/bin/sh", "eve:x:-1:0::/:/bin/sh",
		"eve:x:+1:0::/:/bin/sh", "eve:x: 1:0::/:/bin/sh",
		"eve:x:0x1:0::/:/bin/sh", "eve:x:4294967295:0::/:/bin/sh",
		"eve:x:4294967296:0::/:/bin/sh", "eve:x:1:4294967295::/:/bin/sh",
		"eve:x:18446744073709551616:0::/:/bin/sh",
		"eve:x:1:1::home:/bin/sh", "eve:x:1:1::/:sh", " eve:x:1:1::/:/bin/sh",
		"+eve:x:1:1::/:/bin/sh", "",
	};
	static const char two[] = "eve:x:0:0:\0:/:/bin/sh\n"
				  "eve:x:3:3::/:/bin/sh";

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_false(find(wrong[i], "eve"));
	}
	/* Nor where a NUL is in the line; the next is one. */
	assert_true(user_find(two, sizeof(two) - 1, "eve", &u));
	assert_int_equal(u.uid, 3);
}

static void long_lines(void **state)
{
	static char text[70000], name[100];

	(void)state;
	for (unsigned len = 250; len < 260; len++) {
		memset(name, 0, sizeof(name));
		snprintf(text, sizeof(text), "eve:x:1:1::/%0*d:/bin/sh\n",
			 (int)len - 1, 0);
		assert_int_equal(find(text, "eve"), len <= USER_TEXT_MAX);
		snprintf(text, sizeof(text), "eve:x:1:1::/:/%0*d\n",
			 (int)len - 1, 0);
		assert_int_equal(find(text, "eve"), len <= USER_TEXT_MAX);
	}
	for (unsigned len = 30; len < 36; len++) {
		memset(name, 'e', len);
		snprintf(text, sizeof(text), "%s:x:1:1::/:/bin/sh\n", name);
		assert_int_equal(find(text, name), len <= USER_NAME_MAX);
	}
	memset(text, ':', sizeof(text) - 1);
	assert_false(find(text, "eve"));
	memset(text, '\n', sizeof(text) - 1);
	assert_false(find(text, "eve"));
}

/* More groups than there is room for. */
static void many_groups(void **state)
{
	static char text[20 * 1000];
	size_t len = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"g:x:%u:bob\n", 2000 + i);
	}
	assert_true(find(passwd, "bob"));
	user_groups(text, len, &u);
	assert_int_equal(u.group_count, USER_GROUPS_MAX);
	assert_int_equal(u.groups[1], 2000);
	assert_int_equal(u.groups[USER_GROUPS_MAX - 1], 2254);
}

/* Whatever it is: the sanitizers watch. */
static void any_bytes(void **state)
{
	char text[200], *copy;

	(void)state;
	srandom(3);
	for (int round = 0; round < 100000; round++) {
		size_t len = (size_t)random() % sizeof(text);

		for (size_t i = 0; i < len; i++) {
			text[i] = "::::\n,x019/ann\0\xff"[random() % 16];
		}
		copy = malloc(len + 1);		/* its end is watched */
		memcpy(copy, text, len);
		copy = realloc(copy, len ? len : 1);
		if (user_find(copy, len, random() % 2 ? "ann" : "1", &u)) {
			user_groups(copy, len, &u);
		}
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_name),
		cmocka_unit_test(by_number),
		cmocka_unit_test(root_is_always_there),
		cmocka_unit_test(wrong_lines),
		cmocka_unit_test(long_lines),
		cmocka_unit_test(many_groups),
		cmocka_unit_test(any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
