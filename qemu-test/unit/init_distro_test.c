/* SPDX-License-Identifier: MIT */
/*
 * Distributions: what names are taken for one, their settings, how an init is asked
 * to end, how much memory there is for one, and the lines of hosts.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "guest/init/distro.h"

#define LONGEST	"a234567890123456789012345678901"	/* 31 */

static void test_names(void **state)
{
	static const char *const good[] = {
		"a", "debian", "debian-12.5", "a.", LONGEST,
	};
	static const char *const bad[] = {
		"", "1a", ".", "..", "-a", "A", "a/b", "a b", "a,b", "a\n",
		"../a", "\xc3\xa4", LONGEST "2",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_true(distro_name_ok(good[i]));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_false(distro_name_ok(bad[i]));
	}
	assert_true(distro_user_ok("1000"));
	assert_true(distro_user_ok("Fred_x.y-z"));
	assert_false(distro_user_ok(""));
	assert_false(distro_user_ok("-f"));
	assert_false(distro_user_ok("a:b"));
	assert_false(distro_user_ok("a234567890123456789012345678901234"));
}

static void test_ready(void **state)
{
	static const char *const is[] = {
		"READY=1", "READY=1\n", "STATUS=Startup finished\nREADY=1",
		"A=B\nREADY=1\nMAINPID=1\n", "\n\nREADY=1",
	};
	static const char *const is_not[] = {
		"", "\n", "READY=0", "READY=10", "READY=1 ", "XREADY=1",
		"STATUS=READY=1", "READY", "STOPPING=1\nERRNO=1\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(is) / sizeof(*is); i++) {
		assert_true(distro_ready_text(is[i]));
	}
	for (size_t i = 0; i < sizeof(is_not) / sizeof(*is_not); i++) {
		assert_false(distro_ready_text(is_not[i]));
	}
	assert_true(distro_init_notifies("/usr/lib/systemd/systemd"));
	assert_false(distro_init_notifies("/usr/lib/systemd/systemd-udevd"));
	assert_false(distro_init_notifies("/bin/busybox"));
	assert_false(distro_init_notifies(""));
}

static void test_word(void **state)
{
	char name[DISTRO_NAME_MAX + 1] = "is", user[DISTRO_USER_MAX + 1] = "was";

	(void)state;
	assert_false(distro_word_parse("", name, user));
	assert_false(distro_word_parse(",fred", name, user));
	assert_false(distro_word_parse("a,", name, user));
	assert_false(distro_word_parse("a,b,c", name, user));
	assert_false(distro_word_parse("a/b,c", name, user));
	assert_string_equal(name, "is");
	assert_string_equal(user, "was");
	assert_true(distro_word_parse("deb,fred", name, user));
	assert_string_equal(name, "deb");
	assert_string_equal(user, "fred");
	assert_true(distro_word_parse(LONGEST, name, user));
	assert_string_equal(name, LONGEST);
	assert_string_equal(user, "");
	assert_false(distro_word_parse(LONGEST "," LONGEST LONGEST, name, user));
}

/* What the text makes of the settings. */
static struct distro_config settings(const char *text)
{
	struct distro_config config = { .user = "root" };
	char copy[1024];

	snprintf(copy, sizeof(copy), "%s", text);
	distro_config_parse(copy, &config);
	return config;
}

static void test_settings(void **state)
{
	char path[DISTRO_PATH_MAX + 3], line[sizeof(path) + 8];
	struct distro_config c = settings("");

	(void)state;
	assert_string_equal(c.user, "root");
	assert_string_equal(c.init, "");
	c = settings("# user=x\nuser=fred \r\n\ninit=/lib/systemd/systemd\n"
		     "later=yes\nuser");
	assert_string_equal(c.user, "fred");
	assert_string_equal(c.init, "/lib/systemd/systemd");
	c = settings("user=a b\nuser=\ninit=sbin/init\ninit=");
	assert_string_equal(c.user, "root");
	assert_string_equal(c.init, "");
	c = settings("init=/a\ninit=none");
	assert_string_equal(c.init, "none");

	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[DISTRO_PATH_MAX + 1] = '\0';
	snprintf(line, sizeof(line), "init=%s", path);
	assert_string_equal(settings(line).init, "");
	line[strlen(line) - 1] = '\0';
	assert_int_equal(strlen(settings(line).init), DISTRO_PATH_MAX);
}

static void test_stop(void **state)
{
	(void)state;
	assert_int_equal(distro_stop_signal("systemd", "/usr/lib/systemd/systemd"),
			 38);
	assert_int_equal(distro_stop_signal("init", "/bin/busybox"), SIGUSR2);
	assert_int_equal(distro_stop_signal("distro-init", "/init"), SIGUSR2);
	assert_int_equal(distro_stop_signal("init", "/usr/sbin/init"), SIGPWR);
	assert_int_equal(distro_stop_signal("tini", "/usr/bin/tini"), SIGTERM);
	assert_int_equal(distro_stop_signal("", ""), SIGTERM);
}

static void test_memory(void **state)
{
	const uint64_t mib = 1 << 20;

	(void)state;
	assert_int_equal(distro_memory_max(256 * mib), 208 * mib);
	assert_int_equal(distro_memory_max(16384 * mib), (16384 - 256) * mib);
	assert_int_equal(distro_memory_max(32 * mib), 16 * mib);
	assert_int_equal(distro_memory_max(0), 0);
}

static void test_hosts(void **state)
{
	char text[96];

	(void)state;
	assert_true(distro_hosts_text("", "1.2.3.4 a\n", text, sizeof(text)));
	assert_string_equal(text, "1.2.3.4 a # isthmus\n");
	assert_true(distro_hosts_text("9.9.9.9 own\n1.2.3.4 a # isthmus\nlast",
				      "5.6.7.8 a", text, sizeof(text)));
	assert_string_equal(text, "9.9.9.9 own\nlast\n5.6.7.8 a # isthmus\n");
	/* The words alone are no address' line of ours, but they are a mark. */
	assert_true(distro_hosts_text(" # isthmus\n# isthmus\n", "", text,
				      sizeof(text)));
	assert_string_equal(text, "# isthmus\n");
	assert_false(distro_hosts_text("", "1.2.3.4 a\n", text, 20));
	assert_true(distro_hosts_text("", "1.2.3.4 a\n", text, 21));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_ready),
		cmocka_unit_test(test_word),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
