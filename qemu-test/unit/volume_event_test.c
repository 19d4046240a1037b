/* SPDX-License-Identifier: MIT */
/*
 * What observers of the volume are told, of each kind of change.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/volume_fixture.h"

/* All events since told() was last called, in words. */
struct recorder {
	struct volume_observer observer;
	struct volume *vol;
	char text[1000];
};

static void record(struct volume_observer *observer,
		   const struct volume_event *e)
{
	static const char *const whats[] = {
		[VOLUME_CREATED] = "created", [VOLUME_DELETED] = "deleted",
		[VOLUME_MOVED] = "moved", [VOLUME_MODIFIED] = "modified",
		[VOLUME_ATTRIB] = "attrib",
	};
	struct recorder *r = (struct recorder *)observer;
	char *at = r->text + strlen(r->text);
	size_t room = sizeof(r->text) - strlen(r->text);
	struct volume_attr attr;

	/* It may look at the volume. */
	assert_int_equal(volume_getattr(r->vol, ROOT, &attr), 0);
	at += snprintf(at, room, "%s%s%s %u", e->origin ? "other " : "",
		       whats[e->what], e->is_dir ? " dir" : "", e->ino);
	if (e->name != NULL) {
		at += snprintf(at, room, " %u/%.*s", e->dir, (int)e->len,
			       e->name);
	}
	if (e->new_name != NULL) {
		at += snprintf(at, room, " %u/%.*s", e->new_dir,
			       (int)e->new_len, e->new_name);
	}
	if (e->victim != 0) {
		at += snprintf(at, room, " over %u", e->victim);
	}
	if (e->exchanged) {
		at += snprintf(at, room, " exchanged");
	}
	if (e->what == VOLUME_MODIFIED) {
		at += snprintf(at, room, " %llu+%lld",
			       (unsigned long long)e->offset,
			       (long long)e->length);
	}
	snprintf(at, room, "; ");
}

/* The events since the last time are these; numbers stand for %u. */
static void told(struct recorder *r, const char *format, ...)
{
	char want[1000];
	va_list args;

	va_start(args, format);
	vsnprintf(want, sizeof(want), format, args);
	va_end(args);
	assert_string_equal(r->text, want);
	r->text[0] = '\0';
}

static void test_names(void **state)
{
	struct fixture f;
	struct recorder r = { .observer = { .fn = record } };
	uint32_t a, d, e, l;

	(void)state;
	fixture_open(&f, 16, "");
	r.vol = f.vol;
	volume_observe(f.vol, &r.observer);
	a = new_file(f.vol, ROOT, "a");
	told(&r, "created %u 2/a; ", a);
	d = new_dir(f.vol, ROOT, "d");
	told(&r, "created dir %u 2/d; ", d);
	assert_int_equal(volume_symlink(f.vol, d, NAME("l"), NAME("text"),
					&file_make, &l), 0);
	told(&r, "created %u %u/l; ", l, d);
	assert_int_equal(volume_link(f.vol, a, d, NAME("b")), 0);
	told(&r, "attrib %u; created %u %u/b; ", a, a, d);
	assert_int_equal(volume_unlink(f.vol, d, NAME("b")), 0);
	told(&r, "attrib %u; deleted %u %u/b; ", a, a, d);
	/* The name's last: nobody can know the file any more. */
	assert_int_equal(volume_unlink(f.vol, d, NAME("l")), 0);
	told(&r, "deleted %u %u/l; ", l, d);
	assert_int_equal(move(f.vol, ROOT, "a", d, "a2"), 0);
	told(&r, "moved %u 2/a %u/a2; ", a, d);
	e = new_file(f.vol, ROOT, "e");
	told(&r, "created %u 2/e; ", e);
	assert_int_equal(volume_hold(f.vol, e), 0);
	assert_int_equal(move(f.vol, d, "a2", ROOT, "e"), 0);
	told(&r, "moved %u %u/a2 2/e over %u; attrib %u; ", a, d, e, e);
	volume_release(f.vol, e);
	e = new_dir(f.vol, ROOT, "e2");
	told(&r, "created dir %u 2/e2; ", e);
	assert_int_equal(move(f.vol, ROOT, "d", ROOT, "e2"), 0);
	told(&r, "moved dir %u 2/d 2/e2 over %u; ", d, e);
	assert_int_equal(volume_rename(f.vol, ROOT, NAME("e2"), ROOT,
				       NAME("e"), VOLUME_RENAME_EXCHANGE), 0);
	told(&r, "moved dir %u 2/e2 2/e exchanged; "
	     "moved %u 2/e 2/e2 exchanged; ", d, a);
	assert_int_equal(volume_rmdir(f.vol, ROOT, NAME("e")), 0);
	told(&r, "deleted dir %u 2/e; ", d);
	assert_int_equal(volume_rename(f.vol, ROOT, NAME("e2"), ROOT,
				       NAME("e"), VOLUME_RENAME_WHITEOUT), 0);
	e = find(f.vol, ROOT, "e2");
	told(&r, "moved %u 2/e2 2/e; created %u 2/e2; ", a, e);
	/* Nothing changes, nothing is told. */
	assert_int_equal(volume_unlink(f.vol, ROOT, NAME("x")), ENOENT);
	assert_int_equal(volume_create(f.vol, ROOT, NAME("e"), &file_make,
				       &e), EEXIST);
	assert_int_equal(move(f.vol, ROOT, "e", ROOT, "e"), 0);
	told(&r, "");
	fixture_close(&f);
}

static void test_content_and_attributes(void **state)
{
	struct fixture f;
	struct recorder r = { .observer = { .fn = record } };
	struct volume_attr attr = { .mode = 0600, .size = 3 };
	uint32_t a;
	size_t done;

	(void)state;
	fixture_open(&f, 16, "");
	a = new_file(f.vol, ROOT, "a");
	r.vol = f.vol;
	volume_observe(f.vol, &r.observer);
	put(f.vol, a, 4000, "hello", 5);
	told(&r, "modified %u 4000+5; ", a);
	put(f.vol, a, 4000, "", 0);
	told(&r, "");
	assert_int_equal(volume_setattr(f.vol, a, VOLUME_SET_SIZE, &attr), 0);
	told(&r, "modified %u 3+-1; ", a);
	attr.size = 9000;
	assert_int_equal(volume_setattr(f.vol, a, VOLUME_SET_SIZE |
					VOLUME_SET_MODE, &attr), 0);
	told(&r, "modified %u 3+-1; attrib %u; ", a, a);
	assert_int_equal(volume_setattr(f.vol, a, VOLUME_SET_UID, &attr), 0);
	told(&r, "attrib %u; ", a);
	assert_int_equal(volume_setattr(f.vol, ROOT, 0, &attr), 0);
	told(&r, "attrib dir 2; ");
	assert_int_equal(volume_xattr_set(f.vol, a, "user.a", "v", 1, 0), 0);
	told(&r, "attrib %u; ", a);
	assert_int_equal(volume_set_flags(f.vol, a, attr_of(f.vol, a).flags |
					  VOLUME_FL_NODUMP), 0);
	told(&r, "attrib %u; ", a);
	assert_int_equal(volume_fallocate(f.vol, a, 0, 0, 5000), 0);
	told(&r, "modified %u 0+5000; ", a);
	assert_int_equal(volume_fallocate(f.vol, a, VOLUME_FALLOC_COLLAPSE, 0,
					  4096), 0);
	told(&r, "modified %u 0+-1; ", a);
	assert_int_equal(volume_copy(f.vol, a, 0, a, 4904, 9000, &done), 0);
	told(&r, "modified %u 4904+4904; ", a);
	assert_int_equal(volume_xattr_remove(f.vol, a, "user.a"), 0);
	told(&r, "attrib %u; ", a);
	assert_int_equal(volume_xattr_remove(f.vol, a, "user.a"), ENODATA);
	told(&r, "");
	fixture_close(&f);
}

static void test_observers_and_origin(void **state)
{
	struct fixture f;
	struct recorder r[3] = {
		{ .observer = { .fn = record } },
		{ .observer = { .fn = record } },
		{ .observer = { .fn = record } },
	};
	uint32_t d;

	(void)state;
	fixture_open(&f, 16, "");
	for (int i = 0; i < 3; i++) {
		r[i].vol = f.vol;
		volume_observe(f.vol, &r[i].observer);
	}
	volume_origin(f.vol, &f);
	d = new_dir(f.vol, ROOT, "d");
	for (int i = 0; i < 3; i++) {
		told(&r[i], "other created dir %u 2/d; ", d);
	}
	volume_origin(f.vol, NULL);
	volume_unobserve(f.vol, &r[1].observer);
	volume_unobserve(f.vol, &r[1].observer);
	assert_int_equal(volume_rmdir(f.vol, ROOT, NAME("d")), 0);
	told(&r[0], "deleted dir %u 2/d; ", d);
	told(&r[1], "");
	told(&r[2], "deleted dir %u 2/d; ", d);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_content_and_attributes),
		cmocka_unit_test(test_observers_and_origin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
