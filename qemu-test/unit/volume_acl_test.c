/* SPDX-License-Identifier: MIT */
/*
 * ACLs and what else gives rights: against the rules that Linux has, and
 * against what debugfs reads and writes of the same image.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/fs/ext4/volume_int.h"
#include "qemu-test/unit/volume_fixture.h"

#define ACCESS	"system.posix_acl_access"
#define DEFAULT	"system.posix_acl_default"

enum { U_OBJ = 1, U = 2, G_OBJ = 4, G = 8, M = 16, O = 32 };

struct entry {
	uint16_t tag, perm;
	uint32_t id;
};

/* An ACL in the form of system calls. */
struct call {
	uint32_t version;
	struct entry e[8];
};

static const struct call named = { 2, {
	{ U_OBJ, 7, -1 }, { U, 6, 1000 }, { G_OBJ, 5, -1 }, { G, 3, 70000 },
	{ M, 7, -1 }, { O, 1, -1 },
} };

/* Where an ACL of n entries ends. */
static size_t call_size(unsigned n)
{
	return 4 + n * sizeof(struct entry);
}

static int set(struct volume *vol, uint32_t ino, const char *name,
	       const struct call *acl, unsigned n)
{
	return volume_xattr_set(vol, ino, name, acl, call_size(n), 0);
}

static int get(struct volume *vol, uint32_t ino, const char *name,
	       struct call *acl, unsigned *n)
{
	void *value;
	size_t len;
	int error = volume_xattr_get(vol, ino, name, &value, &len);

	if (error == 0) {
		assert_in_range(len, call_size(3), sizeof(*acl));
		memcpy(acl, value, len);
		*n = (unsigned)((len - 4) / sizeof(struct entry));
		free(value);
	}
	return error;
}

/* What is refused, with what. */
static void test_rules(void **state)
{
	static const struct {
		int error;
		unsigned n;
		struct call acl;
	} cases[] = {
		{ EOPNOTSUPP, 3, { 1, { { U_OBJ, 7, -1 }, { G_OBJ, 7, -1 },
					{ O, 7, -1 } } } },
		{ EINVAL, 2, { 2, { { U_OBJ, 7, -1 }, { G_OBJ, 7, -1 } } } },
		{ EINVAL, 3, { 2, { { U_OBJ, 8, -1 }, { G_OBJ, 7, -1 },
				    { O, 7, -1 } } } },
		{ EINVAL, 3, { 2, { { G_OBJ, 7, -1 }, { U_OBJ, 7, -1 },
				    { O, 7, -1 } } } },
		{ EINVAL, 4, { 2, { { U_OBJ, 7, -1 }, { U_OBJ, 7, -1 },
				    { G_OBJ, 7, -1 }, { O, 7, -1 } } } },
		{ EINVAL, 4, { 2, { { U_OBJ, 7, -1 }, { U, 7, 5 },
				    { G_OBJ, 7, -1 }, { O, 7, -1 } } } },
		{ EINVAL, 5, { 2, { { U_OBJ, 7, -1 }, { U, 7, -1 },
				    { G_OBJ, 7, -1 }, { M, 7, -1 },
				    { O, 7, -1 } } } },
		{ EINVAL, 3, { 2, { { U_OBJ, 7, -1 }, { G_OBJ, 7, -1 },
				    { 64, 7, -1 } } } },
		{ EINVAL, 3, { 2, { { U_OBJ, 7, -1 }, { 3, 7, -1 },
				    { O, 7, -1 } } } },
		{ 0, 4, { 2, { { U_OBJ, 7, -1 }, { G_OBJ, 7, -1 },
			       { M, 7, -1 }, { O, 7, -1 } } } },
		{ 0, 7, { 2, { { U_OBJ, 7, -1 }, { U, 7, 5 }, { U, 7, 5 },
			       { U, 7, 4 }, { G_OBJ, 7, -1 }, { M, 7, -1 },
			       { O, 7, -1 } } } },
		{ 0, 0, { 2, { { 0 } } } },
	};
	struct fixture f;
	uint32_t a, d, l;

	(void)state;
	fixture_open(&f, 16, "");
	a = new_file(f.vol, ROOT, "a");
	d = new_dir(f.vol, ROOT, "d");
	assert_int_equal(volume_symlink(f.vol, ROOT, NAME("l"), NAME("x"),
					&file_make, &l), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (set(f.vol, a, ACCESS, &cases[i].acl, cases[i].n) !=
			    cases[i].error ||
		    set(f.vol, d, DEFAULT, &cases[i].acl, cases[i].n) !=
			    cases[i].error) {
			fail_msg("case %zu", i);
		}
	}
	assert_int_equal(volume_xattr_set(f.vol, a, ACCESS, &named, 3, 0),
			 EINVAL);
	assert_int_equal(volume_xattr_set(f.vol, a, ACCESS, &named,
					  call_size(6) - 1, 0), EINVAL);
	assert_int_equal(set(f.vol, a, DEFAULT, &named, 6), EACCES);
	assert_int_equal(volume_xattr_remove(f.vol, a, DEFAULT), 0);
	assert_int_equal(set(f.vol, l, ACCESS, &named, 6), EOPNOTSUPP);
	assert_int_equal(volume_xattr_set(f.vol, a, "system.x", "", 0, 0),
			 EOPNOTSUPP);
	assert_int_equal(volume_xattr_set(f.vol, a, "user.", "", 0, 0),
			 EINVAL);
	assert_int_equal(volume_xattr_set(f.vol, a, "security.selinux", "l", 1,
					  0), 0);
	assert_int_equal(volume_xattr_set(f.vol, a, "trusted.t", "", 0, 0),
			 0);
	fixture_close(&f);
}

/* The mode shows the ACL, and chmod goes into it. */
static void test_mode_follows(void **state)
{
	static const struct call minimal = { 2, {
		{ U_OBJ, 6, -1 }, { G_OBJ, 2, -1 }, { O, 4, -1 },
	} };
	struct volume_attr attr = { .mode = 02640 };
	struct fixture f;
	struct call acl;
	unsigned n;
	uint32_t a;
	void *names;
	size_t len;

	(void)state;
	fixture_open(&f, 16, "");
	a = new_file(f.vol, ROOT, "a");
	assert_int_equal(get(f.vol, a, ACCESS, &acl, &n), ENODATA);
	assert_int_equal(volume_xattr_remove(f.vol, a, ACCESS), 0);
	assert_int_equal(set(f.vol, a, ACCESS, &named, 6), 0);
	assert_int_equal(attr_of(f.vol, a).mode, VOLUME_S_IFREG | 0771);
	fixture_reopen(&f);
	assert_int_equal(get(f.vol, a, ACCESS, &acl, &n), 0);
	assert_int_equal(n, 6);
	assert_memory_equal(&acl, &named, call_size(6));
	assert_int_equal(volume_xattr_list(f.vol, a, &names, &len), 0);
	assert_int_equal(len, sizeof(ACCESS));
	assert_string_equal(names, ACCESS);
	free(names);
	assert_int_equal(volume_setattr(f.vol, a, VOLUME_SET_MODE, &attr), 0);
	assert_int_equal(attr_of(f.vol, a).mode, VOLUME_S_IFREG | 02640);
	assert_int_equal(get(f.vol, a, ACCESS, &acl, &n), 0);
	assert_int_equal(acl.e[0].perm, 6);
	assert_int_equal(acl.e[1].perm, 6);
	assert_int_equal(acl.e[2].perm, 5);	/* the mask is what changes */
	assert_int_equal(acl.e[4].perm, 4);
	assert_int_equal(acl.e[5].perm, 0);
	/* No more than a mode: not kept. */
	assert_int_equal(set(f.vol, a, ACCESS, &minimal, 3), 0);
	assert_int_equal(attr_of(f.vol, a).mode, VOLUME_S_IFREG | 02624);
	assert_int_equal(get(f.vol, a, ACCESS, &acl, &n), ENODATA);
	assert_int_equal(volume_xattr_set(f.vol, a, ACCESS, &named,
					  call_size(6),
					  VOLUME_XATTR_KILL_SGID), 0);
	assert_int_equal(attr_of(f.vol, a).mode, VOLUME_S_IFREG | 0771);
	assert_int_equal(volume_xattr_remove(f.vol, a, ACCESS), 0);
	assert_int_equal(attr_of(f.vol, a).mode, VOLUME_S_IFREG | 0771);
	assert_int_equal(get(f.vol, a, ACCESS, &acl, &n), ENODATA);
	fixture_close(&f);
}

/* The form on the device is that of debugfs, both ways. */
static void test_on_the_device(void **state)
{
	struct fixture f;
	struct call acl;
	unsigned n;
	uint32_t a;

	(void)state;
	fixture_open(&f, 16, "");
	a = new_file(f.vol, ROOT, "a");
	new_file(f.vol, ROOT, "b");
	assert_int_equal(set(f.vol, a, ACCESS, &named, 6), 0);
	fixture_command(&f, "/sbin/debugfs -R 'ea_get -f acl /a " ACCESS
			"' image && test $(stat -c %s acl) = 52 && "
			"/sbin/debugfs -w -R 'ea_set -f acl /b " ACCESS
			"' image");
	a = find(f.vol, ROOT, "b");
	assert_int_equal(get(f.vol, a, ACCESS, &acl, &n), 0);
	assert_int_equal(n, 6);
	assert_memory_equal(&acl, &named, call_size(6));
	fixture_close(&f);
}

/* A valid ACL: every entry that there may be, or not. */
static unsigned random_acl(struct call *acl)
{
	static const uint16_t tags[] = { U_OBJ, U, U, G_OBJ, G, G, M, O };
	bool mask = rand() % 2;
	unsigned n = 0;

	acl->version = 2;
	for (unsigned i = 0; i < 8; i++) {
		bool id = tags[i] == U || tags[i] == G;

		if ((id && (!mask || rand() % 2)) ||
		    (tags[i] == M && !mask)) {
			continue;
		}
		acl->e[n++] = (struct entry){
			.tag = tags[i], .perm = (uint16_t)(rand() % 8),
			.id = id ? (uint32_t)rand() : UINT32_MAX,
		};
	}
	return n;
}

/* What Linux does to a default ACL for a new file: the ACL that is left, and
 * the mode. [POSIX 1003.1e draft 17, 23.1.1] */
static uint32_t model_inherit(struct call *acl, unsigned n, uint32_t mode)
{
	struct entry *group = NULL;

	for (unsigned i = 0; i < n; i++) {
		struct entry *e = &acl->e[i];

		if (e->tag == U_OBJ) {
			e->perm &= mode >> 6 & 7;
			mode = (mode & ~0700u) | (uint32_t)e->perm << 6;
		} else if (e->tag == O) {
			e->perm &= mode & 7;
			mode = (mode & ~7u) | e->perm;
		} else if (e->tag == M || e->tag == G_OBJ) {
			group = e;
		}
	}
	group->perm &= mode >> 3 & 7;
	return (mode & ~070u) | (uint32_t)group->perm << 3;
}

/* In a directory with a default ACL: files, directories and nameless files. */
static void test_inherit(void **state)
{
	struct fixture f;
	uint32_t d, a, l;

	(void)state;
	srand(1);
	fixture_open(&f, 16, "");
	d = new_dir(f.vol, ROOT, "d");
	for (unsigned i = 0; i < 300; i++) {
		struct call given, left, got;
		unsigned n = random_acl(&given), got_n;
		uint32_t mode = (uint32_t)rand() % 512, type = (unsigned)rand() % 3;
		struct volume_make make = {
			.mode = mode | (type == 1 ? VOLUME_S_IFDIR
						  : VOLUME_S_IFREG),
			.umask = (uint32_t)rand() % 512,
		};

		assert_int_equal(set(f.vol, d, DEFAULT, &given, n), 0);
		assert_int_equal(type == 2
				 ? volume_tmpfile(f.vol, d, &make, &a)
				 : volume_create(f.vol, d, NAME("a"), &make,
						 &a), 0);
		left = given;
		mode = model_inherit(&left, n, mode);
		assert_int_equal(attr_of(f.vol, a).mode & 07777, mode);
		if (n == 3) {
			assert_int_equal(get(f.vol, a, ACCESS, &got, &got_n),
					 ENODATA);
		} else {
			assert_int_equal(get(f.vol, a, ACCESS, &got, &got_n),
					 0);
			assert_int_equal(got_n, n);
			assert_memory_equal(&got, &left, call_size(n));
		}
		if (type == 1) {
			assert_int_equal(get(f.vol, a, DEFAULT, &got, &got_n),
					 0);
			assert_int_equal(got_n, n);
			assert_memory_equal(&got, &given, call_size(n));
			assert_int_equal(volume_rmdir(f.vol, d, NAME("a")), 0);
		} else if (type == 0) {
			assert_int_equal(get(f.vol, a, DEFAULT, &got, &got_n),
					 ENODATA);
			assert_int_equal(volume_unlink(f.vol, d, NAME("a")),
					 0);
		} else {
			volume_release(f.vol, a);
		}
	}
	/* Links have none. */
	assert_int_equal(volume_symlink(f.vol, d, NAME("l"), NAME("x"),
					&file_make, &l), 0);
	assert_int_equal(attr_of(f.vol, l).mode, VOLUME_S_IFLNK | 0777);
	fixture_close(&f);
}

/* Without a default ACL the umask counts; set-group-ID hands the group on. */
static void test_umask_and_group(void **state)
{
	struct volume_make make = {
		.mode = VOLUME_S_IFREG | 04666, .umask = 027, .uid = 1,
		.gid = 2,
	};
	struct volume_attr attr = { .mode = 02755, .gid = 70000 };
	struct fixture f;
	struct call acl;
	unsigned n = random_acl(&acl);
	uint32_t d, a;

	(void)state;
	fixture_open(&f, 16, "");
	d = new_dir(f.vol, ROOT, "d");
	assert_int_equal(volume_create(f.vol, d, NAME("a"), &make, &a), 0);
	assert_int_equal(attr_of(f.vol, a).mode, VOLUME_S_IFREG | 04640);
	assert_int_equal(attr_of(f.vol, a).gid, 2);
	assert_int_equal(volume_setattr(f.vol, d, VOLUME_SET_MODE |
					VOLUME_SET_GID, &attr), 0);
	assert_int_equal(volume_create(f.vol, d, NAME("b"), &make, &a), 0);
	assert_int_equal(attr_of(f.vol, a).mode, VOLUME_S_IFREG | 04640);
	assert_int_equal(attr_of(f.vol, a).gid, 70000);
	make.mode = VOLUME_S_IFDIR | 0777;
	assert_int_equal(volume_create(f.vol, d, NAME("c"), &make, &a), 0);
	assert_int_equal(attr_of(f.vol, a).mode, VOLUME_S_IFDIR | 02750);
	assert_int_equal(attr_of(f.vol, a).gid, 70000);
	/* A default ACL that comes later counts from then on. */
	assert_int_equal(set(f.vol, d, DEFAULT, &acl, n), 0);
	make.umask = 0777;
	assert_int_equal(volume_create(f.vol, d, NAME("e"), &make, &a), 0);
	assert_int_equal(attr_of(f.vol, a).mode & 0777,
			 model_inherit(&acl, n, 0777));
	assert_int_equal(volume_xattr_remove(f.vol, d, DEFAULT), 0);
	assert_int_equal(volume_create(f.vol, d, NAME("f"), &make, &a), 0);
	assert_int_equal(attr_of(f.vol, a).mode & 0777, 0);
	fixture_close(&f);
}

static void test_kill_priv(void **state)
{
	static const struct {
		uint32_t before, after;
	} cases[] = {
		{ 06755, 00755 }, { 04644, 00644 }, { 02644, 02644 },
		{ 02654, 00654 }, { 01777, 01777 }, { 07710, 01710 },
	};
	struct volume_attr attr;
	struct fixture f;
	uint32_t a, d;
	void *value;
	size_t len;

	(void)state;
	fixture_open(&f, 16, "");
	a = new_file(f.vol, ROOT, "a");
	d = new_dir(f.vol, ROOT, "d");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		attr.mode = cases[i].before;
		attr.uid = 5;
		assert_int_equal(volume_setattr(f.vol, a, VOLUME_SET_MODE,
						&attr), 0);
		assert_int_equal(volume_setattr(f.vol, d, VOLUME_SET_MODE,
						&attr), 0);
		assert_int_equal(volume_xattr_set(f.vol, a,
						  "security.capability", "c",
						  1, 0), 0);
		assert_int_equal(volume_setattr(f.vol, a, VOLUME_SET_UID |
						VOLUME_SET_KILL_PRIV, &attr),
				 0);
		assert_int_equal(volume_setattr(f.vol, d, VOLUME_SET_KILL_PRIV,
						&attr), 0);
		assert_int_equal(attr_of(f.vol, a).mode,
				 VOLUME_S_IFREG | cases[i].after);
		assert_int_equal(attr_of(f.vol, d).mode,
				 VOLUME_S_IFDIR | cases[i].before);
		assert_int_equal(volume_xattr_get(f.vol, a,
						  "security.capability",
						  &value, &len), ENODATA);
	}
	fixture_close(&f);
}

/* What lies on the device may be anything: it is an ACL, or EIO. */
static void test_hostile(void **state)
{
	struct fixture f;
	struct vnode *vn;
	uint32_t d, a;

	(void)state;
	srand(2);
	fixture_open(&f, 16, "");
	d = new_dir(f.vol, ROOT, "d");
	for (unsigned i = 0; i < 3000; i++) {
		uint8_t value[2100] = { 1 };
		size_t len = (size_t)rand() % (i % 50 ? 60 : sizeof(value));
		struct volume_attr attr = { .mode = 0700 };
		void *got;

		for (size_t n = 4; n < len; n++) {
			value[n] = rand() % 3 ? (uint8_t)(1 << rand() % 8) : 0;
		}
		value[0] = rand() % 20 ? 1 : (uint8_t)rand();
		assert_int_equal(vnode_get(f.vol, d, &vn), 0);
		assert_int_equal(xattr_write(f.vol, vn, DEFAULT, value, len,
					     0), 0);
		assert_int_equal(xattr_write(f.vol, vn, ACCESS, value,
					     len < 1000 ? len : 4, 0), 0);
		if (volume_xattr_get(f.vol, d, DEFAULT, &got, &len) == 0) {
			free(got);
		}
		if (volume_create(f.vol, d, NAME("a"), &file_make, &a) == 0) {
			assert_int_equal(volume_unlink(f.vol, d, NAME("a")),
					 0);
		}
		volume_setattr(f.vol, d, VOLUME_SET_MODE, &attr);
	}
	assert_int_equal(volume_xattr_remove(f.vol, d, DEFAULT), 0);
	assert_int_equal(volume_xattr_remove(f.vol, d, ACCESS), 0);
	fixture_close(&f);
}

/* With no room for ACLs nothing is made. */
static void test_full(void **state)
{
	uint8_t fill[80] = { 0 };
	struct fixture f;
	struct volume_make make = file_make;
	struct call acl[64] = { 0 };
	uint32_t d, a, n = 0;
	uint8_t *at = (uint8_t *)acl;
	size_t done;

	(void)state;
	fixture_open(&f, 4, "-O ^has_journal");
	d = new_dir(f.vol, ROOT, "d");
	/* Too long for the inode: a block of its own. */
	memcpy(at, &(uint32_t){ 2 }, 4);
	for (uint32_t i = 0; i < 40; i++) {
		struct entry e = { i == 0 ? U_OBJ : U, 7, i == 0 ? -1u : i };

		if (i >= 37) {
			e = (struct entry){ i == 37 ? G_OBJ : i == 38 ? M : O,
					    7, -1u };
		}
		memcpy(at + 4 + i * sizeof(e), &e, sizeof(e));
	}
	assert_int_equal(set(f.vol, d, DEFAULT, acl, 40), 0);
	a = new_file(f.vol, ROOT, "fill");
	while (volume_write(f.vol, a, (uint64_t)n * sizeof(fill), fill,
			    sizeof(fill), &done) == 0) {
		n++;
	}
	assert_int_equal(blocks_free(f.vol), 0);
	assert_int_equal(volume_create(f.vol, d, NAME("a"), &make, &a),
			 ENOSPC);
	assert_int_equal(find(f.vol, d, "a"), 0);
	assert_int_equal(set(f.vol, find(f.vol, ROOT, "fill"), ACCESS, acl,
			     40), ENOSPC);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_mode_follows),
		cmocka_unit_test(test_on_the_device),
		cmocka_unit_test(test_inherit),
		cmocka_unit_test(test_umask_and_group),
		cmocka_unit_test(test_kill_priv),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
