// SPDX-License-Identifier: MIT
/*
 * The functions of fuse_i.h: the kernel's fuse module and what it needs of file
 * systems, as the driver sees them.
 */
#include "fuse_i.h"

#define WEAK	__attribute__((weak))

struct file_system_type *fake_fs;

static struct super_block *super;	/* the one there is */

/* ---- Requests ---- */

static void put(struct fuse_req *req)
{
	assert(req->count > 0);
	if (--req->count == 0) {
		assert(test_bit(FR_FINISHED, &req->flags));
		req->fm->fc->num_waiting--;
		free(req);
	}
}

void fuse_request_end(struct fuse_req *req)
{
	if (!test_bit(FR_FINISHED, &req->flags)) {
		/* It takes locks that no interrupt takes, nor who holds one
		 * of these already. */
		assert(fake.locks + fake.irq == 0);
		assert(!test_bit(FR_PENDING, &req->flags));
		assert(!test_bit(FR_SENT, &req->flags));
		set_bit(FR_FINISHED, &req->flags);
		clear_bit(FR_BACKGROUND, &req->flags);
		if (test_bit(FR_ASYNC, &req->flags)) {
			req->args->end(req->fm, req->args, req->out.h.error);
		}
	}
	put(req);
}

struct fuse_req *fake_request(struct fuse_mount *fm, struct fuse_args *args,
			      bool background)
{
	struct fuse_req *req = calloc(1, sizeof(*req));

	INIT_LIST_HEAD(&req->list);
	req->fm = fm;
	req->args = args;
	req->count = background ? 1 : 2;
	set_bit(FR_PENDING, &req->flags);
	if (background) {
		set_bit(FR_BACKGROUND, &req->flags);
		set_bit(FR_ASYNC, &req->flags);
	}
	req->in.h.opcode = args->opcode;
	req->in.h.nodeid = args->nodeid;
	req->in.h.len = sizeof(req->in.h);
	for (int i = 0; i < args->in_numargs; i++) {
		req->in.h.len += args->in_args[i].size;
	}
	fm->fc->num_waiting++;
	if (background) {
		fake_lock(&fm->fc->bg_lock);
	}
	fm->fc->iq.ops->send_req(&fm->fc->iq, req);
	if (background) {
		fake_unlock(&fm->fc->bg_lock);
	}
	return req;
}

int fake_answered(struct fuse_req *req)
{
	int error = req->out.h.error;

	assert(test_bit(FR_FINISHED, &req->flags));
	put(req);
	return error;
}

void fake_signal(struct fuse_req *req, bool fatal)
{
	bool killed = fake.killed;

	set_bit(FR_INTERRUPTED, &req->flags);
	if (test_bit(FR_SENT, &req->flags)) {
		fake.killed = fatal;
		req->fm->fc->iq.ops->send_interrupt(&req->fm->fc->iq, req);
		fake.killed = killed;
	}
}

void fake_forget(struct fuse_mount *fm, u64 nodeid, u64 nlookup)
{
	struct fuse_forget_link *link = calloc(1, sizeof(*link));

	link->forget_one.nodeid = nodeid;
	link->forget_one.nlookup = nlookup;
	fm->fc->iq.ops->send_forget(&fm->fc->iq, link);
}

/* ---- The connection ---- */

void fuse_conn_init(struct fuse_conn *fc, struct fuse_mount *fm,
		    struct user_namespace *ns,
		    const struct fuse_iqueue_ops *ops, void *priv)
{
	(void)ns;
	memset(fc, 0, sizeof(*fc));
	fc->count = 1;
	fc->iq.ops = ops;
	fc->iq.priv = priv;
	fc->max_pages_limit = 256;
	fm->fc = fc;
	fm->mounts = 1;
}

void fuse_free_conn(struct fuse_conn *fc)
{
	free(fc);
}

static struct inode *alloc_one(struct super_block *sb)
{
	struct fuse_inode *fi = calloc(1, sizeof(*fi));

	fi->inode.i_sb = sb;
	return &fi->inode;
}

static int believe(struct dentry *dentry, unsigned int flags)
{
	(void)dentry;
	(void)flags;
	return 1;
}

static int stat_fs(struct dentry *dentry, struct kstatfs *buf)
{
	(void)dentry;
	buf->f_fsid = 0;
	return fake.no_memory ? -ENOMEM : 0;
}

static const struct super_operations fake_super_ops = {
	.alloc_inode = alloc_one,
	.statfs = stat_fs,
};

static const struct dentry_operations fake_dentry_ops = {
	.d_revalidate = believe,
};

int fuse_fill_super_common(struct super_block *sb,
			   struct fuse_fs_context *ctx)
{
	assert(ctx->destroy && ctx->no_control && ctx->no_force_umount);
	if (fake.no_memory) {
		return -ENOMEM;
	}
	sb->s_fs_info->sb = sb;
	sb->s_root = calloc(1, sizeof(*sb->s_root));
	sb->s_root->d_sb = sb;
	sb->s_op = &fake_super_ops;
	sb->s_d_op = &fake_dentry_ops;
	sb->s_bdi = &sb->bdi;
	sb->bdi.capabilities = BDI_CAP_STRICTLIMIT;
	return 0;
}

struct init {
	struct fuse_args args;
	struct fuse_init_in in;
	struct fuse_init_out out;
};

static void init_end(struct fuse_mount *fm, struct fuse_args *args, int error)
{
	struct init *init = container_of(args, struct init, args);

	fm->fc->conn_error = error || init->out.major != FUSE_KERNEL_VERSION;
	fm->fc->conn_init = !fm->fc->conn_error;
	fm->fc->initialized = true;
	fake.wakes++;
	free(init);
}

void fuse_send_init(struct fuse_mount *fm)
{
	struct init *init = calloc(1, sizeof(*init));

	init->args.opcode = FUSE_INIT;
	init->args.in_numargs = 1;
	init->args.in_args[0].size = sizeof(init->in);
	init->args.in_args[0].value = &init->in;
	init->args.out_numargs = 1;
	init->args.out_argvar = true;
	init->args.out_args[0].size = sizeof(init->out);
	init->args.out_args[0].value = &init->out;
	init->args.end = init_end;
	fake_request(fm, &init->args, true);
}

int fuse_init_fs_context_submount(struct fs_context *fsc)
{
	(void)fsc;
	return -EINVAL;
}

bool fuse_mount_remove(struct fuse_mount *fm)
{
	return --fm->mounts == 0;
}

/* DESTROY, whose answer is waited for; then no request may be left. */
void fuse_conn_destroy(struct fuse_mount *fm)
{
	struct fuse_args args = { .opcode = FUSE_DESTROY };
	struct fuse_req *req;
	int n;

	if (fm->fc->conn_init) {
		req = fake_request(fm, &args, false);
		for (n = 0; !test_bit(FR_FINISHED, &req->flags); n++) {
			assert(n < 100 && fake.sleep);
			fake.sleep();
		}
		fake_answered(req);
	}
	for (n = 0; fm->fc->num_waiting != 0; n++) {
		assert(n < 100);
		fake_run_queues();
		if (fake.sleep) {
			fake.sleep();
		}
	}
}

void fuse_mount_destroy(struct fuse_mount *fm)
{
	struct fuse_conn *fc = fm->fc;

	assert(fc->num_waiting == 0);
	fc->iq.ops->release(&fc->iq);
	fc->release(fc);
	free(fm);
}

/* ---- Files ---- */

bool folio_clear_dirty_for_io(struct folio *folio)
{
	bool dirty = folio->page.dirty;

	assert(folio->page.locked);
	folio->page.dirty = false;
	return dirty;
}

int file_write_and_wait_range(struct file *file, loff_t from, loff_t to)
{
	struct address_space *mapping = file->f_mapping;

	assert(from / PAGE_SIZE == to / PAGE_SIZE);
	(void)mapping->a_ops->writepages(mapping, NULL);
	return mapping->error;
}

/* Without content a page is its number's. */
WEAK int invalidate_inode_pages2_range(struct address_space *mapping,
				  unsigned long first, unsigned long last)
{
	while (first <= last) {
		assert(!mapping->folios[first].page.dirty);
		memset(mapping->folios[first].page.bytes, (int)first,
		       PAGE_SIZE);
		first++;
	}
	return 0;
}

int write_cache_pages(struct address_space *mapping,
		      struct writeback_control *wbc,
		      int (*fn)(struct folio *folio,
				struct writeback_control *wbc, void *data),
		      void *data)
{
	for (unsigned int i = 0; i < mapping->count; i++) {
		struct folio *folio = &mapping->folios[i];
		int err;

		assert(!folio->page.writeback);
		if (folio->page.dirty) {
			folio->page.locked = true;
			folio->page.dirty = false;
			err = fn(folio, wbc, data);
			assert(!folio->page.locked);
			if (err) {
				return err;
			}
		}
	}
	return 0;
}

/* Takes the pages that hold it, which a device's memory has none of. */
ssize_t iov_iter_get_pages2(struct iov_iter *iter, struct page **pages,
			    size_t max, unsigned int most, size_t *start)
{
	size_t n = 0, room;

	assert(!iter->kernel && fake.locks == 0);
	if (iter->device) {
		return -EFAULT;
	}
	*start = iter->at % PAGE_SIZE;
	for (unsigned int i = 0; i < most && n < max && n < iter->count;
	     i++) {
		pages[i] = &iter->pages[(iter->at + n) / PAGE_SIZE];
		pages[i]->refs++;
		room = PAGE_SIZE - (iter->at + n) % PAGE_SIZE;
		n += min(min(room, max - n), iter->count - n);
	}
	iter->at += n;
	iter->count -= n;
	iter->segment -= n;
	return (ssize_t)n;
}

bool filemap_range_has_page(struct address_space *mapping, loff_t first,
			    loff_t last)
{
	for (unsigned int i = 0; i < mapping->count; i++) {
		unsigned long index = mapping->folios[i].page.index;

		if (index >= (u64)first / PAGE_SIZE &&
		    index <= (u64)last / PAGE_SIZE) {
			return true;
		}
	}
	return false;
}

/* What the fuse module and the VFS do beside it: tests of other things have none
 * of it. */
__attribute__((weak)) ssize_t generic_write_checks(struct kiocb *iocb,
						   struct iov_iter *from)
{
	abort();
}

__attribute__((weak)) int file_modified(struct file *file)
{
	abort();
}

__attribute__((weak)) ssize_t __generic_file_write_iter(struct kiocb *iocb,
							struct iov_iter *from)
{
	abort();
}

__attribute__((weak)) ssize_t generic_write_sync(struct kiocb *iocb, ssize_t n)
{
	abort();
}

/* ---- File systems ---- */

int fs_parse(struct fs_context *fsc, const struct fs_parameter_spec *spec,
	     struct fs_parameter *param, struct fs_parse_result *result)
{
	(void)fsc;
	(void)result;
	for (; spec->name; spec++) {
		if (strcmp(spec->name, param->key) == 0) {
			return spec->opt;
		}
	}
	return -EINVAL;
}

int register_filesystem(struct file_system_type *type)
{
	assert(!fake_fs);
	fake_fs = type;
	return 0;
}

int unregister_filesystem(struct file_system_type *type)
{
	assert(fake_fs == type && !super);
	fake_fs = NULL;
	return 0;
}

struct super_block *sget_fc(struct fs_context *fsc,
			    int (*test)(struct super_block *sb,
					struct fs_context *fsc), void *set)
{
	assert(!set);
	if (super && test(super, fsc)) {
		super->active++;
		return super;
	}
	/* Here there is one at most that is not dead. */
	super = calloc(1, sizeof(*super));
	super->active = 1;
	super->s_fs_info = fsc->s_fs_info;
	fsc->s_fs_info = NULL;
	return super;
}

void deactivate_locked_super(struct super_block *sb)
{
	if (--sb->active == 0) {
		fake_fs->kill_sb(sb);
		if (super == sb) {
			super = NULL;
		}
		free(sb->s_root);
		free(sb);
	}
}

void kill_anon_super(struct super_block *sb)
{
	(void)sb;
}

struct inode *find_inode_rcu(struct super_block *sb, unsigned long hash,
			     int (*test)(struct inode *inode, void *data),
			     void *data)
{
	assert(fake.rcu > 0 && hash);
	return sb->inode && test(sb->inode, data) ? sb->inode : NULL;
}

/* Where there is a log. */
#pragma weak vfs_log

bool down_read_trylock(struct rw_semaphore *sem)
{
	sem->readers += !sem->writer;
	return !sem->writer;
}

void up_read(struct rw_semaphore *sem)
{
	assert(sem->readers-- > 0);
}

/* All that is dirty is written by now. */
void sync_inodes_sb(struct super_block *of)
{
	assert(of->s_umount.readers && fake.locks + fake.irq + fake.rcu == 0);
	of->syncs++;
	memset(of->bdi.wb.stat, 0, sizeof(of->bdi.wb.stat));
}

int write_inode_now(struct inode *inode, int sync)
{
	assert(sync && fake.locks + fake.irq + fake.rcu == 0);
	inode->written++;
	if (vfs_log) {
		vfs_log("write %llu\n", (unsigned long long)inode->nodeid);
	}
	return inode->i_mapping ? inode->i_mapping->error : 0;
}

/* `mount -t isthmus -o option host DIR`; option may be NULL. */
int fake_mount(const char *option, struct super_block **sb)
{
	struct fs_parameter source = { "source", strdup("host") };
	struct fs_parameter param = { option, NULL };
	struct fs_context fsc = { 0 };
	int err = fake_fs->init_fs_context(&fsc);

	*sb = NULL;
	if (err == 0) {
		err = fsc.ops->parse_param(&fsc, &source);
		if (err == 0 && option) {
			err = fsc.ops->parse_param(&fsc, &param);
		}
		if (err == 0) {
			err = fsc.ops->get_tree(&fsc);
		}
		if (err == 0) {
			*sb = fsc.root->d_sb;
			assert((*sb)->s_flags & SB_ACTIVE);
		}
		fsc.ops->free(&fsc);
	}
	free(source.string);
	free(fsc.source);
	return err;
}

void fake_umount(struct super_block *sb)
{
	deactivate_locked_super(sb);
}

/* fuse_notify.c, where it is not among what is tested. */
struct fuse_session;
void fuse_notify_mount(struct super_block *sb);
void fuse_notify_unlock(struct fuse_session *s);
void fuse_notify_unmount(struct fuse_session *s);
void isthmus_fuse_notify(struct fuse_session *s, int code, const void *body,
			 u32 len);

WEAK void fuse_notify_mount(struct super_block *sb)
{
	(void)sb;
}

WEAK void fuse_notify_unlock(struct fuse_session *s)
{
	(void)s;
}

WEAK void fuse_notify_unmount(struct fuse_session *s)
{
	(void)s;
}

WEAK void isthmus_fuse_notify(struct fuse_session *s, int code,
			      const void *body, u32 len)
{
	(void)s;
	(void)code;
	(void)body;
	(void)len;
}

/* vfs.c's, where that is there, can be waited for. */
WEAK void inode_lock(struct inode *inode)
{
	assert(!inode->locked && fake.locks == 0);
	inode->locked = true;
}

WEAK void inode_unlock(struct inode *inode)
{
	assert(inode->locked);
	inode->locked = false;
}
