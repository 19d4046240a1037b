// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: the file system type "isthmus", `mount -t isthmus SOURCE DIR`: the
 * host's files, by the kernel's fuse module. SOURCE is only a name: there is one
 * host, and all mounts are of the same superblock, which has one cache and is one
 * session with the host's file server.
 *
 * What a file system can do is agreed with the host by FUSE_INIT. Fixed here:
 * the kernel checks permissions, everybody may use it, it writes its dirty data
 * when asked to sync, and its files are closed in step (auto_submounts: closing
 * waits for the answer, which this driver gives itself).
 */
#include <linux/backing-dev.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "fuse.h"

#define INIT_TIMEOUT	(5 * HZ)

enum { OPT_SOURCE, OPT_ALWAYS };

static const struct fs_parameter_spec parameters[] = {
	fsparam_string("source", OPT_SOURCE),
	/* Of other FUSE file systems: here it is so in any case. */
	fsparam_flag("allow_other", OPT_ALWAYS),
	fsparam_flag("default_permissions", OPT_ALWAYS),
	{ }
};

static int parse_param(struct fs_context *fsc, struct fs_parameter *param)
{
	struct fs_parse_result result;
	int opt = fs_parse(fsc, parameters, param, &result);

	if (opt == OPT_SOURCE) {
		if (fsc->source) {
			return invalf(fsc, "isthmus: one source only");
		}
		fsc->source = param->string;
		param->string = NULL;
	}
	return opt < 0 ? opt : 0;
}

static struct fuse_session *session_new(void)
{
	struct fuse_session *s = kzalloc(sizeof(*s), GFP_KERNEL);

	if (!s) {
		return NULL;
	}
	while (s->id == 0) {
		get_random_bytes(&s->id, sizeof(s->id));
	}
	s->next = 1;
	INIT_LIST_HEAD(&s->pending);
	INIT_LIST_HEAD(&s->out);
	INIT_LIST_HEAD(&s->done);
	INIT_LIST_HEAD(&s->done_slow);
	INIT_LIST_HEAD(&s->notices);
	INIT_LIST_HEAD(&s->locked_files);
	INIT_WORK(&s->done_work, fuse_session_done);
	INIT_WORK(&s->notice_work, fuse_session_notices);
	xa_init(&s->locked);
	return s;
}

/* Waits for the answer to FUSE_INIT. */
static int wait_init(struct fuse_conn *fc)
{
	long left = wait_event_killable_timeout(fc->blocked_waitq,
						READ_ONCE(fc->initialized),
						INIT_TIMEOUT);

	if (left <= 0) {
		return left == 0 ? -ETIMEDOUT : (int)left;
	}
	return fc->conn_error ? -ECONNREFUSED : 0;
}

static int fill_super(struct super_block *sb, struct fs_context *fsc)
{
	struct fuse_fs_context *ctx = fsc->fs_private;
	struct fuse_mount *fm = get_fuse_mount_super(sb);
	struct fuse_session *s = fm->fc->iq.priv;
	int err;

	ctx->rootmode = S_IFDIR;
	ctx->default_permissions = true;
	ctx->allow_other = true;
	ctx->max_read = UINT_MAX;
	ctx->blksize = 512;
	ctx->destroy = true;
	/* Ending all requests by force, from /sys/fs/fuse or by umount -f: the
	 * fuse module does not know those that are here. */
	ctx->no_control = true;
	ctx->no_force_umount = true;
	ctx->dax_mode = FUSE_DAX_NEVER;
	ctx->fudptr = NULL;
	err = fuse_session_open(s);
	if (err == 0) {
		err = fuse_fill_super_common(sb, ctx);
	}
	if (err) {
		return err;
	}
	/* What ext4's 34 bits hold. */
	sb->s_time_min = S32_MIN;
	sb->s_time_max = (1ll << 34) + S32_MIN - 1;
	fuse_notify_mount(sb);
	fuse_session_ready(s);
	/* The fuse module lets a file system have 1 % of what may be dirty, and
	 * stops its writers there, for its daemon may never write it. This one
	 * is the only one, and is as good as a disk. */
	sb->s_bdi->capabilities &= ~BDI_CAP_STRICTLIMIT;
	/* And counts pages that are being written itself, since they are
	 * copies; ours are not. */
	sb->s_bdi->capabilities |= BDI_CAP_WRITEBACK_ACCT;
	bdi_set_max_ratio(sb->s_bdi, 100);
	/* Until there is a POSIX lock: fuse_local.c. */
	fm->fc->no_flush = 1;
	fuse_send_init(fm);
	err = wait_init(fm->fc);
	if (err) {
		/* It may wait for its answer for ever. */
		fuse_session_close(s);
	}
	return err;
}

/* A session with its fuse_mount and fuse_conn, which fuse_mount_destroy() frees
 * with it. NULL: no memory. */
static struct fuse_mount *mount_new(struct fs_context *fsc)
{
	struct fuse_mount *fm = kzalloc(sizeof(*fm), GFP_KERNEL);
	struct fuse_conn *fc = kzalloc(sizeof(*fc), GFP_KERNEL);
	struct fuse_session *s = session_new();

	if (!fm || !fc || !s) {
		kfree(fm);
		kfree(fc);
		kfree(s);
		return NULL;
	}
	s->fm = fm;
	fuse_conn_init(fc, fm, fsc->user_ns, &fuse_session_ops, s);
	fc->release = fuse_free_conn;
	fc->delete_stale = true;
	fc->auto_submounts = true;
	fc->sync_fs = true;
	fc->max_pages_limit = min_t(unsigned int, fc->max_pages_limit,
				    FUSE_CHANNEL_DATA_MAX / PAGE_SIZE);
	return fm;
}

/* One that is of use: its device was not taken away. */
static int is_alive(struct super_block *sb, struct fs_context *fsc)
{
	struct fuse_session *s = get_fuse_mount_super(sb)->fc->iq.priv;

	return READ_ONCE(s->state) < SESSION_DEAD;
}

static int get_tree(struct fs_context *fsc)
{
	struct fuse_mount *fm = mount_new(fsc);
	struct super_block *sb;
	int err;

	if (!fm) {
		return -ENOMEM;
	}
	fsc->s_fs_info = fm;
	sb = sget_fc(fsc, is_alive, set_anon_super_fc);
	if (fsc->s_fs_info) {
		fsc->s_fs_info = NULL;
		fuse_mount_destroy(fm);
	}
	if (IS_ERR(sb)) {
		return PTR_ERR(sb);
	}
	if (!sb->s_root) {
		err = fill_super(sb, fsc);
		if (err) {
			deactivate_locked_super(sb);
			return err;
		}
		sb->s_flags |= SB_ACTIVE;
	}
	fsc->root = dget(sb->s_root);
	return 0;
}

static int reconfigure(struct fs_context *fsc)
{
	sync_filesystem(fsc->root->d_sb);
	return 0;
}

static void free_context(struct fs_context *fsc)
{
	kfree(fsc->fs_private);
}

static const struct fs_context_operations context_ops = {
	.free		= free_context,
	.parse_param	= parse_param,
	.get_tree	= get_tree,
	.reconfigure	= reconfigure,
};

static int init_context(struct fs_context *fsc)
{
	if (fsc->purpose == FS_CONTEXT_FOR_SUBMOUNT) {
		return fuse_init_fs_context_submount(fsc);
	}
	fsc->fs_private = kzalloc(sizeof(struct fuse_fs_context), GFP_KERNEL);
	fsc->ops = &context_ops;
	return fsc->fs_private ? 0 : -ENOMEM;
}

/* The mount's end. fuse_conn_destroy() sends DESTROY, and returns when no request
 * is left. */
static void kill_super(struct super_block *sb)
{
	struct fuse_mount *fm = get_fuse_mount_super(sb);

	/* Not for a mount that failed early. */
	if (sb->s_root && fuse_mount_remove(fm)) {
		struct fuse_session *s = fm->fc->iq.priv;

		fuse_session_stop(s);
		fuse_conn_destroy(fm);
		fuse_session_close(s);
		fuse_notify_unmount(s);
	}
	kill_anon_super(sb);
	fuse_mount_destroy(fm);
}

static struct file_system_type isthmus_fs_type = {
	.owner			= THIS_MODULE,
	.name			= "isthmus",
	.init_fs_context	= init_context,
	.parameters		= parameters,
	.kill_sb		= kill_super,
};
MODULE_ALIAS_FS("isthmus");

/** Offers `mount -t isthmus`. Module load. */
int isthmus_fuse_register(void)
{
	int err = -ENOMEM;

	isthmus_fuse_wq = alloc_workqueue("isthmus-fuse", WQ_MEM_RECLAIM, 0);
	/* Others wait until it has been carried out, however busy we are. */
	isthmus_fuse_notice_wq = alloc_workqueue("isthmus-notice",
						 WQ_MEM_RECLAIM | WQ_HIGHPRI,
						 0);
	if (isthmus_fuse_wq && isthmus_fuse_notice_wq) {
		err = register_filesystem(&isthmus_fs_type);
	}
	if (err) {
		isthmus_fuse_unregister();
	}
	return err;
}

/** Module removal: a mount holds the module, so there is none. */
void isthmus_fuse_unregister(void)
{
	unregister_filesystem(&isthmus_fs_type);
	fuse_session_watch_stop();
	if (isthmus_fuse_wq) {
		destroy_workqueue(isthmus_fuse_wq);
	}
	if (isthmus_fuse_notice_wq) {
		destroy_workqueue(isthmus_fuse_notice_wq);
	}
}
