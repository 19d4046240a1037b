/* SPDX-License-Identifier: MIT */
/*
 * FUSE requests that look names up or change them. What is a name at all is the
 * volume's to say; rights are checked by Linux, which has the whole volume
 * anyway. New files are the caller's, as the request's header says.
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/files/fuse_ops.h"

#define DIR	(r->node->ino)
#define NAME(n)	r->name[n].s, r->name[n].len

static bool is_dot(const struct fuse_name *name)
{
	return name->len == 1 && name->s[0] == '.';
}

static bool is_dotdot(const struct fuse_name *name)
{
	return name->len == 2 && memcmp(name->s, "..", 2) == 0;
}

/**
 * LOOKUP: name -> fuse_entry_out. A name that is not there is told as such, with
 * node id 0, for Linux to keep that too. "." is the file itself, whatever it is:
 * so Linux finds a file again of which it has the node id only.
 */
int fuse_lookup(struct fuse_request *r)
{
	uint32_t ino = DIR;
	struct fuse_entry_out *out = (void *)r->out;
	int error = is_dot(&r->name[0]) ? 0 :
		    fuse_confined(r->session) && is_dotdot(&r->name[0])
		    ? ESTALE : volume_lookup(r->vol, DIR, NAME(0), &ino);

	if (error == ENOENT) {
		memset(out, 0, sizeof(*out));
		out->entry_valid = FUSE_FOREVER;
		r->out_len = sizeof(*out);
		return 0;
	}
	return error != 0 ? error : fuse_entry_put(r, ino);
}

/* Answers with a file that was just made under name[0]. If that cannot be, for
 * there are too many nodes, the file was not made. */
static int made(struct fuse_request *r, uint32_t ino, bool is_dir)
{
	int error = fuse_entry_put(r, ino);

	if (error != 0 && is_dir) {
		(void)volume_rmdir(r->vol, DIR, NAME(0));
	} else if (error != 0) {
		(void)volume_unlink(r->vol, DIR, NAME(0));
	}
	return error;
}

static struct volume_make make_of(const struct fuse_request *r, uint32_t mode,
				  uint32_t umask)
{
	return (struct volume_make){
		.mode = mode, .umask = umask & 0777, .uid = r->in.uid,
		.gid = r->in.gid,
	};
}

/**
 * MKNOD: fuse_mknod_in name -> fuse_entry_out. A device is nothing but its
 * numbers here.
 */
int fuse_mknod(struct fuse_request *r)
{
	const struct fuse_mknod_in *in = r->arg;
	struct volume_make make = make_of(r, in->mode & (VOLUME_S_IFMT | 07777),
					  in->umask);
	bool socket = false;
	uint64_t nodeid;
	uint32_t ino;
	int error;

	switch (in->mode & VOLUME_S_IFMT) {
	case VOLUME_S_IFREG:
	case VOLUME_S_IFIFO:
		break;
	case VOLUME_S_IFSOCK:
		if (fuse_socket_stands_in(r, &nodeid)) {
			return fuse_socket_stand_in(r, nodeid);
		}
		socket = true;
		break;
	case VOLUME_S_IFCHR:
	case VOLUME_S_IFBLK:
		make.rdev_major = in->rdev >> 8 & 0xfff;
		make.rdev_minor = (in->rdev & 0xff) | (in->rdev >> 12 & 0xfff00);
		break;
	default:
		return EINVAL;
	}
	error = volume_create(r->vol, DIR, NAME(0), &make, &ino);
	if (error == 0) {
		error = made(r, ino, false);
	}
	if (error == 0 && socket) {
		fuse_socket_made(r);
	}
	return error;
}

/** MKDIR: fuse_mkdir_in name -> fuse_entry_out. */
int fuse_mkdir(struct fuse_request *r)
{
	const struct fuse_mkdir_in *in = r->arg;
	struct volume_make make = make_of(r, (in->mode & 07777) | VOLUME_S_IFDIR,
					  in->umask);
	uint32_t ino;
	int error = volume_create(r->vol, DIR, NAME(0), &make, &ino);

	return error != 0 ? error : made(r, ino, true);
}

/* The second half of an answer: a file that was made is open now. */
static int open_made(struct fuse_request *r, uint32_t ino, uint32_t flags)
{
	struct fuse_node *node = fuse_node_find(r->session, ino);
	int error = fuse_open_put(r, node, flags);

	if (error != 0) {
		fuse_node_forget(r->session, fuse_node_id(r->session, ino,
							  node->gen), 1);
	}
	return error;
}

/**
 * CREATE: fuse_create_in name -> fuse_entry_out fuse_open_out. A name that is
 * there is not opened: Linux would not check whether the caller may. It believes
 * that there is none, so it is told to look again.
 */
int fuse_create(struct fuse_request *r)
{
	const struct fuse_create_in *in = r->arg;
	struct volume_make make = make_of(r, (in->mode & 07777) | VOLUME_S_IFREG,
					  in->umask);
	uint32_t ino;
	int error = volume_create(r->vol, DIR, NAME(0), &make, &ino);

	if (error == EEXIST && (in->flags & FUSE_O_EXCL) == 0) {
		return ESTALE;
	}
	if (error == 0) {
		error = made(r, ino, false);
	}
	if (error == 0) {
		error = open_made(r, ino, in->flags);
		if (error != 0) {
			(void)volume_unlink(r->vol, DIR, NAME(0));
		}
	}
	return error;
}

/** TMPFILE: as CREATE; the name means nothing. */
int fuse_tmpfile(struct fuse_request *r)
{
	const struct fuse_create_in *in = r->arg;
	struct volume_make make = make_of(r, (in->mode & 07777) | VOLUME_S_IFREG,
					  in->umask);
	uint32_t ino;
	int error = volume_tmpfile(r->vol, DIR, &make, &ino);

	if (error != 0) {
		return error;
	}
	error = fuse_entry_put(r, ino);
	if (error == 0) {
		error = open_made(r, ino, in->flags);
	}
	/* The node holds it, if there is one. */
	volume_release(r->vol, ino);
	return error;
}

/** SYMLINK: name text -> fuse_entry_out. Whatever the text is, it is kept. */
int fuse_symlink(struct fuse_request *r)
{
	struct volume_make make = make_of(r, 0, 0);
	uint32_t ino;
	int error = volume_symlink(r->vol, DIR, NAME(0), NAME(1), &make, &ino);

	return error != 0 ? error : made(r, ino, false);
}

/** LINK: fuse_link_in name -> fuse_entry_out: one more name in the node. */
int fuse_link(struct fuse_request *r)
{
	const struct fuse_link_in *in = r->arg;
	struct fuse_node *node;
	int error = fuse_node_get(r->session, in->oldnodeid, r->in.uid, &node);

	if (error == 0) {
		error = volume_link(r->vol, node->ino, DIR, NAME(0));
	}
	return error != 0 ? error : made(r, node->ino, false);
}

/** UNLINK: name. Anything but a directory. */
int fuse_unlink(struct fuse_request *r)
{
	return volume_unlink(r->vol, DIR, NAME(0));
}

/** RMDIR: name. */
int fuse_rmdir(struct fuse_request *r)
{
	return volume_rmdir(r->vol, DIR, NAME(0));
}

static int rename_to(struct fuse_request *r, uint64_t newdir, uint32_t flags)
{
	struct fuse_node *node;
	int error = fuse_node_get(r->session, newdir, r->in.uid, &node);

	return error != 0 ? error
			  : volume_rename(r->vol, DIR, NAME(0), node->ino,
					  NAME(1), flags);
}

/** RENAME: fuse_rename_in name name, from the node to the other. */
int fuse_rename(struct fuse_request *r)
{
	const struct fuse_rename_in *in = r->arg;

	return rename_to(r, in->newdir, 0);
}

/** RENAME2: the same with flags: all that renameat2(2) has but WHITEOUT. */
int fuse_rename2(struct fuse_request *r)
{
	const struct fuse_rename2_in *in = r->arg;

	if ((in->flags & ~(VOLUME_RENAME_NOREPLACE |
			   VOLUME_RENAME_EXCHANGE)) != 0 ||
	    in->flags == (VOLUME_RENAME_NOREPLACE | VOLUME_RENAME_EXCHANGE)) {
		return EINVAL;
	}
	return rename_to(r, in->newdir, in->flags);
}
