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
		T(the_end_of_a_linux_frees_what_it_had),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
