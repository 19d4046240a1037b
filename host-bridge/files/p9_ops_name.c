/* SPDX-License-Identifier: MIT */
/*
 * 9P requests that look names up or change them: attach, walk, make, link,
 * rename, remove. What is a name at all is the volume's to say. All make new
 * files on behalf of the fid's user; rights are checked by the client's kernel,
 * which has the whole volume anyway.
 *
 * Names are taken as they stand, "." and ".." too, which are entries of a
 * directory like others: ".." of the root is the root, so no walk leaves the
 * volume.
 */
#include <errno.h>

#include "host-bridge/files/p9_server_int.h"

/**
 * Tattach: fid afid[4] uname aname n_uname[4] -> qid. fid becomes the root,
 * used by n_uname and by who walks from it. afid must be P9_NOFID: there is no
 * Tauth. [9P2000.L "attach"]
 */
int p9_attach(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	uint32_t id = p9_get32(r);
	uint32_t afid = p9_get32(r);
	struct p9_str aname;
	uint32_t uid;
	struct p9_user *user;
	struct p9_fid *fid;
	struct p9_qid qid;
	int error;

	p9_getstr(r);			/* uname: the number counts */
	aname = p9_getstr(r);
	uid = p9_get32(r);
	if (!p9_complete(r) || afid != P9_NOFID) {
		return EINVAL;
	}
	if (aname.len > 1 || (aname.len == 1 && aname.s[0] != '/')) {
		return ENOENT;		/* there is one tree only */
	}
	/* Linux sends -1 where it attaches for nobody in particular. */
	user = p9_user_get(s, uid == UINT32_MAX ? 0 : uid);
	if (user == NULL) {
		return ENOMEM;
	}
	error = p9_fid_new(s, id, VOLUME_ROOT, user, &fid);
	if (error != 0) {
		p9_user_put(s, user);
		return error;
	}
	fid->parent = VOLUME_ROOT;
	error = p9_qid(s, VOLUME_ROOT, &qid);
	p9_putqid(&p->w, &qid);
	return error;
}

/* A walk under way: the file it is at and the directory it came by. */
struct walk {
	uint32_t ino, parent;
	uint64_t cookie;
	uint16_t done;			/* names walked */
	struct p9_qid qids[P9_WALK_MAX];
};

/* Walks the names from walk->ino as far as they go. An error counts only if it
 * is the first name's: else the reply shows how far it went. [9P2000.L
 * "walk"] */
static int walk_names(struct p9_session *s, struct walk *walk,
		      const struct p9_str *names, uint16_t count)
{
	int error = 0;

	while (walk->done < count) {
		uint64_t cookie;
		uint32_t ino;

		error = volume_lookup_entry(s->vol, walk->ino,
					    names[walk->done].s,
					    names[walk->done].len, &ino,
					    &cookie);
		if (error == 0) {
			error = p9_qid(s, ino, &walk->qids[walk->done]);
		}
		if (error != 0) {
			break;
		}
		walk->parent = walk->ino;
		walk->ino = ino;
		walk->cookie = cookie;
		walk->done++;
	}
	return walk->done > 0 ? 0 : error;
}

/* Makes newid the end of a complete walk from fid: a new fid, not open, of the
 * same user; or fid itself, moved. */
static int walk_fid(struct p9_session *s, struct p9_fid *fid, uint32_t newid,
		    const struct walk *walk)
{
	int error;

	if (newid == fid->fid) {
		error = p9_fid_move(s, fid, walk->ino);
	} else {
		error = p9_fid_new(s, newid, walk->ino, fid->user, &fid);
	}
	if (error == 0) {
		fid->parent = walk->parent;
		fid->cookie = walk->cookie;
	}
	return error;
}

/**
 * Twalk: fid newfid nwname[2] nwname*(name) -> nwqid[2] nwqid*(qid). No name:
 * newfid is a copy of fid. newfid comes into being only if every name was
 * found; the client sees it by the count. [9P2000.L "walk"]
 */
int p9_walk(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	struct p9_str names[P9_WALK_MAX];
	uint32_t id = p9_get32(r);
	uint32_t newid = p9_get32(r);
	uint16_t count = p9_get16(r);
	struct walk walk;
	struct p9_fid *fid;
	int error = p9_fid_file(s, id, &fid);

	/* Before names[] is filled. */
	if (count > P9_WALK_MAX) {
		return EINVAL;
	}
	for (uint16_t i = 0; i < count; i++) {
		names[i] = p9_getstr(r);
	}
	if (!p9_complete(r)) {
		return EINVAL;
	}
	if (error != 0) {
		return error;
	}
	/* An open fid stays where it is. */
	if (newid == id ? fid->is_open : p9_fid_find(s, newid) != NULL) {
		return EINVAL;
	}
	walk.ino = fid->ino;
	walk.parent = fid->parent;
	walk.cookie = fid->cookie;
	walk.done = 0;
	error = walk_names(s, &walk, names, count);
	if (error == 0 && walk.done == count) {
		error = walk_fid(s, fid, newid, &walk);
	}
	p9_put16(&p->w, walk.done);
	for (uint16_t i = 0; i < walk.done; i++) {
		p9_putqid(&p->w, &walk.qids[i]);
	}
	return error;
}

/* Answers a request that made a file with its qid. ino means nothing if there
 * was an error. */
static int made(struct p9_session *s, int error, uint32_t ino,
		struct p9_reply *p)
{
	struct p9_qid qid;

	if (error == 0) {
		error = p9_qid(s, ino, &qid);
	}
	if (error == 0) {
		p9_putqid(&p->w, &qid);
	}
	return error;
}

/* Makes a file under the user of the directory's fid, which is what the request
 * says; then as made(). EINVAL for a request that is not whole. */
static int make_in(struct p9_session *s, const struct p9_reader *r,
		   uint32_t id, const struct p9_str *name,
		   struct volume_make *make, struct p9_reply *p)
{
	struct p9_fid *dir;
	uint32_t ino = 0;
	int error;

	if (!p9_complete(r)) {
		return EINVAL;
	}
	error = p9_fid_file(s, id, &dir);
	if (error == 0) {
		make->uid = dir->uid;
		error = volume_create(s->vol, dir->ino, name->s, name->len,
				      make, &ino);
	}
	return made(s, error, ino, p);
}

/**
 * Tsymlink: dfid name target gid[4] -> qid. Whatever text the target is, it is
 * kept as it is. [9P2000.L "symlink"]
 */
int p9_symlink(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	struct volume_make make = { 0 };
	uint32_t id = p9_get32(r);
	struct p9_str name = p9_getstr(r);
	struct p9_str target = p9_getstr(r);
	struct p9_fid *dir;
	uint32_t ino = 0;
	int error = p9_fid_file(s, id, &dir);

	make.gid = p9_get32(r);
	if (!p9_complete(r)) {
		return EINVAL;
	}
	if (error == 0) {
		make.uid = dir->uid;
		error = volume_symlink(s->vol, dir->ino, name.s, name.len,
				       target.s, target.len, &make, &ino);
	}
	return made(s, error, ino, p);
}

/**
 * Tmknod: dfid name mode[4] major[4] minor[4] gid[4] -> qid. A device is
 * nothing but its numbers here; EINVAL for numbers that an inode has no room
 * for. Directories and links have requests of their own. [9P2000.L "mknod"]
 */
int p9_mknod(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	struct volume_make make = { 0 };
	uint32_t id = p9_get32(r);
	struct p9_str name = p9_getstr(r);
	uint32_t type;

	make.mode = p9_get32(r) & (VOLUME_S_IFMT | 07777);
	make.rdev_major = p9_get32(r);
	make.rdev_minor = p9_get32(r);
	make.gid = p9_get32(r);
	type = make.mode & VOLUME_S_IFMT;
	if ((type != VOLUME_S_IFREG && type != VOLUME_S_IFIFO &&
	     type != VOLUME_S_IFSOCK && type != VOLUME_S_IFCHR &&
	     type != VOLUME_S_IFBLK) ||
	    make.rdev_major > 0xfff || make.rdev_minor > 0xfffff) {
		return EINVAL;
	}
	return make_in(s, r, id, &name, &make, p);
}

/** Tmkdir: dfid name mode[4] gid[4] -> qid. [9P2000.L "mkdir"] */
int p9_mkdir(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	struct volume_make make = { 0 };
	uint32_t id = p9_get32(r);
	struct p9_str name = p9_getstr(r);

	make.mode = (p9_get32(r) & 07777) | VOLUME_S_IFDIR;
	make.gid = p9_get32(r);
	return make_in(s, r, id, &name, &make, p);
}

/**
 * Tlink: dfid fid name -> (nothing). fid's file gets a further name in dfid;
 * not a directory (EPERM). [9P2000.L "link"]
 */
int p9_link(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	uint32_t dir_id = p9_get32(r);
	uint32_t id = p9_get32(r);
	struct p9_str name = p9_getstr(r);
	struct p9_fid *dir, *fid;
	int error = p9_fid_file(s, dir_id, &dir);

	(void)p;
	if (!p9_complete(r)) {
		return EINVAL;
	}
	if (error == 0) {
		error = p9_fid_file(s, id, &fid);
	}
	return error != 0 ? error : volume_link(s->vol, fid->ino, dir->ino,
						name.s, name.len);
}

/**
 * Tunlinkat: dfid name flags[4] -> (nothing). With P9_AT_REMOVEDIR it is an
 * empty directory, else anything but one. A file that a fid holds lives on
 * without a name. [9P2000.L "unlinkat"]
 */
int p9_unlinkat(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	uint32_t id = p9_get32(r);
	struct p9_str name = p9_getstr(r);
	uint32_t flags = p9_get32(r);
	struct p9_fid *dir;
	int error = p9_fid_file(s, id, &dir);

	(void)p;
	if (!p9_complete(r) || (flags & ~P9_AT_REMOVEDIR) != 0) {
		return EINVAL;
	}
	if (error != 0) {
		return error;
	}
	return flags != 0 ? volume_rmdir(s->vol, dir->ino, name.s, name.len)
			  : volume_unlink(s->vol, dir->ino, name.s, name.len);
}

/**
 * Trenameat: olddfid oldname newdfid newname -> (nothing). What newname meant
 * before is replaced, as rename(2) says. Fids keep to their files.
 * [9P2000.L "renameat"]
 */
int p9_renameat(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	uint32_t old_id = p9_get32(r);
	struct p9_str old_name = p9_getstr(r);
	uint32_t new_id = p9_get32(r);
	struct p9_str new_name = p9_getstr(r);
	struct p9_fid *old_dir, *new_dir;
	int error = p9_fid_file(s, old_id, &old_dir);

	(void)p;
	if (!p9_complete(r)) {
		return EINVAL;
	}
	if (error == 0) {
		error = p9_fid_file(s, new_id, &new_dir);
	}
	return error != 0 ? error
			  : volume_rename(s->vol, old_dir->ino, old_name.s,
					  old_name.len, new_dir->ino,
					  new_name.s, new_name.len, 0);
}

/* What fid_name() looks for, and what it finds. */
struct name_of {
	uint32_t ino;
	bool is_dir;
	uint64_t cookie;
	size_t len;			/* 0: not found */
	char name[P9_NAME_MAX];
};

/* For one entry, whatever it is. */
static void name_of_entry(void *arg, const struct volume_entry *entry)
{
	struct name_of *name = arg;
	bool dots = entry->name[0] == '.' &&
		    (entry->name_len == 1 ||
		     (entry->name_len == 2 && entry->name[1] == '.'));

	if (entry->ino == name->ino && !dots) {
		name->len = entry->name_len;
		name->is_dir = entry->type == 4;	/* DT_DIR */
		name->cookie = entry->cookie;
		memcpy(name->name, entry->name, entry->name_len);
	}
}

/* For all, until it is the one. */
static bool name_of_next(void *arg, const struct volume_entry *entry)
{
	const struct name_of *name = arg;

	name_of_entry(arg, entry);
	return name->len == 0;
}

/* A name of fid's file in the directory it was found in: for the requests that
 * name a file by its fid. ENOENT when it has none there any more. Where it was
 * found is looked at first; only if it was renamed behind fid's back, the
 * directory is read from its start. */
static int fid_name(struct p9_session *s, const struct p9_fid *fid,
		    struct name_of *name)
{
	int error;

	name->ino = fid->ino;
	name->len = 0;
	error = volume_entry_at(s->vol, fid->parent, fid->cookie,
				name_of_entry, name);
	if (name->len == 0 && (error == 0 || error == ENOENT)) {
		error = volume_readdir(s->vol, fid->parent, 0, name_of_next,
				       name);
	}
	return error == 0 && name->len == 0 ? ENOENT : error;
}

/**
 * Trename: fid dfid name -> (nothing). As Trenameat from where fid was found; a
 * file with two names there loses the first. [9P2000.L "rename"]
 */
int p9_rename(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	uint32_t id = p9_get32(r);
	uint32_t dir_id = p9_get32(r);
	struct p9_str new_name = p9_getstr(r);
	struct p9_fid *fid, *dir;
	struct name_of name;
	uint32_t ino;
	int error = p9_fid_file(s, id, &fid);

	(void)p;
	if (!p9_complete(r)) {
		return EINVAL;
	}
	if (error == 0) {
		error = p9_fid_file(s, dir_id, &dir);
	}
	if (error == 0) {
		error = fid_name(s, fid, &name);
	}
	if (error == 0) {
		error = volume_rename(s->vol, fid->parent, name.name, name.len,
				      dir->ino, new_name.s, new_name.len, 0);
	}
	if (error == 0) {
		fid->parent = dir->ino;
		/* It is there; if not, it will be looked for. */
		fid->cookie = 0;
		(void)volume_lookup_entry(s->vol, dir->ino, new_name.s,
					  new_name.len, &ino, &fid->cookie);
	}
	return error;
}

/**
 * Tremove: fid -> (nothing). The fid is gone even when its file could not be
 * removed; only a fid that names no file is left alone. [9P2000.L "remove"]
 */
int p9_remove(struct p9_session *s, struct p9_reader *r, struct p9_reply *p)
{
	uint32_t id = p9_get32(r);
	struct name_of name;
	struct p9_fid *fid;
	int error = p9_fid_file(s, id, &fid);

	(void)p;
	if (!p9_complete(r)) {
		return EINVAL;
	}
	if (error != 0) {
		return error;
	}
	error = fid_name(s, fid, &name);
	if (error == 0 && name.is_dir) {
		error = volume_rmdir(s->vol, fid->parent, name.name, name.len);
	} else if (error == 0) {
		error = volume_unlink(s->vol, fid->parent, name.name,
				      name.len);
	}
	p9_fid_free(s, fid);
	return error;
}
