/* SPDX-License-Identifier: MIT */
/* The FUSE server's handlers, by request. */
#ifndef ISTHMUS_FUSE_OPS_H
#define ISTHMUS_FUSE_OPS_H

#include "host-bridge/files/fuse_server_int.h"

/* fuse_ops_session.c */
int fuse_init(struct fuse_request *r);
int fuse_forget(struct fuse_request *r);
int fuse_batch_forget(struct fuse_request *r);
int fuse_interrupt(struct fuse_request *r);
int fuse_notify_reply(struct fuse_request *r);
int fuse_statfs(struct fuse_request *r);
int fuse_syncfs(struct fuse_request *r);

/* fuse_ops_name.c */
int fuse_lookup(struct fuse_request *r);
int fuse_mknod(struct fuse_request *r);
int fuse_mkdir(struct fuse_request *r);
int fuse_create(struct fuse_request *r);
int fuse_tmpfile(struct fuse_request *r);
int fuse_symlink(struct fuse_request *r);
int fuse_link(struct fuse_request *r);
int fuse_unlink(struct fuse_request *r);
int fuse_rmdir(struct fuse_request *r);
int fuse_rename(struct fuse_request *r);
int fuse_rename2(struct fuse_request *r);

/* fuse_sockets.c */
bool fuse_socket_stands_in(const struct fuse_request *r, uint64_t *nodeid);
int fuse_socket_stand_in(struct fuse_request *r, uint64_t nodeid);
void fuse_socket_made(const struct fuse_request *r);

/* fuse_ops_dir.c */
int fuse_readdir(struct fuse_request *r);
int fuse_readdirplus(struct fuse_request *r);

/* fuse_ops_attr.c */
int fuse_getattr(struct fuse_request *r);
int fuse_statx(struct fuse_request *r);
int fuse_setattr(struct fuse_request *r);
int fuse_readlink(struct fuse_request *r);

/* fuse_ops_xattr.c */
int fuse_setxattr(struct fuse_request *r);
int fuse_getxattr(struct fuse_request *r);
int fuse_listxattr(struct fuse_request *r);
int fuse_removexattr(struct fuse_request *r);

/* fuse_ops_file.c; for WRITE fuse_conn.c has the data */
int fuse_write_begin(struct fuse_request *r, const struct fuse_write_in *in,
		     uint32_t len);
int fuse_write_lasts(struct fuse_request *r, const struct fuse_write_in *in,
		     uint32_t ino);
int fuse_write_some(struct fuse_request *r, uint32_t ino, uint64_t offset,
		    const uint8_t *data, size_t len, size_t *done);
void fuse_write_again(struct fuse_request *r);
void fuse_write_end(struct fuse_request *r, uint32_t ino, uint32_t count,
		    int error);
int fuse_open(struct fuse_request *r);
int fuse_release(struct fuse_request *r);
int fuse_read(struct fuse_request *r);
int fuse_flush(struct fuse_request *r);
int fuse_fsync(struct fuse_request *r);

/* fuse_ops_space.c */
int fuse_fallocate(struct fuse_request *r);
int fuse_lseek(struct fuse_request *r);
int fuse_copy_file_range(struct fuse_request *r);
int fuse_ioctl(struct fuse_request *r);

/* What handlers share: fuse_attr.c, fuse_ops_file.c */
uint32_t fuse_attr_rdev(const struct volume_attr *attr);
void fuse_attr_of(struct fuse_attr *to, const struct volume_attr *from);
int fuse_entry_of(struct fuse_request *r, uint32_t ino,
		  struct fuse_entry_out *to);
int fuse_entry_put(struct fuse_request *r, uint32_t ino);
void fuse_dirs_put(struct fuse_request *r);
uint64_t fuse_room(struct volume *vol);
int fuse_open_put(struct fuse_request *r, struct fuse_node *node,
		  uint32_t flags);

/* What ends with set-user-ID, if that ends by this request. */
static inline unsigned fuse_kill_of(const struct fuse_request *r)
{
	return (r->in.padding & FUSE_CHANNEL_KILL_SGID) != 0 ?
	       VOLUME_SET_KILL_PRIV | VOLUME_SET_KILL_SGID :
	       VOLUME_SET_KILL_PRIV;
}

/* Open flags, as Linux on x86 numbers them. */
#define FUSE_O_ACCMODE	03u
#define FUSE_O_EXCL	0200u
#define FUSE_O_TRUNC	01000u
#define FUSE_O_APPEND	02000u
#define FUSE_O_DSYNC	010000u		/* in O_SYNC, too */

#endif
