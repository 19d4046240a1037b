/* SPDX-License-Identifier: MIT */
/*
 * Paths on the volume, or in a Linux through its agent's 9P server. Linux's side
 * is asked while the event loop runs, so every call may take as long as Linux
 * likes; ctrl-c ends it with EINTR. The volume in memory answers at once, one on a
 * disk when its blocks are there.
 *
 * Nothing that Linux says is believed beyond what is shown: a name, a size or a
 * mode of its may be anything.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/files/fuse_service.h"
#include "host-bridge/files/p9_client.h"
#include "host-bridge/fs/volume_call.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/ui/console.h"
#include "host-bridge/ui/places.h"
#include "proto/agent.h"

/* One turn of the loop; false when ctrl-c was typed: the p9_wait_fn. */
static bool wait_for_linux(void *arg)
{
	(void)arg;
	loop_step(LOOP_FOREVER);
	return !console_interrupted();
}

/**
 * The volume's side, which may be NULL. No Linux's is there yet: places_add().
 */
void places_init(struct places *places, struct volume *volume,
		 struct volume_turns *turns, struct fuse_server *files)
{
	places->volume = volume;
	places->turns = turns;
	places->files = files;
	places->linuxes = NULL;
}

/**
 * A Linux's side, behind those before. Nothing is sent to it before it is asked;
 * without memory for the client its side is not there.
 */
int places_add(struct places *places, const char *name, struct vsock *vs)
{
	struct place_linux *new = calloc(1, sizeof(*new));
	struct place_linux **link = &places->linuxes;

	if (!new) {
		return ENOMEM;
	}
	new->name = name;
	new->client = vs ? p9_client_new(vs, AGENT_PORT_9P, wait_for_linux,
					 NULL) : NULL;
	while (*link) {
		link = &(*link)->next;
	}
	*link = new;
	return 0;
}

/**
 * Whether the path names a file in a Linux: something before a colon that comes
 * before any slash. Pure, and no promise that there is such a Linux; a file of
 * the volume's with a name like that has "/" before it.
 */
bool place_in_linux(const char *path)
{
	size_t len = strcspn(path, ":/");

	return len > 0 && path[len] == ':';
}

/** What is behind the name and the colon; of the volume's the path itself. */
const char *place_path(const char *path)
{
	return place_in_linux(path) ? strchr(path, ':') + 1 : path;
}

/* The path in a Linux, or NULL: it is on the volume. */
static const char *linux_path(const char *path)
{
	return place_in_linux(path) ? place_path(path) : NULL;
}

/* Whose files the path names; NULL: there is no such, or it is not there. */
static struct p9_client *client_of(const struct places *places,
				   const char *path)
{
	size_t len = strcspn(path, ":");
	const struct place_linux *l = places->linuxes;

	while (l && (strlen(l->name) != len ||
		     memcmp(l->name, path, len) != 0)) {
		l = l->next;
	}
	if (!l && len == strlen(PLACE_LINUX) &&
	    memcmp(path, PLACE_LINUX, len) == 0) {
		l = places->linuxes;
	}
	return l ? l->client : NULL;
}

/* Whether the side that a path is on is there: 0 or ENODEV. *client: whose it
 * is, NULL: the volume's. */
static int side(const struct places *places, const char *path,
		struct p9_client **client)
{
	bool in_linux = place_in_linux(path);

	*client = in_linux ? client_of(places, path) : NULL;
	return (in_linux ? (void *)*client : (void *)places->volume) ? 0 :
	       ENODEV;
}

/* A time as the volume has it, of nanoseconds since 1970. */
static struct volume_time linux_time(int64_t ns)
{
	int64_t rest = ns % 1000000000;

	rest += rest < 0 ? 1000000000 : 0;
	return (struct volume_time){
		.sec = (ns - rest) / 1000000000, .nsec = (uint32_t)rest,
	};
}

static int stat_linux(struct p9_client *client, const char *path, bool follow,
		      struct place_stat *st)
{
	struct p9_attr attr;
	int error = p9_client_stat(client, path, follow, &attr);

	if (error == 0) {
		*st = (struct place_stat){
			.side = client,
			/* Inode numbers of Linux's: not comparable with the
			 * volume's. */
			.id = attr.qid.path,
			.mode = attr.mode,
			.size = attr.size,
			.mtime = linux_time(attr.mtime),
		};
	}
	return error;
}

static int stat_volume(const struct places *p, const char *path, bool follow,
		       struct place_stat *st)
{
	struct volume *volume = p->volume;
	struct volume_attr attr;
	uint32_t ino;
	int error = VOLUME_LOOK(p->turns, volume_path(volume, path, follow,
						      &ino));

	if (error == 0) {
		error = VOLUME_LOOK(p->turns, volume_getattr(volume, ino,
							     &attr));
	}
	if (error == 0) {
		*st = (struct place_stat){
			.id = ino,
			.mode = attr.mode,
			.size = attr.size,
			.mtime = attr.mtime,
		};
	}
	return error;
}

/**
 * What is at path; follow decides about a link in the last component. Returns
 * 0, ENODEV (that side is not there), or an error of its side's: see
 * volume_path() and p9_client_stat(). So do all that follow.
 */
int place_stat(const struct places *places, const char *path, bool follow,
	       struct place_stat *st)
{
	const char *in_linux = linux_path(path);
	struct p9_client *client;
	int error = side(places, path, &client);

	if (error != 0) {
		return error;
	}
	return in_linux ? stat_linux(client, in_linux, follow, st) :
			  stat_volume(places, path, follow, st);
}

struct list_arg {
	bool (*fn)(void *arg, const char *name, size_t len);
	void *arg;
	uint64_t cookie;		/* behind the last */
	bool any, ended;		/* one was shown; fn has seen enough */
};

/* The volume's entries as place_list() shows them. */
static bool list_entry(void *arg, const struct volume_entry *entry)
{
	struct list_arg *list = arg;

	list->any = true;
	list->cookie = entry->cookie;
	list->ended = !list->fn(list->arg, entry->name, entry->name_len);
	return !list->ended;
}

/* A directory on a disk may be shown in parts; nothing is shown at its end. */
static int list_volume(const struct places *p, uint32_t ino,
		       struct list_arg *list)
{
	int error;

	do {
		list->any = false;
		error = VOLUME_LOOK(p->turns,
				    volume_readdir(p->volume, ino, list->cookie,
						   list_entry, list));
	} while (error == 0 && list->any && !list->ended && p->turns);
	return error;
}

/**
 * Shows the names in a directory to fn, in the order the file system has them,
 * "." and ".." among them where the side shows them, until it returns false. fn
 * must not use places: either side would be entered a second time.
 */
int place_list(const struct places *places, const char *path,
	       bool (*fn)(void *arg, const char *name, size_t len), void *arg)
{
	const char *in_linux = linux_path(path);
	struct list_arg list = { .fn = fn, .arg = arg };
	struct p9_client *client;
	int error = side(places, path, &client);
	uint32_t ino;

	if (error == 0 && in_linux) {
		return p9_client_list(client, in_linux, fn, arg);
	}
	if (error == 0) {
		error = VOLUME_LOOK(places->turns,
				    volume_path(places->volume, path, true,
						&ino));
	}
	return error ? error : list_volume(places, ino, &list);
}

/* As p9_client_open(), on the volume: *ino is held after 0. */
static int open_volume(const struct places *places, const char *path,
		       bool create, uint32_t *ino)
{
	struct volume *volume = places->volume;
	const struct volume_attr empty = { .size = 0 };
	const struct volume_make make = { .mode = VOLUME_S_IFREG | 0644 };
	struct volume_attr attr;
	const char *name = "";
	uint32_t dir = 0;
	size_t len;
	struct volume_turns *turns = places->turns;
	int error = VOLUME_LOOK(turns, volume_path(volume, path, true, ino));

	if (error == ENOENT && create) {
		/* EEXIST from volume_create(): the name is a link that leads
		 * nowhere. */
		error = VOLUME_LOOK(turns, volume_path_parent(
					    volume, path, &dir, &name, &len));
		if (error == 0) {
			error = VOLUME_CHANGE(turns, volume_create(
				volume, dir, name, len, &make, ino));
		}
	} else if (error == 0 && create) {
		/* That waits, and Linux may remove it meanwhile. */
		if (VOLUME_LOOK(turns, volume_path_parent(
				volume, path, &dir, &name, &len)) != 0) {
			len = 0;
		}
		error = VOLUME_LOOK(turns, volume_hold(volume, *ino));
		if (error == 0) {
			fuse_service_lock(places->files, *ino, dir, name, len);
			error = VOLUME_CHANGE(turns, volume_setattr(
				volume, *ino, VOLUME_SET_SIZE, &empty));
			volume_release(volume, *ino);
		}
	}
	if (error == 0) {
		error = VOLUME_LOOK(turns, volume_getattr(volume, *ino,
							  &attr));
	}
	if (error == 0 && (attr.mode & VOLUME_S_IFMT) != VOLUME_S_IFREG) {
		error = (attr.mode & VOLUME_S_IFMT) == VOLUME_S_IFDIR ?
			EISDIR : EINVAL;
	}
	/* Held, so that it can be read to its end even if Linux removes it. */
	return error ? error : VOLUME_LOOK(turns, volume_hold(volume, *ino));
}

/**
 * Opens a regular file for reading, or with create makes or empties it for
 * writing; after 0, and only then, close it with place_close(). EISDIR, or
 * EINVAL for what is neither file nor directory.
 */
int place_open(const struct places *places, const char *path, bool create,
	       struct place_file *file)
{
	const char *in_linux = linux_path(path);
	int error = side(places, path, &file->client);

	file->places = places;
	if (error != 0) {
		return error;
	}
	return in_linux ? p9_client_open(file->client, in_linux, create,
					 &file->id) :
			  open_volume(places, path, create, &file->id);
}

/**
 * Reads up to len bytes from offset on; *done may be less, and 0 is the end of
 * the file. EBADF from Linux's side: the connection was lost.
 */
int place_read(struct place_file *file, uint64_t offset, void *buf,
	       size_t len, size_t *done)
{
	const struct places *p = file->places;

	return file->client ?
	       p9_client_read(file->client, file->id, offset, buf, len, done) :
	       VOLUME_LOOK(p->turns, volume_read(p->volume, file->id, offset,
						 buf, len, done));
}

/**
 * Writes up to len bytes at offset; *done may be less. The volume takes at
 * least a byte or fails; Linux may claim to have taken none.
 */
int place_write(struct place_file *file, uint64_t offset, const void *buf,
		size_t len, size_t *done)
{
	const struct places *p = file->places;

	return file->client ?
	       p9_client_write(file->client, file->id, offset, buf, len, done) :
	       VOLUME_CHANGE(p->turns, volume_write(p->volume, file->id, offset,
						    buf, len, done));
}

/**
 * Ends the use of an open file. Cannot fail: writes are complete when
 * place_write() returns.
 */
void place_close(struct place_file *file)
{
	if (file->client) {
		p9_client_close(file->client, file->id);
	} else {
		volume_release(file->places->volume, file->id);
	}
}

/**
 * Makes a directory whose parent exists. EEXIST when there is anything at path,
 * be it a link that leads nowhere.
 */
int place_mkdir(const struct places *places, const char *path)
{
	const struct volume_make make = { .mode = VOLUME_S_IFDIR | 0755 };
	struct volume *volume = places->volume;
	const char *in_linux = linux_path(path);
	struct p9_client *client;
	const char *name;
	uint32_t ino, dir;
	size_t len;
	int error = side(places, path, &client);

	if (error != 0 || in_linux) {
		return error ? error : p9_client_mkdir(client, in_linux);
	}
	error = VOLUME_LOOK(places->turns, volume_path(volume, path, true,
						       &ino));
	if (error != ENOENT) {
		return error ? error : EEXIST;
	}
	error = VOLUME_LOOK(places->turns, volume_path_parent(
				    volume, path, &dir, &name, &len));
	return error ? error :
	       VOLUME_CHANGE(places->turns, volume_create(
				     volume, dir, name, len, &make, &ino));
}

/**
 * Removes a name: unlink, or rmdir for an empty directory. A link is removed
 * itself, not what it leads to.
 */
int place_remove(const struct places *places, const char *path)
{
	struct volume *volume = places->volume;
	const char *in_linux = linux_path(path);
	struct p9_client *client;
	const char *name;
	uint32_t dir;
	size_t len;
	int error = side(places, path, &client);

	if (error != 0 || in_linux) {
		return error ? error : p9_client_remove(client, in_linux);
	}
	error = VOLUME_LOOK(places->turns, volume_path_parent(
				    volume, path, &dir, &name, &len));
	if (error == 0) {
		error = VOLUME_CHANGE(places->turns, volume_unlink(
					      volume, dir, name, len));
	}
	return error != EISDIR ? error :
	       VOLUME_CHANGE(places->turns, volume_rmdir(volume, dir, name,
							 len));
}

/**
 * Gives a file or directory another name, in one step: who looks finds the one or
 * the other. What had the name is replaced, if it is not a directory with names in
 * it. EXDEV: the names are on two sides. A link is renamed itself.
 */
int place_rename(const struct places *places, const char *from,
		 const char *to)
{
	struct volume *volume = places->volume;
	struct p9_client *client, *new_client;
	const char *name, *new_name;
	size_t len, new_len;
	uint32_t dir, new_dir;
	int error = side(places, from, &client);

	if (error == 0) {
		error = side(places, to, &new_client);
	}
	if (error == 0 && client != new_client) {
		error = EXDEV;
	}
	if (error != 0 || client) {
		return error ? error : p9_client_rename(client, place_path(from),
							place_path(to));
	}
	error = VOLUME_LOOK(places->turns, volume_path_parent(
				    volume, from, &dir, &name, &len));
	if (error == 0) {
		error = VOLUME_LOOK(places->turns, volume_path_parent(
					    volume, to, &new_dir, &new_name,
					    &new_len));
	}
	return error ? error :
	       VOLUME_CHANGE(places->turns, volume_rename(
				     volume, dir, name, len, new_dir, new_name,
				     new_len, 0));
}
