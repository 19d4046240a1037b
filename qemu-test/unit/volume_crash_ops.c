/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "qemu-test/unit/volume_crash.h"

static uint32_t find(struct run *r, const char *path)
{
	uint32_t ino = 0;
	int error;

	while ((error = volume_path(r->vol, path, false, &ino)) == EAGAIN) {
		again(r);
	}
	return error == 0 ? ino : 0;
}

static const struct volume_make file_make = {
	.mode = VOLUME_S_IFREG | 0644, .uid = 7,
};
static const struct volume_make dir_make = { .mode = VOLUME_S_IFDIR | 0755 };

static int op_create(struct run *r)
{
	uint32_t ino;

	return volume_create(r->vol, VOLUME_ROOT, NAME("new"), &file_make,
			     &ino);
}

static int op_mkdir(struct run *r)
{
	uint32_t ino;

	return volume_create(r->vol, find(r, "/d"), NAME("newdir"), &dir_make,
			     &ino);
}

static int op_symlink(struct run *r)
{
	uint32_t ino;

	return volume_symlink(r->vol, VOLUME_ROOT, NAME("sym"), NAME("d/a"),
			      &file_make, &ino);
}

static int op_link(struct run *r)
{
	return volume_link(r->vol, find(r, "/a"), find(r, "/d"), NAME("hard"));
}

static int op_unlink(struct run *r)
{
	return volume_unlink(r->vol, VOLUME_ROOT, NAME("a"));
}

static int op_rmdir(struct run *r)
{
	return volume_rmdir(r->vol, VOLUME_ROOT, NAME("empty"));
}

static int op_rename(struct run *r)
{
	return volume_rename(r->vol, VOLUME_ROOT, NAME("b"), find(r, "/d"),
			     NAME("a"), 0);
}

/* No two operations write the same at a place, so that it shows whose it is. */
static void fill(const struct run *r, uint8_t *data, size_t len)
{
	uint64_t seed = r->done;

	for (size_t i = 0; i < len; i++) {
		data[i] = (uint8_t)(fake_chance(&seed) % 255 + 1);
	}
}

/* at: from the end of the file on, if from_end. */
static int write_at(struct run *r, const char *path, bool from_end,
		    uint64_t at, size_t len)
{
	static uint8_t data[16384];
	struct volume_attr attr = { .size = 0 };
	uint32_t ino = find(r, path);
	size_t done;
	int error = ino == 0 ? ENOENT : from_end
		    ? volume_getattr(r->vol, ino, &attr) : 0;

	fill(r, data, len);
	return error == 0 ? volume_write(r->vol, ino, attr.size + at, data, len,
					 &done) : error;
}

static int op_write(struct run *r)
{
	return write_at(r, "/b", false, 1000, 3000);
}

static int op_append(struct run *r)
{
	return write_at(r, "/d/a", true, 0, 7000);
}

static int op_truncate(struct run *r)
{
	struct volume_attr attr = { .size = 1500 };
	uint32_t ino = find(r, "/b");

	return ino != 0 ? volume_setattr(r->vol, ino, VOLUME_SET_SIZE, &attr)
			: ENOENT;
}

static int op_fallocate(struct run *r)
{
	struct volume_attr attr;
	uint32_t ino = find(r, "/a");
	int error = ino != 0 ? volume_getattr(r->vol, ino, &attr) : ENOENT;

	return error == 0 ? volume_fallocate(r->vol, ino, 0, attr.size - 500,
					     9000) : error;
}

static int op_xattr(struct run *r)
{
	uint32_t ino = find(r, "/a");
	char value[300];

	memset(value, 'x', sizeof(value));
	return ino != 0 ? volume_xattr_set(r->vol, ino, "user.x", value,
					   sizeof(value), 0) : ENOENT;
}

const struct step steps[OPERATIONS] = {
	{ op_create, "/new" }, { op_mkdir, "/d" }, { op_symlink, "/" },
	{ op_link, "/d/hard" }, { op_unlink, "/" }, { op_rmdir, "/" },
	{ op_rename, "/d/a" }, { op_write, "/b" }, { op_append, "/d/a" },
	{ op_truncate, "/b" }, { op_fallocate, "/a" }, { op_xattr, "/a" },
};

/* For Linux only files and directories have attributes of users. */
static bool no_link(struct run *r, uint32_t ino)
{
	struct volume_attr attr;
	int error;

	while ((error = volume_getattr(r->vol, ino, &attr)) == EAGAIN) {
		again(r);
	}
	return error == 0 && (attr.mode & VOLUME_S_IFMT) != VOLUME_S_IFLNK;
}

/* Anything, on a few names in two directories; the same each time it is tried. */
int op_random(struct run *r)
{
	static const char *const dirs[] = { "/", "/d" };
	static const unsigned modes[] = {
		0, VOLUME_FALLOC_KEEP_SIZE, VOLUME_FALLOC_ZERO,
		VOLUME_FALLOC_PUNCH | VOLUME_FALLOC_KEEP_SIZE,
	};
	static uint8_t data[6000];
	uint64_t seed = r->seed;
	char name[8], other[8], path[32];
	uint32_t from = find(r, dirs[fake_chance(&seed) % 2]);
	uint32_t to = find(r, dirs[fake_chance(&seed) % 2]), ino;
	struct volume_attr attr;
	size_t done;
	uint64_t at, len;

	sprintf(name, "n%u", (unsigned)(fake_chance(&seed) % 5));
	sprintf(other, "n%u", (unsigned)(fake_chance(&seed) % 5));
	sprintf(path, "%s/%s", from == VOLUME_ROOT ? "" : "/d", name);
	at = fake_chance(&seed) % 9000;
	len = 1 + fake_chance(&seed) % sizeof(data);
	fill(r, data, len);
	attr = (struct volume_attr){ .size = at };
	ino = find(r, path);
	switch (fake_chance(&seed) % 16) {
	case 0:
		return volume_create(r->vol, from, NAME(name), &dir_make, &ino);
	case 1:
		return volume_symlink(r->vol, from, NAME(name), NAME(path),
				      &file_make, &ino);
	case 2:
		return volume_link(r->vol, ino, to, NAME(other));
	case 3:
	case 4:
		return volume_unlink(r->vol, from, NAME(name));
	case 5:
		return volume_rmdir(r->vol, from, NAME(name));
	case 6:
	case 7:
		return volume_rename(r->vol, from, NAME(name), to, NAME(other),
				     0);
	case 8:
		return volume_setattr(r->vol, ino, VOLUME_SET_SIZE, &attr);
	case 9:
		return volume_fallocate(r->vol, ino, modes[fake_chance(&seed)
					% 4], at, len);
	case 10:
		memset(data, 'A' + (int)(r->done % 50), len);
		return no_link(r, ino) ? volume_xattr_set(r->vol, ino,
				"user.x", data, len % 700, 0) : EPERM;
	case 11:
	case 12:
	case 13:
		return volume_write(r->vol, ino, at, data, len, &done);
	default:
		return volume_create(r->vol, from, NAME(name), &file_make,
				     &ino);
	}
}

/* Names that fill blocks of 1 KiB soon: most come, some go or move. */
int op_hashed(struct run *r)
{
	uint64_t seed = r->seed;
	char name[128], other[128];
	uint32_t dir = find(r, "/d"), ino;

	sprintf(name, "%02u%0100u", (unsigned)(fake_chance(&seed) % 30), 0);
	sprintf(other, "%02u%060u", (unsigned)(fake_chance(&seed) % 30), 0);
	switch (fake_chance(&seed) % 8) {
	case 0:
		return volume_unlink(r->vol, dir, NAME(name));
	case 1:
		return volume_rename(r->vol, dir, NAME(name), dir, NAME(other),
				     0);
	case 2:
	case 3:
		return volume_link(r->vol, find(r, "/a"), dir, NAME(name));
	default:
		return volume_create(r->vol, dir, NAME(name), &file_make, &ino);
	}
}

int op_many(struct run *r)
{
	struct volume_attr attr = { .mode = 0600 };
	char name[16];
	uint32_t ino;

	sprintf(name, "f%u", r->files % 700);
	if (r->files >= 700) {
		sprintf(name, "/f%u", r->files % 700);
		return volume_setattr(r->vol, find(r, name), VOLUME_SET_MODE,
				      &attr);
	}
	return volume_create(r->vol, VOLUME_ROOT, NAME(name), &file_make,
			     &ino);
}
