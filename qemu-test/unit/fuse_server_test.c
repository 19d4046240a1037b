/* SPDX-License-Identifier: MIT */
/* The FUSE server's requests, on a volume in memory. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/fuse_talk.h"

#define GO	assert_int_equal

static void files_are_made_and_read(void **state)
{
	struct fuse_attr attr;
	uint64_t node, fh, again;
	const struct fuse_entry_out *entry = (const void *)a.reply;

	(void)state;
	a.uid = 1000;
	a.gid = 100;
	GO(lookup_id(&a, ROOT_ID, "x"), 0);
	assert_true(entry->entry_valid > 1000000);
	GO(make_file(&a, ROOT_ID, "x", &node, &fh), 0);
	assert_true(fh != 0);
	GO(write_file(&a, node, 0, "hello", 5, 0), 0);
	GO(((const struct fuse_write_out *)a.reply)->size, 5);
	GO(read_file(&a, node, 1, 100), 0);
	GO(a.reply_len, 4);
	assert_memory_equal(a.reply, "ello", 4);
	GO(getattr(&a, node, &attr), 0);
	GO(attr.size, 5);
	GO(attr.mode, 0100644);
	GO(attr.uid, 1000);
	GO(attr.gid, 100);
	GO(((const struct fuse_attr_out *)a.reply)->attr.nlink, 1);
	GO(lookup_id(&a, ROOT_ID, "x"), node);
	GO(open_file(&a, node, 0, &again), 0);
	GO(again, 0);
	GO(release(&a, node, fh, 0, 0), 0);
	/* Removed, it lives until it is forgotten. */
	GO(unlink_name(&a, ROOT_ID, "x"), 0);
	GO(read_file(&a, node, 0, 100), 0);
	GO(a.reply_len, 5);
	forget(&a, node, 1);
	GO(getattr(&a, node, &attr), 0);
	GO(attr.nlink, 0);
	forget(&a, node, 1);
	GO(getattr(&a, node, &attr), 116);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_are_made_and_read,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
