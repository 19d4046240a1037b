/* SPDX-License-Identifier: MIT */
/*
 * Symbolic links that lead out, links and directories that change places, and extended
 * attributes whose sizes are not theirs: by raw FUSE messages. A link is data for the
 * server; an attribute never shows more than was asked for.
 */
#include "cpu.h"
#include "files.h"
#include "payload.h"
#include "proto/fuse.h"

#define NO_DETAIL	(~0ull)
#define SWAPS		200u
#define EXCHANGE	2u		/* RENAME2's flag */
#define VALUE		100u
#define LONGER		2000u
#define ATTRIBUTES	300u
#define LINK_TYPE	0120000u
#define TYPE_MASK	0170000u
#define COMPAT		8u		/* of SETXATTR's header */

void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);

static uint32_t length(const char *text)
{
	uint32_t n = 0;

	while (text[n]) {
		n++;
	}
	return n;
}

/* Everything that would go through a link, on the link: how much is done. */
static uint32_t goes_through(uint64_t link)
{
	struct fuse_open_in open = { 0 };
	struct { uint64_t from; char name[8]; } hard = { 1, "within" };
	uint32_t done = 0;

	done += files_find(link, "beacon", 7);
	files_again();
	done += files_do(FUSE_OPEN, link, &open, sizeof(open)) == 0;
	files_again();
	done += files_do(FUSE_OPENDIR, link, &open, sizeof(open)) == 0;
	files_again();
	done += files_make_dir(link, "within", 7) == 0;
	files_again();
	done += files_do(FUSE_RMDIR, link, "beacon", 7) == 0;
	files_again();
	done += files_do(FUSE_LINK, link, &hard, 15) == 0;
	files_again();
	return done;
}

/* A link to target: 1 if it is there, and reads as it was said. */
static uint32_t link_keeps(const char *target, uint32_t *through)
{
	static char body[8192] = "link";
	const char *text = files_answer();
	uint32_t n = length(target), same = 1;

	memcpy(body + 5, target, n + 1);
	if (files_do(FUSE_SYMLINK, 1, body, 5 + n + 1) != 0) {
		files_again();
		return 0;
	}
	*through += goes_through(files_node());
	/* what ended the connection took its nodes along */
	if (!files_find(1, "link", 5) ||
	    files_do(FUSE_READLINK, files_node(), NULL, 0) != 0) {
		same = 0;
	}
	for (uint32_t i = 0; i < n; i++) {
		same = same && text[i] == target[i];
	}
	return files_do(FUSE_UNLINK, 1, "link", 5) == 0 ? same : 0;
}

/* A directory and a link change places while both are walked. */
static uint32_t swapped(void)
{
	struct { struct fuse_rename2_in in; char names[16]; } swap = {
		{ .newdir = 1, .flags = EXCHANGE }, "swap\0swop",
	};
	const struct fuse_entry_out *entry = files_answer();
	uint32_t through = 0, links = 0;

	(void)files_make_dir(1, "swap", 5);
	(void)files_make_dir(files_node(), "inside", 7);
	(void)files_do(FUSE_SYMLINK, 1, "swop\0/", 7);
	for (uint32_t i = 0; i < SWAPS; i++) {
		uint64_t node;
		bool link;

		(void)files_do(FUSE_RENAME2, 1, &swap, sizeof(swap.in) + 10);
		if (!files_find(1, "swap", 5)) {
			continue;
		}
		node = entry->nodeid;
		link = (entry->attr.mode & TYPE_MASK) == LINK_TYPE;
		links += link;
		through += files_find(node, "beacon", 7);
		through += files_find(node, "inside", 7) == link;
	}
	report_value("links-swapped", NO_DETAIL, 0, links);
	/* an even number of times: each is where it was */
	(void)files_find(1, "swap", 5);
	(void)files_do(FUSE_RMDIR, files_node(), "inside", 7);
	(void)files_do(FUSE_RMDIR, 1, "swap", 5);
	(void)files_do(FUSE_UNLINK, 1, "swop", 5);
	return through;
}

/** Links that lead out, to themselves, nowhere; of lengths that no link has. */
void run_links(uint64_t unused)
{
	static const char *const targets[] = {
		"/", "..", "../..", "../../../../etc", "/isthmus/isthmus.dtb",
		"link", "./link/../link", ".", "//", "nothing", "a/b/c",
	};
	static char longer[5000];
	uint32_t kept = 0, through = 0;

	(void)unused;
	/* in the root, for who comes there through a link */
	(void)files_make_dir(1, "beacon", 7);
	for (uint32_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		kept += link_keeps(targets[i], &through);
	}
	report_value("links-kept", NO_DETAIL, 0, kept);
	memset(longer, 'x', sizeof(longer) - 1);
	report_value("links-too-long", NO_DETAIL, 0,
		     link_keeps("", &through) + link_keeps(longer, &through));
	report_value("links-followed", NO_DETAIL, 0, through + swapped());
	report_value("links-beacon", NO_DETAIL, 0, (uint64_t)-files_do(
		     FUSE_RMDIR, 1, "beacon", 7));
}

/* SETXATTR as it is told: what the header says, the name, so many bytes behind. */
static int64_t set(uint64_t node, uint32_t size, const char *name,
		   uint32_t name_bytes, uint32_t bytes)
{
	static uint8_t body[COMPAT + 300 + LONGER];
	int64_t error;

	memcpy(body, &(struct fuse_setxattr_in){ .size = size }, COMPAT);
	memcpy(body + COMPAT, name, name_bytes);
	memset(body + COMPAT + name_bytes, 'v', bytes);
	error = files_do(FUSE_SETXATTR, node, body, COMPAT + name_bytes + bytes);
	files_again();
	return error;
}

/* GETXATTR or LISTXATTR with room for so much; and whether the answer has more. */
static int64_t get(uint32_t op, uint64_t node, uint32_t size, const char *name,
		   uint32_t name_bytes)
{
	uint8_t body[sizeof(struct fuse_getxattr_in) + 64];
	int64_t error;

	memset(files_answer(), 0, VALUE + 2);
	memcpy(body, &(struct fuse_getxattr_in){ .size = size },
	       sizeof(struct fuse_getxattr_in));
	memcpy(body + sizeof(struct fuse_getxattr_in), name, name_bytes);
	error = files_do(op, node, body,
			 (uint32_t)sizeof(struct fuse_getxattr_in) +
			 name_bytes);
	files_again();
	return error;
}

/* Whose sizes, names and spaces are none: how many are taken. */
static uint32_t odd_attributes(uint64_t node)
{
	static char longer[280];
	uint32_t taken = 0;

	memset(longer, 'n', sizeof(longer));
	memcpy(longer, "user.", 5);
	longer[sizeof(longer) - 1] = '\0';
	taken += set(node, 200, "user.a", 7, VALUE) == 0;
	taken += set(node, 50, "user.a", 7, VALUE) == 0;
	taken += set(node, ~0u, "user.a", 7, VALUE) == 0;
	taken += set(node, 0x80000000, "user.a", 7, 0) == 0;
	taken += set(node, 0, "user.a", 6, 0) == 0;
	taken += set(node, 0, "", 0, 0) == 0;
	taken += set(node, VALUE, "", 1, VALUE) == 0;
	taken += set(node, VALUE, "user.", 6, VALUE) == 0;
	taken += set(node, VALUE, longer, sizeof(longer), VALUE) == 0;
	taken += set(node, VALUE, "nobody.a", 9, VALUE) == 0;
	taken += set(node, VALUE, "system.posix_acl_access", 24, VALUE) == 0;
	taken += files_do(FUSE_REMOVEXATTR, node, "user.none", 10) == 0;
	taken += files_do(FUSE_REMOVEXATTR, node, "user.a", 6) == 0;
	files_again();
	return taken;
}

static uint64_t file_of_attributes(void)
{
	struct { struct fuse_mknod_in in; char name[8]; } make = {
		{ .mode = 0100644 }, "attrs",
	};

	if (!files_find(1, "attrs", 6)) {
		(void)files_do(FUSE_MKNOD, 1, &make, sizeof(make.in) + 6);
	}
	return files_node();
}

/** Attributes: sizes that are not theirs; one that grows between the question how
 * large it is and the next; more than there is room for. */
void run_attributes(uint64_t unused)
{
	const uint8_t *value = files_answer();
	uint64_t node = file_of_attributes();
	uint32_t n = 0;

	(void)unused;
	report_value("attribute", NO_DETAIL, 0, (uint64_t)-set(node, VALUE,
		     "user.a", 7, VALUE));
	report_value("attributes-odd", NO_DETAIL, 0, odd_attributes(node));
	node = file_of_attributes();
	report_value("attribute-short", NO_DETAIL, 0, (uint64_t)-get(
		     FUSE_GETXATTR, node, VALUE - 1, "user.a", 7));
	report_value("attribute-open", NO_DETAIL, 0,
		     get(FUSE_GETXATTR, node, ~0u, "user.a", 6) == 0);
	(void)get(FUSE_GETXATTR, node, 0, "user.a", 7);
	report_value("attribute-size", NO_DETAIL, 0,
		     ((const struct fuse_getxattr_out *)(const void *)value)->
		     size);
	/* it grows, and the answer must fit what was asked for */
	(void)set(node, LONGER, "user.a", 7, LONGER);
	report_value("attribute-grown", NO_DETAIL, 0, (uint64_t)-get(
		     FUSE_GETXATTR, node, VALUE, "user.a", 7));
	(void)set(node, VALUE, "user.a", 7, VALUE);
	report_value("attribute-then", NO_DETAIL, 0,
		     get(FUSE_GETXATTR, node, ~0u, "user.a", 7) == 0 &&
		     value[0] == 'v' && value[VALUE - 1] == 'v' &&
		     value[VALUE] == 0);
	report_value("attributes-list-short", NO_DETAIL, 0, (uint64_t)-get(
		     FUSE_LISTXATTR, node, 3, "", 0));
	while (n < ATTRIBUTES) {
		char name[] = "user.n000";

		name[6] = (char)('0' + n / 100);
		name[7] = (char)('0' + n / 10 % 10);
		name[8] = (char)('0' + n % 10);
		if (set(node, VALUE, name, sizeof(name), VALUE) != 0) {
			break;
		}
		n++;
	}
	report_value("attributes-full", NO_DETAIL, 0, n < ATTRIBUTES);
	report_value("attributes-gone", NO_DETAIL, 0, (uint64_t)-files_do(
		     FUSE_UNLINK, 1, "attrs", 6));
}
