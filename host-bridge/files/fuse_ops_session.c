/* SPDX-License-Identifier: MIT */
/* FUSE requests about the mount: INIT, what is forgotten or given up, the
 * volume's figures. */
#include <errno.h>
#include <string.h>

#include "host-bridge/files/fuse_ops.h"

#define PAGE		4096u
#define NAME_MAX_BYTES	255u
#define BACKGROUND	64u		/* requests that nobody waits for */

/* What we want of what Linux offers. */
#define WANTED								\
	(FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC | FUSE_EXPORT_SUPPORT |	\
	 FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_FLOCK_LOCKS |		\
	 FUSE_HAS_IOCTL_DIR | FUSE_DO_READDIRPLUS |			\
	 FUSE_READDIRPLUS_AUTO | FUSE_WRITEBACK_CACHE |			\
	 FUSE_PARALLEL_DIROPS | FUSE_POSIX_ACL | FUSE_ABORT_ERROR |	\
	 FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS |				\
	 FUSE_EXPLICIT_INVAL_DATA | FUSE_HANDLE_KILLPRIV_V2 |		\
	 FUSE_SETXATTR_EXT | FUSE_INIT_EXT | FUSE_DIRECT_IO_ALLOW_MMAP)

static uint32_t less_of(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/**
 * INIT: fuse_init_in -> fuse_init_out: what both can. Another major version than
 * ours is told ours, and may ask again; a minor one that has other structures is
 * EPROTO. [Linux "include/uapi/linux/fuse.h": "Version negotiation"]
 */
int fuse_init(struct fuse_request *r)
{
	struct fuse_session *s = r->session;
	struct fuse_init_out *out = (void *)r->out;
	struct fuse_init_in in = { 0 };

	if (r->data_len != sizeof(in) &&
	    r->data_len != FUSE_COMPAT_INIT_IN_SIZE) {
		return EINVAL;
	}
	memcpy(&in, r->data, r->data_len);
	*out = (struct fuse_init_out){
		.major = FUSE_KERNEL_VERSION,
		.minor = less_of(in.minor, FUSE_KERNEL_MINOR_VERSION),
		.max_readahead = less_of(in.max_readahead,
					 FUSE_CHANNEL_DATA_MAX),
		.max_background = BACKGROUND,
		.congestion_threshold = BACKGROUND * 3 / 4,
		.max_write = FUSE_CHANNEL_DATA_MAX, .time_gran = 1,
		.max_pages = FUSE_CHANNEL_DATA_MAX / PAGE,
	};
	r->out_len = sizeof(*out);
	if (in.major > FUSE_KERNEL_VERSION) {
		out->minor = FUSE_KERNEL_MINOR_VERSION;
		return 0;
	}
	if (in.major < FUSE_KERNEL_VERSION || in.minor < FUSE_OLDEST_MINOR) {
		return EPROTO;
	}
	s->init_flags = in.flags;
	if ((in.flags & FUSE_INIT_EXT) != 0) {
		s->init_flags |= (uint64_t)in.flags2 << 32;
	}
	s->init_flags &= WANTED;
	out->flags = (uint32_t)s->init_flags;
	out->flags2 = (uint32_t)(s->init_flags >> 32);
	s->minor = out->minor;
	fuse_legacy_count(s);
	return 0;
}

/** FORGET: fuse_forget_in. No reply; counted, see fuse_channel_hello_out. */
int fuse_forget(struct fuse_request *r)
{
	const struct fuse_forget_in *in = r->arg;

	r->session->forgets++;
	fuse_legacy_count(r->session);
	fuse_node_forget(r->session, r->in.nodeid, in->nlookup);
	return 0;
}

/** BATCH_FORGET: fuse_batch_forget_in fuse_forget_one .. No reply; each is
 * counted. */
int fuse_batch_forget(struct fuse_request *r)
{
	const struct fuse_batch_forget_in *in = r->arg;
	const struct fuse_forget_one *one = (const void *)r->data;

	if (r->data_len / sizeof(*one) != in->count ||
	    r->data_len % sizeof(*one) != 0) {
		return EINVAL;
	}
	r->session->forgets += in->count;
	fuse_legacy_count(r->session);
	for (uint32_t i = 0; i < in->count; i++) {
		fuse_node_forget(r->session, one[i].nodeid, one[i].nlookup);
	}
	return 0;
}

/** INTERRUPT: fuse_interrupt_in. No reply; to what waits still, EINTR. */
int fuse_interrupt(struct fuse_request *r)
{
	const struct fuse_interrupt_in *in = r->arg;

	fuse_later_interrupt(r->session, in->unique);
	return 0;
}

/** NOTIFY_REPLY: fuse_channel_done. No reply. */
int fuse_notify_reply(struct fuse_request *r)
{
	const struct fuse_channel_done *in = r->arg;

	if (fuse_notify_acked(r->session, in->notified) != 0) {
		fuse_cut_off(r->session);
	} else {
		fuse_coherence_acked(r->session);
	}
	return 0;
}

/** What is said in struct fuse_channel_room. */
uint64_t fuse_room(struct volume *vol)
{
	struct volume_stat st;

	return volume_statfs(vol, &st) == 0 ?
	       st.blocks_room * st.block_size / PAGE : 0;
}

/** STATFS: -> fuse_statfs_out. There is one volume. */
int fuse_statfs(struct fuse_request *r)
{
	struct fuse_statfs_out *out = (void *)r->out;
	struct volume_stat st;
	int error = volume_statfs(r->vol, &st);

	if (error != 0) {
		return error;
	}
	*out = (struct fuse_statfs_out){ .st = {
		.blocks = st.blocks, .bfree = st.blocks_free,
		.bavail = st.blocks_room,	/* none are reserved */
		.files = st.files, .ffree = st.files_free,
		.bsize = st.block_size, .frsize = st.block_size,
		.namelen = NAME_MAX_BYTES,
	} };
	r->out_len = sizeof(*out);
	return 0;
}

/** SYNCFS: all of the volume, as lasting as its device is. */
int fuse_syncfs(struct fuse_request *r)
{
	return fuse_again_sync(r, 0);
}
