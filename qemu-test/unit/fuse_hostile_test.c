/* SPDX-License-Identifier: MIT */
/*
 * The FUSE server against a Linux that means harm: names, links and special files,
 * malformed requests, numbers chosen to collide, too much of everything.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/files/fuse_server_int.h"
#include "host-bridge/fs/ext4/volume_int.h"
#include "qemu-test/unit/fuse_talk.h"

#define GO	assert_int_equal
#define END	(uint64_t)INT64_MAX
#define RD	0u
#define WR	1u
#define UN	2u

static const struct fuse_entry_out *entry(void)
{
	return (const void *)a.reply;
}

/* The one that a has. */
static struct fuse_session *session(void)
{
	struct fuse_session *s = server->sessions;

	while (s != NULL && s->id != a.session) {
		s = s->next;
	}
	return s;
}

/* Each request cut short at each byte, and each with a byte too many. */
static void bodies_have_their_length(void **state)
{
	static const struct {
		uint32_t opcode, len;	/* of a body of zeros */
	} bodies[] = {
		{ FUSE_LOOKUP, 0 },	/* a name lacks its end */
		{ FUSE_GETATTR, sizeof(struct fuse_getattr_in) },
		{ FUSE_SETATTR, sizeof(struct fuse_setattr_in) },
		{ FUSE_READLINK, 0 },
		{ FUSE_SYMLINK, 2 },
		{ FUSE_MKNOD, sizeof(struct fuse_mknod_in) + 1 },
		{ FUSE_MKDIR, sizeof(struct fuse_mkdir_in) + 1 },
		{ FUSE_UNLINK, 1 }, { FUSE_RMDIR, 1 },
		{ FUSE_RENAME, sizeof(struct fuse_rename_in) + 2 },
		{ FUSE_LINK, sizeof(struct fuse_link_in) + 1 },
		{ FUSE_OPEN, sizeof(struct fuse_open_in) },
		{ FUSE_READ, sizeof(struct fuse_read_in) },
		{ FUSE_STATFS, 0 },
		{ FUSE_RELEASE, sizeof(struct fuse_release_in) },
		{ FUSE_FSYNC, sizeof(struct fuse_fsync_in) },
		{ FUSE_GETXATTR, sizeof(struct fuse_getxattr_in) + 1 },
		{ FUSE_LISTXATTR, sizeof(struct fuse_getxattr_in) },
		{ FUSE_REMOVEXATTR, 1 },
		{ FUSE_FLUSH, sizeof(struct fuse_flush_in) },
		{ FUSE_READDIR, sizeof(struct fuse_read_in) },
		{ FUSE_FSYNCDIR, sizeof(struct fuse_fsync_in) },
		{ FUSE_GETLK, sizeof(struct fuse_lk_in) },
		{ FUSE_SETLK, sizeof(struct fuse_lk_in) },
		{ FUSE_SETLKW, sizeof(struct fuse_lk_in) },
		{ FUSE_CREATE, sizeof(struct fuse_create_in) + 1 },
		{ FUSE_FALLOCATE, sizeof(struct fuse_fallocate_in) },
		{ FUSE_LSEEK, sizeof(struct fuse_lseek_in) },
		{ FUSE_COPY_FILE_RANGE,
		  sizeof(struct fuse_copy_file_range_in) },
		{ FUSE_READDIRPLUS, sizeof(struct fuse_read_in) },
		{ FUSE_RENAME2, sizeof(struct fuse_rename2_in) + 2 },
		{ FUSE_TMPFILE, sizeof(struct fuse_create_in) + 1 },
		{ FUSE_SYNCFS, 8 },
		{ FUSE_STATX, sizeof(struct fuse_statx_in) },
	};
	static const uint8_t zeros[256];
	struct fuse_ioctl_in in = { .cmd = 1 };
	struct fuse_attr attr;

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		for (uint32_t len = 0; len <= bodies[i].len + 1; len++) {
			if (len != bodies[i].len) {
				begin(&a, bodies[i].opcode, ROOT_ID);
				put_bytes(&a, zeros, len);
				GO(talk(&a), 22);
			}
		}
	}
	/* Of which so much less than nothing is said to follow as is missing. */
	for (uint32_t len = 0; len < sizeof(in); len++) {
		in.in_size = len - (uint32_t)sizeof(in);
		begin(&a, FUSE_IOCTL, ROOT_ID);
		put_bytes(&a, &in, len);
		GO(talk(&a), 22);
	}
	GO(getattr(&a, ROOT_ID, &attr), 0);
}

/* None of them is made, moved or removed, whatever asks for it. */
static void names_stay_inside(void **state)
{
	static const char *const bad[] = { "", "a/b", "/", "../x", ".", ".." };
	struct fuse_mkdir_in dir = { .mode = 0755 };
	struct fuse_mknod_in node = { .mode = 0100644 };
	struct fuse_rename_in to = { .newdir = ROOT_ID };
	struct fuse_create_in file = { .mode = 0100644 };
	uint64_t x;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &x, NULL), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(ask(&a, FUSE_MKDIR, ROOT_ID, &dir, sizeof(dir),
				bad[i], NULL) != 0);
		assert_true(ask(&a, FUSE_MKNOD, ROOT_ID, &node, sizeof(node),
				bad[i], NULL) != 0);
		assert_true(ask(&a, FUSE_CREATE, ROOT_ID, &file, sizeof(file),
				bad[i], NULL) != 0);
		assert_true(ask(&a, FUSE_SYMLINK, ROOT_ID, NULL, 0, bad[i],
				"x") != 0);
		assert_true(ask(&a, FUSE_LINK, ROOT_ID, &x, 8, bad[i],
				NULL) != 0);
		assert_true(ask(&a, FUSE_RENAME, ROOT_ID, &to, sizeof(to),
				"x", bad[i]) != 0);
		assert_true(ask(&a, FUSE_RENAME, ROOT_ID, &to, sizeof(to),
				bad[i], "y") != 0);
		assert_true(unlink_name(&a, ROOT_ID, bad[i]) != 0);
		assert_true(ask(&a, FUSE_RMDIR, ROOT_ID, NULL, 0, bad[i],
				NULL) != 0);
	}
	GO(lookup_id(&a, ROOT_ID, "x"), x);
}

/* Neither followed nor opened. */
static void symlinks_are_data(void **state)
{
	uint64_t link, fh;

	(void)state;
	GO(ask(&a, FUSE_SYMLINK, ROOT_ID, NULL, 0, "up", ".."), 0);
	link = entry()->nodeid;
	GO(lookup(&a, link, "x"), 20);
	GO(open_file(&a, link, 0, &fh), 6);
	GO(read_file(&a, link, 0, 10), 22);
}

/* A damaged volume: a link that says it is longer than links can be. */
static void a_link_is_no_longer_than_links_are(void **state)
{
	struct vnode *vn;
	uint64_t link;

	(void)state;
	/* It looks inside, and does not wait. */
	if (fixture_waits) {
		skip();
	}
	GO(ask(&a, FUSE_SYMLINK, ROOT_ID, NULL, 0, "l", "target"), 0);
	link = entry()->nodeid;
	GO(vnode_get(f.vol, (uint32_t)link, &vn), 0);
	vnode_set_size(f.vol, vn, 60000);
	GO(ask(&a, FUSE_READLINK, link, NULL, 0, NULL, NULL), 5);
	GO(vnode_get(f.vol, (uint32_t)link, &vn), 0);
	vnode_set_size(f.vol, vn, 6);
	GO(ask(&a, FUSE_READLINK, link, NULL, 0, NULL, NULL), 0);
	GO(a.reply_len, 6);
}

static void special_files_are_inert(void **state)
{
	static const uint32_t types[] = { 010000, 020000, 060000, 0140000 };
	struct fuse_mknod_in in = { .rdev = 0x12345 };
	char name[2] = { 'a' };
	uint64_t node, fh;

	(void)state;
	for (unsigned i = 0; i < 4; i++, name[0]++) {
		in.mode = types[i] | 0666;
		GO(ask(&a, FUSE_MKNOD, ROOT_ID, &in, sizeof(in), name, NULL),
		   0);
		node = entry()->nodeid;
		for (unsigned flags = 0; flags < 3; flags++) {
			GO(open_file(&a, node, flags, &fh), 6);
		}
		assert_true(read_file(&a, node, 0, 10) != 0);
		assert_true(write_file(&a, node, 0, "x", 1, 0) != 0);
	}
}

/* A lock is cut in pieces, byte by byte, and then no more. */
static void locks_are_bounded(void **state)
{
	uint64_t node, n = 1;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, NULL), 0);
	mount_it(&b, 1002);
	GO(lookup_id(&b, ROOT_ID, "x"), node);
	GO(lock(&a, FUSE_SETLK, node, 1, WR, 0, 1000000, 0), 0);
	while (lock(&a, FUSE_SETLK, node, 1, UN, 2 * n - 1, 2 * n - 1, 0) ==
	       0) {
		n++;
		assert_true(n < 10000);
	}
	GO(a.error, 37);
	GO(n, FUSE_LOCKS_MAX);
	GO(session()->lock_count, n);
	/* Refused, it left the lock as it was. */
	GO(lock(&b, FUSE_SETLK, node, 1, WR, 2 * n - 1, 2 * n - 1, 0), 11);
	/* Without one more to keep, it unlocks. */
	GO(lock(&a, FUSE_SETLK, node, 1, UN, 2 * n - 2, 2 * n + 8, 0), 0);
	GO(lock(&a, FUSE_SETLK, node, 1, UN, 0, 0, 0), 0);
	GO(session()->lock_count, n - 1);
	/* Two more are not to be had for one: the middle of a lock. */
	GO(lock(&a, FUSE_SETLK, node, 1, RD, 50000, 50000, 0), 37);
	GO(lock(&a, FUSE_SETLK, node, 1, UN, 2, 2, 0), 0);
	GO(lock(&a, FUSE_SETLK, node, 1, RD, 50000, 50000, 0), 0);
	GO(session()->lock_count, n);
	GO(lock(&a, FUSE_SETLK, node, 1, UN, 0, END, 0), 0);
	GO(session()->lock_count, 0);
	GO(lock(&b, FUSE_SETLK, node, 1, WR, 0, END, 0), 0);
}

/* Users who take all they can get, one after the other: all find something, root
 * what is left. */
static void users_leave_something(void **state)
{
	const uint32_t half = FUSE_OPENS_MAX / 2;
	uint32_t locks[3], opens[3];
	uint64_t node, fh;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, NULL), 0);
	for (uint32_t u = 0; u < 3; u++) {
		a.uid = u == 2 ? 0 : 2000 + u;
		for (locks[u] = 0; lock(&a, FUSE_SETLK, node, u, RD,
					2 * locks[u], 2 * locks[u], 0) == 0;
		     locks[u]++) {
		}
		GO(a.error, 37);
		for (opens[u] = 0; open_file(&a, node, 1, &fh) == 0;
		     opens[u]++) {
		}
		GO(a.error, 23);
	}
	GO(locks[0], FUSE_LOCKS_MAX / 2);
	GO(locks[1], FUSE_LOCKS_MAX / 4);
	GO(locks[2], FUSE_LOCKS_MAX / 4);
	assert_in_range(opens[0], half - 1, half);
	assert_in_range(opens[1], half / 2 - 1, half / 2);
	assert_in_range(opens[2], half / 2 - 1, half / 2);
}

/* As if the session knew many files already. */
static void nodes_are_bounded(void **state)
{
	struct fuse_read_in in = { .size = 4096 };
	struct fuse_session *s = session();
	uint32_t were;
	struct fuse_attr attr;
	uint64_t node;

	(void)state;
	GO(getattr(&a, ROOT_ID, &attr), 0);
	were = s->node_count;
	s->node_count = FUSE_NODES_MAX;
	GO(lookup(&a, ROOT_ID, "lost+found"), 23);
	GO(make_dir(&a, ROOT_ID, "d", &node), 23);
	/* It was not made then; and the root is there in any case. */
	GO(lookup_id(&a, ROOT_ID, "d"), 0);
	GO(getattr(&a, ROOT_ID, &attr), 0);
	/* A user leaves as much as he takes. */
	a.uid = 1000;
	s->node_count = FUSE_NODES_MAX - 1;
	GO(lookup(&a, ROOT_ID, "lost+found"), 23);
	s->node_count = FUSE_NODES_MAX - 2;
	GO(lookup(&a, ROOT_ID, "lost+found"), 0);
	forget(&a, entry()->nodeid, 1);
	/* What is listed is named while half of them are left. */
	s->node_count = FUSE_NODES_MAX / 2;
	GO(ask(&a, FUSE_READDIRPLUS, ROOT_ID, &in, sizeof(in), NULL, NULL), 0);
	GO(s->node_count, FUSE_NODES_MAX / 2);
	s->node_count = were;
}

/* A name costs the same in a directory of any size: a device call that fails after
 * some shows how many there were. */
static void names_cost_the_same_in_a_large_directory(void **state)
{
	struct fuse_rename_in to = { .newdir = ROOT_ID };
	uint64_t node, dir;
	char name[32];

	(void)state;
	/* It counts calls of the device; those of each new try are more. */
	if (fixture_waits) {
		skip();
	}
	GO(make_file(&a, ROOT_ID, "seed", &node, NULL), 0);
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "a-name-of-some-length-%u", i);
		GO(ask(&a, FUSE_LINK, ROOT_ID, &node, 8, name, NULL), 0);
	}
	GO(make_dir(&a, ROOT_ID, "last", &dir), 0);
	for (unsigned i = 0; i < 4; i++) {
		static const char *const names[] = { "last", "new", "last" };

		f.fail_after = 100;
		if (i < 2) {
			GO(ask(&a, FUSE_RENAME, ROOT_ID, &to, sizeof(to),
			       names[i], names[i + 1]), 0);
		} else if (i == 2) {
			GO(lookup_id(&a, ROOT_ID, "last"), dir);
		} else {
			GO(unlink_name(&a, ROOT_ID, name), 0);
		}
		assert_in_range(100 - f.fail_after, 0, 50);
		f.fail_after = -1;
	}
}

/* The longest chain of nodes, of open files, and of users. */
static unsigned longest_chain(const struct fuse_session *s)
{
	unsigned longest = 0, n;

	for (uint32_t i = 0; i < 1u << s->node_bits; i++) {
		n = 0;
		for (struct fuse_node *it = s->nodes[i]; it; it = it->next) {
			n++;
		}
		longest = n > longest ? n : longest;
	}
	for (uint32_t i = 0; i < 1u << FUSE_USER_BITS; i++) {
		n = 0;
		for (struct fuse_user *it = s->users[i]; it; it = it->next) {
			n++;
		}
		longest = n > longest ? n : longest;
	}
	return longest;
}

/* Numbers that agree in their low bits, in their high ones, or that come one
 * after the other: none makes a table a list. */
static void chosen_numbers_share_no_bucket(void **state)
{
	static const uint32_t steps[] = { 1, 64, 4096, 1u << 20 };
	uint64_t node, fh;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, NULL), 0);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		for (uint32_t n = 1; n < 4000; n++) {
			a.uid = n * steps[i];
			GO(open_file(&a, node, 1, &fh), 0);
		}
		assert_in_range(longest_chain(session()), 2, 100);
		a.uid = 0;
		/* All is over with it, and the file adopted by the next. */
		disconnect(&a);
		mount_it(&a, 2000 + i);
		GO(fuse_server_end_some(server, FOREVER), false);
	}
}

/* Two sessions do not agree on it. */
static void seeds_differ(void **state)
{
	uint64_t seed = session()->seed;

	(void)state;
	disconnect(&a);
	mount_it(&a, 7);
	GO(seed & session()->seed & 1, 1);
	assert_true(seed != session()->seed);
}

/* A session with many files and a lock ends, by DESTROY or with its Linux: the
 * lock at once, the files piece by piece. */
static void a_session_ends_in_pieces(void **state)
{
	uint64_t node, other, fh;
	unsigned pieces;

	(void)state;
	mount_it(&b, 1002);
	GO(make_file(&b, ROOT_ID, "x", &other, NULL), 0);
	for (unsigned round = 0; round < 2; round++) {
		node = lookup_id(&a, ROOT_ID, "x");
		for (unsigned i = 0; i < 3000; i++) {
			GO(open_file(&a, node, 1, &fh), 0);
		}
		for (unsigned i = 0; i < 500; i++) {
			char name[16];

			snprintf(name, sizeof(name), "%u-%u", round, i);
			GO(make_file(&a, ROOT_ID, name, &node, &fh), 0);
			GO(unlink_name(&a, ROOT_ID, name), 0);
		}
		GO(lock(&a, FUSE_SETLK, other, 1, WR, 0, 9, 0), 0);
		GO(lock(&b, FUSE_SETLK, other, 1, WR, 0, 9, 0), 11);
		if (round == 0) {
			GO(ask(&a, FUSE_DESTROY, 0, NULL, 0, NULL, NULL), 0);
		} else {
			fuse_server_peer_gone(server, &a);
		}
		disconnect(&a);
		GO(lock(&b, FUSE_SETLK, other, 1, WR, 0, 9, 0), 0);
		GO(lock(&b, FUSE_SETLK, other, 1, UN, 0, 9, 0), 0);
		assert_true(fuse_server_ending(server));
		pieces = 1;
		while (fuse_server_end_some(server, 0)) {
			pieces++;
			/* Others are served meanwhile. */
			GO(lookup_id(&b, ROOT_ID, "x"), other);
		}
		assert_in_range(pieces, 3000 / 64, 2 * 4500 / 32 + 10);
		assert_false(fuse_server_ending(server));
		mount_it(&a, 50 + round);
	}
}

/* Space of what somebody has open comes back when he has it no longer. */
static void an_open_file_keeps_its_space(void **state)
{
	static const uint8_t data[FUSE_CHANNEL_DATA_MAX];
	uint64_t node, dir, fh, at = 0;
	int error;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, &fh), 0);
	while ((error = write_file(&a, node, at, data, sizeof(data), 0)) == 0) {
		at += ((const struct fuse_write_out *)a.reply)->size;
	}
	GO(error, 28);
	GO(make_dir(&a, ROOT_ID, "d", &dir), 28);
	GO(unlink_name(&a, ROOT_ID, "x"), 0);
	GO(make_dir(&a, ROOT_ID, "d", &dir), 28);
	GO(release(&a, node, fh, 0, 0), 0);
	forget(&a, node, 1);
	GO(make_dir(&a, ROOT_ID, "d", &dir), 0);
}

int main(void)
{
#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(bodies_have_their_length),
		T(names_stay_inside),
		T(symlinks_are_data),
		T(a_link_is_no_longer_than_links_are),
		T(special_files_are_inert),
		T(locks_are_bounded),
		T(users_leave_something),
		T(nodes_are_bounded),
		T(names_cost_the_same_in_a_large_directory),
		T(chosen_numbers_share_no_bucket),
		T(seeds_differ),
		T(a_session_ends_in_pieces),
		T(an_open_file_keeps_its_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
