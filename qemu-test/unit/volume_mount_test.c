/* SPDX-License-Identifier: MIT */
/*
 * Linux as judge of what a power cut has left of a volume: its ext4 mounts the
 * image as it is, and brings it back itself, and mounts what our recovery has
 * brought back; either time names, what is said of them, and contents must be what
 * our own code finds. For root, and where loop devices are; else it is skipped.
 * CRASH_STATES / 25: how many, about.
 */
#define _GNU_SOURCE			/* memfd_create(), unshare() */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/fs.h>
#include <linux/loop.h>

#include "qemu-test/unit/volume_crash.h"

static struct run the_run;
static struct image made, raw, ours;
static int file;			/* what the loop device has */
static char folder[] = "/tmp/isthmus-mount-XXXXXX";
static unsigned states;

/* Mounts what is in the file. Returns 0, or what Linux says. */
static int mount_file(unsigned long flags)
{
	struct loop_config config = {
		.fd = (uint32_t)file,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int n = control >= 0 ? ioctl(control, LOOP_CTL_GET_FREE) : -1;
	int error = n >= 0 ? 0 : errno, loop = -1;
	char path[32];

	if (error == 0) {
		snprintf(path, sizeof(path), "/dev/loop%d", n);
		loop = open(path, O_RDWR | O_CLOEXEC);
		error = loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &config) == 0 &&
			mount(path, folder, "ext4", flags, "") == 0 ? 0 : errno;
	}
	if (loop >= 0) {
		close(loop);
	}
	if (control >= 0) {
		close(control);
	}
	return error;
}

static void take_file(struct tree *tree, const char *path,
		      const struct stat *st)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct tree_file *to = &tree->files[tree->count];
	long gen = 0;

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, FS_IOC_GETVERSION, &gen), 0);
	tree_say(tree, " #%u.%u %lu", (unsigned)st->st_ino, (unsigned)gen,
		 (unsigned long)st->st_size);
	if (tree_file(tree, (uint32_t)st->st_ino, (uint32_t)gen) == NULL) {
		assert_true(tree->count < TREE_FILES);
		tree->count++;
		*to = (struct tree_file){ (uint32_t)st->st_ino, (uint32_t)gen,
					  (uint64_t)st->st_size, NULL };
		to->data = malloc(to->size + 1);
		assert_non_null(to->data);
		assert_int_equal(read(fd, to->data, to->size + 1), to->size);
	}
	close(fd);
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* As tree_take() says it. */
static void take_dir(struct tree *tree, const char *below)
{
	char path[600], name[512], text[1024];
	struct dirent **entries;
	int n;

	snprintf(path, sizeof(path), "%s%s", folder, below);
	n = scandir(path, &entries, visible, by_name);
	assert_true(n >= 0);
	for (int i = 0; i < n; i++) {
		struct stat st;
		ssize_t len;

		snprintf(name, sizeof(name), "%s/%s", below,
			 entries[i]->d_name);
		free(entries[i]);
		snprintf(path, sizeof(path), "%s%s", folder, name);
		assert_int_equal(lstat(path, &st), 0);
		tree_say(tree, "%s %o %u %u", name, st.st_mode,
			 (unsigned)st.st_nlink, st.st_uid);
		if (S_ISREG(st.st_mode)) {
			take_file(tree, path, &st);
		} else if (S_ISLNK(st.st_mode)) {
			len = readlink(path, text, sizeof(text));
			tree_say(tree, " -> %.*s", (int)len, text);
		}
		len = lgetxattr(path, "user.x", text, sizeof(text));
		if (len >= 0) {
			tree_say(tree, " x=%.*s", (int)len, text);
		}
		tree_say(tree, "\n");
		if (S_ISDIR(st.st_mode)) {
			take_dir(tree, name);
		}
	}
	free(entries);
}

static void same(const struct tree *a, const struct tree *b, const char *what)
{
	if (strcmp(a->text, b->text) != 0) {
		size_t at = 0;

		while (a->text[at] == b->text[at]) {
			at++;
		}
		at -= at < 40 ? at : 40;
		print_message("Linux: %.400s\nours: %.400s\n", a->text + at,
			      b->text + at);
		fail_msg("%s: Linux finds something else", what);
	}
	for (unsigned i = 0; i < a->count; i++) {
		const struct tree_file *x = &a->files[i];
		const struct tree_file *y = tree_file(b, x->ino, x->gen);

		assert_non_null(y);
		assert_int_equal(x->size, y->size);
		if (memcmp(x->data, y->data, x->size) != 0) {
			fail_msg("%s: inode %u has other content in Linux",
				 what, x->ino);
		}
	}
}

static void linux_finds(const struct image *im, unsigned long flags,
			const struct tree *want, const char *what)
{
	static struct tree tree;
	int error;

	assert_int_equal(pwrite(file, im->data, im->size, 0), im->size);
	error = mount_file(flags);
	if (error != 0) {
		fail_msg("%s: Linux does not mount it: %s", what,
			 strerror(error));
	}
	tree.len = tree.count = 0;
	take_dir(&tree, "");
	assert_int_equal(umount2(folder, 0), 0);
	same(&tree, want, what);
	tree_free(&tree);
}

static void never(void *arg)
{
	(void)arg;
	fail_msg("a volume in memory has no block that is absent");
}

static void judge(void)
{
	static struct tree tree;
	struct journal_found found;
	struct volume_dev *mem;
	struct image_dev dev;
	char why[JOURNAL_WHY];
	struct volume *vol;

	states++;
	memcpy(ours.data, raw.data, raw.size);
	image_dev_open(&dev, &ours);
	assert_int_equal(image_recover(&dev, &found, why), 0);
	image_needs_recovery(&ours, false);
	assert_int_equal(volume_mem_open(ours.data, ours.size, &mem), 0);
	assert_int_equal(volume_open(mem, &vol), 0);
	tree_take(&tree, vol, never, NULL);
	assert_int_equal(volume_close(vol), 0);
	mem->ops->close(mem);
	linux_finds(&raw, 0, &tree, "brought back by Linux");
	linux_finds(&ours, MS_RDONLY, &tree, "brought back by us");
	tree_free(&tree);
}

static bool may_mount(void)
{
	int error;

	if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
		print_message("SKIPPED: Linux as judge: this is not root\n");
		return false;
	}
	assert_int_equal(pwrite(file, made.data, made.size, 0), made.size);
	error = mount_file(MS_RDONLY);
	if (error != 0) {
		print_message("SKIPPED: Linux as judge: a loop device cannot "
			      "be mounted: %s\n", strerror(error));
		return false;
	}
	assert_int_equal(umount2(folder, 0), 0);
	return true;
}

static void linux_judges(uint32_t block_size, const char *size,
			 const char *options, unsigned most)
{
	struct run *r = &the_run;
	struct fake_cuts cuts;
	bool may;

	image_make(&made, block_size, size, options,
		   "mkdir d\nmkdir empty\nwrite a a\nwrite b b\nwrite c d/a\n");
	file = memfd_create("mounted", MFD_CLOEXEC);
	assert_int_equal(ftruncate(file, (off_t)made.size), 0);
	may = may_mount();
	if (!may) {
		close(file);
		image_free(&made);
		rmdir(folder);
		skip();
	}
	image_copy(&raw, &made);
	image_copy(&ours, &made);
	for (uint64_t seed = 1; seed <= 8; seed++) {
		uint64_t chance = seed;

		crash_start(r, &made, 77 * seed);
		crash_random(r, seed % 2 != 0 ? op_random : op_hashed, seed);
		fake_cuts_begin(&cuts, &r->disk);
		for (unsigned i = 0; i < most / 8; i++) {
			fake_cuts_to(&cuts, r->disk.time * (i + 1ull) /
				     (most / 8));
			fake_cuts_make(&cuts, (enum fake_cut)(i % FAKE_CUTS),
				       &chance, raw.data);
			judge();
		}
		fake_cuts_end(&cuts);
		crash_finish(r);
	}
	close(file);
	image_free(&made);
	image_free(&raw);
	image_free(&ours);
}

static unsigned most(void)
{
	const char *value = getenv("CRASH_STATES");

	return (value != NULL ? (unsigned)atoi(value) : 5000) / 25 / 2 + 8;
}

static void test_small_blocks(void **state)
{
	(void)state;
	linux_judges(1024, "2600K", "-N 64 -J size=1", most());
}

static void test_large_blocks(void **state)
{
	(void)state;
	linux_judges(4096, "9M", "-N 64 -J size=4", most());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_blocks),
		cmocka_unit_test(test_large_blocks),
	};
	int failed;

	if (mkdtemp(folder) == NULL) {
		perror(folder);
		return 1;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	print_message("%u states, each by Linux twice\n", states);
	umount2(folder, 0);
	rmdir(folder);
	return failed;
}
