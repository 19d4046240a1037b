/* SPDX-License-Identifier: MIT */
/* What a session may have of the FUSE server, and in what steps it gets it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/files/fuse_server_int.h"
#include "qemu-test/unit/fuse_talk.h"

#define GO	assert_int_equal

/* One user cannot have all nodes; what he has no more of, another has. */
static void nodes_are_shared_out(void **state)
{
	struct fuse_user user = { .uid = 1 };

	(void)state;
	GO(fuse_quota(&user, 0, 0, 50, 100), true);
	GO(fuse_quota(&user, 0, 0, 51, 100), false);
	GO(fuse_quota(&user, 50, 50, 1, 100), false);
	GO(fuse_quota(&user, 0, 50, 25, 100), true);
	GO(fuse_quota(&user, 0, 101, 0, 100), false);
	user.uid = 0;
	GO(fuse_quota(&user, 50, 50, 50, 100), true);
	GO(fuse_quota(&user, 50, 50, 51, 100), false);
}

/* The table of nodes is doubled in small steps. All are found meanwhile, may go,
 * and the session may end. */
static void the_table_of_nodes_grows_in_steps(void **state)
{
	static uint64_t node[600];
	struct fuse_session *s = server->sessions;
	struct fuse_attr attr;
	uint32_t moved, steps = 0;

	(void)state;
	for (unsigned i = 0; i < 600; i++) {
		char name[16];

		moved = s->nodes_old != NULL ? s->node_moved : 0;
		snprintf(name, sizeof(name), "n%u", i);
		GO(make_file(&a, ROOT_ID, name, &node[i], NULL), 0);
		if (s->nodes_old != NULL) {
			assert_in_range(s->node_moved - moved, 0, 8);
			steps++;
		}
		for (unsigned j = i % 37; j <= i; j += 37) {
			assert_non_null(fuse_node_find(s, (uint32_t)node[j]));
			GO(fuse_node_find(s, (uint32_t)node[j])->gen,
			   node[j] >> 32);
		}
	}
	GO(s->node_bits, 10);
	assert_in_range(steps, 100, 400);
	assert_non_null(s->nodes_old);
	for (unsigned i = 0; i < 600; i += 2) {
		GO(release(&a, node[i], i + 1, 0, 0), 0);
		forget(&a, node[i], 1);
		assert_null(fuse_node_find(s, (uint32_t)node[i]));
		GO(getattr(&a, node[(i + 7) % 600 | 1], &attr), 0);
	}
	assert_non_null(s->nodes_old);
}

/* A Linux that does not read what it is told: what waits for it is bounded, in
 * number and bytes, others are served, and when it reads again it hears of
 * all. */
static void who_does_not_read_costs_no_more(void **state)
{
	struct fuse_session *s = server->sessions;
	char name[VOLUME_NAME_MAX + 1];
	struct volume_make how = { .mode = 0644 };
	uint32_t ino;

	(void)state;
	GO(lookup_id(&a, ROOT_ID, "x"), 0);
	a.stop = true;
	memset(name, 'n', VOLUME_NAME_MAX);
	name[VOLUME_NAME_MAX] = '\0';
	for (unsigned i = 0; i < 6000; i++) {
		GO(volume_create(f.vol, VOLUME_ROOT, name, VOLUME_NAME_MAX,
				 &how, &ino), 0);
		GO(volume_unlink(f.vol, VOLUME_ROOT, name, VOLUME_NAME_MAX), 0);
		assert_in_range(s->notices.bytes, 1, FUSE_NOTIFY_BYTES_MAX);
	}
	assert_in_range(s->notices.bytes, FUSE_NOTIFY_BYTES_MAX - 1000,
			FUSE_NOTIFY_BYTES_MAX);
	assert_non_null(s->marked);
	mount_it(&b, 1002);
	GO(lookup_id(&b, ROOT_ID, name), 0);
	a.stop = false;
	GO(fuse_conn_writable(a.conn), true);
	for (unsigned i = 0; i < 200 && s->notices.bytes > 0; i++) {
		obey();
	}
	assert_null(s->marked);
	GO(s->notices.bytes, 0);
	GO(s->notices.done, s->notices.made);
}

/* Answers of requests that waited come when there may be no room for them: they
 * are kept up to a bound; beyond it the connection ends, not the session. */
static void answers_are_kept_up_to_a_bound(void **state)
{
	static uint8_t answer[4096];
	struct fuse_out_header head = { .len = sizeof(answer), .unique = 9 };
	struct volume_seg seg = { .data = answer, .len = sizeof(answer) };
	struct fuse_session *s = server->sessions;
	size_t used;

	(void)state;
	memcpy(answer, &head, sizeof(head));
	a.stop = true;
	for (size_t sum = 0; sum <= FUSE_ANSWERS_BYTES_MAX;
	     sum += sizeof(answer)) {
		assert_false(a.ended);
		fuse_send(s, &seg, 1);
	}
	fuse_send(s, &seg, 1);
	assert_true(a.ended);
	GO(fuse_conn_input(a.conn, answer, 1, FOREVER, &used), EPROTO);
	disconnect(&a);
	a.stop = false;
	connect_to(&a);
	GO(hello(&a, a.done), 0);
	assert_ptr_equal(server->sessions, s);
}

/* When a Linux is gone, what only it had is free without another one's coming:
 * locks at once, a file's blocks that had no name any more a little later. */
static void the_end_of_a_linux_frees_what_it_had(void **state)
{
	static const uint8_t data[65536] = { 1 };
	uint64_t node, fh, free = blocks_free(f.vol);

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, &fh), 0);
	GO(write_file(&a, node, 0, data, sizeof(data), 0), 0);
	GO(lock(&a, FUSE_SETLK, node, 1, 1, 0, 9, 0), 0);
	GO(unlink_name(&a, ROOT_ID, "x"), 0);
	GO(blocks_free(f.vol), free - 16);
	fuse_server_peer_gone(server, &a);
	assert_true(a.ended);
	GO(fuse_server_ending(server), true);
	GO(fuse_server_end_some(server, UINT64_MAX), false);
	GO(blocks_free(f.vol), free);
}

int main(void)
{
#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(nodes_are_shared_out),
		T(the_table_of_nodes_grows_in_steps),
		T(who_does_not_read_costs_no_more),
		T(answers_are_kept_up_to_a_bound),
		T(the_end_of_a_linux_frees_what_it_had),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
