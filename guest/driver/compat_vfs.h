/* SPDX-License-Identifier: GPL-2.0-only */
/* isthmus: the part of compat.h that is about the VFS's own structures. */
#ifndef ISTHMUS_COMPAT_VFS_H
#define ISTHMUS_COMPAT_VFS_H

#include <linux/capability.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
typedef struct mnt_idmap compat_idmap;

#define compat_for_each_child(child, parent) \
	hlist_for_each_entry(child, &(parent)->d_children, d_sib)

static inline void compat_set_mtime(struct inode *inode, s64 sec, u32 nsec)
{
	inode_set_mtime(inode, sec, nsec);
}

static inline void compat_set_ctime(struct inode *inode, s64 sec, u32 nsec)
{
	inode_set_ctime(inode, sec, nsec);
}

static inline bool compat_capable(const struct inode *inode, int cap)
{
	return capable_wrt_inode_uidgid(&nop_mnt_idmap, inode, cap);
}
#else
typedef struct user_namespace compat_idmap;

#define compat_for_each_child(child, parent) \
	list_for_each_entry(child, &(parent)->d_subdirs, d_child)

static inline void compat_set_mtime(struct inode *inode, s64 sec, u32 nsec)
{
	inode->i_mtime = (struct timespec64){ .tv_sec = sec, .tv_nsec = nsec };
}

static inline void compat_set_ctime(struct inode *inode, s64 sec, u32 nsec)
{
	inode->i_ctime = (struct timespec64){ .tv_sec = sec, .tv_nsec = nsec };
}

static inline bool compat_capable(const struct inode *inode, int cap)
{
	return capable_wrt_inode_uidgid(&init_user_ns, inode, cap);
}
#endif

#endif
