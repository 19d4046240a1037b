/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * isthmus driver: what the parts of the FUSE transport share. fuse.c is the file
 * system type and its mount; below it fuse_queue.c, what the kernel's fuse module
 * calls; fuse_conn.c, the connection to the host; fuse_receive.c, fuse_end.c and
 * fuse_put.c, messages off the ring and into it. fuse_local.c is what the host
 * need not be asked, fuse_name.c that of names, and fuse_privs.c what it cannot
 * know of a process; fuse_write.c writes dirty pages; fuse_stream.c lets large
 * reads and writes go past Linux's cache; fuse_notify.c carries out what the host
 * tells.
 *
 * A mount is one session with the host's file server, and a session outlives its
 * connections: when one is lost, requests stay, and go to the next one
 * (docs/files.md).
 *
 * ch->lock covers everything here that is not marked otherwise. It may be taken
 * with fc->bg_lock or fi->lock held, so nothing of fuse's is locked under it
 * but a request's wait queue.
 *
 * fuse_i.h is the fuse module's private header, from the sources of the kernel
 * that this is built for.
 */
#ifndef ISTHMUS_FUSE_H
#define ISTHMUS_FUSE_H

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/fuse.h>
#include <linux/xarray.h>

#include "fuse_i.h"
#include "compat_fuse.h"
#include "stream.h"
#include "proto/fuse_channel.h"

/* Ports 600 to 663. [docs/channel.md "Packets: vsock"] */
#define FUSE_PORT_FIRST		600
#define FUSE_MOUNTS		64
/* Requests without an answer: FUSE_CHANNEL_OUT_MAX, and those that wait for a
 * lock, for as long as its owner likes. They must not keep others from being
 * sent: one of those may be the owner's. */
#define FUSE_SLOTS		(FUSE_CHANNEL_OUT_MAX + FUSE_CHANNEL_WAITS_MAX)
/* The whole of a request fits in the smallest ring. */
#define FUSE_MESSAGE_MAX	(FUSE_CHANNEL_DATA_MAX + FUSE_CHANNEL_HEAD_MAX)
/* A notification's body: the longest name, and what is before it. */
#define FUSE_NOTICE_MAX		512u
#define FUSE_DIRS		16u
#define FUSE_UNIQUE_NONE	(~0ull)		/* HELLO's */

/* DOWN: no connection, one is wanted. CONNECTING waits for RESPONSE, HELLO for
 * the answer to HELLO. DEAD: all requests fail, for ever. GONE: the mount does
 * not exist any more. */
enum session_state {
	SESSION_DOWN, SESSION_CONNECTING, SESSION_HELLO, SESSION_UP,
	SESSION_DEAD, SESSION_GONE
};

/* A request that is out, by the number in its `unique`. */
struct fuse_slot {
	u64 unique;
	struct fuse_req *req;		/* NULL: nobody wants the answer */
	u64 forgets;			/* sent before it */
	u64 nodeid;
	u64 privs;			/* fuse_privs_node() */
	u32 opcode;			/* 0: its answer says nothing */
	bool lock;			/* SETLKW */
	bool told;			/* INTERRUPT is sent */
};

/* A process that was interrupted as it waited. */
struct fuse_waiter {
	struct fuse_req *req;
	struct task_struct *task;	/* stays as long as req is not ended */
};

/* What the answer to CREATE tells; LOOKUP and the like tell the first half. */
struct fuse_found {
	struct fuse_entry_out entry;
	struct fuse_open_out open;
};

/* The message being received. */
struct fuse_rx {
	struct fuse_out_header head;
	u32 at;				/* bytes of it received */
	struct fuse_slot *slot;		/* its request's */
	struct fuse_req *req;		/* where the body goes; NULL: nowhere */
	struct fuse_notice *notice;	/* or here */
	/* The body's beginning, if it has no place of its own. */
	union {
		u8 first[sizeof(struct fuse_found)];
		struct fuse_found found;
		struct fuse_open_out open;
	};
	u32 tail;		/* bytes at its end that are of these: */
	union {
		struct fuse_channel_dir dir[2];
		struct fuse_channel_room room;
	};
	/* The place of the next byte in the request's memory. */
	u32 arg, arg_at;
	u32 page, page_at;
};

/* A notification that waits for its turn. */
struct fuse_notice {
	struct list_head list;
	int code;
	u32 len;
	u8 body[];
};

/* The body of the longest BATCH_FORGET that is sent. */
#define FUSE_FORGETS	256u
struct fuse_forget_batch {
	struct fuse_batch_forget_in in;
	struct fuse_forget_one one[FUSE_FORGETS];
};

struct fuse_session {
	struct fuse_mount *fm;
	u64 id;
	enum session_state state;
	bool known;		/* the host has answered a HELLO */
	bool failed;		/* the connection ended by somebody's fault */
	bool rst;		/* the host must be told its end */
	bool hello;		/* HELLO is due */
	bool ack;		/* FUSE_NOTIFY_REPLY is due */
	bool interrupt;		/* INTERRUPT is due for some */
	bool stopping;		/* the mount goes: */
	unsigned long stop;	/* its last requests have until then */
	struct stream stream;
	/* Requests in their order, by their `list`: to be sent, then sent. */
	struct list_head pending, out;
	/* Answered, to be ended by who may: fuse_session_complete(). Those
	 * of the second may sleep as they end. */
	struct list_head done, done_slow;
	struct work_struct done_work;
	u64 next;		/* request's number */
	u32 busy, locks;	/* slots taken: by others, by SETLKW */
	DECLARE_BITMAP(taken, FUSE_SLOTS);
	struct fuse_slot slot[FUSE_SLOTS];
	struct fuse_waiter waiter[FUSE_SLOTS];
	u32 waiters;
	/* FORGETs, oldest first: the host has carried out forgets_done, which
	 * are not in the list any more; up to forget_next they are sent; there
	 * were forgets_made in all. */
	struct fuse_forget_link *forget_first, *forget_last, *forget_next;
	u64 forgets_made, forgets_sent, forgets_sure, forgets_done;
	bool forget_waits;	/* for credit or space */
	struct fuse_forget_batch forget_batch;	/* one that is being sent */
	struct fuse_rx rx;
	/* Notifications: not carried out yet; how many came in all, which the
	 * host need not send again; and how many are carried out. */
	struct list_head notices;
	u64 notices_received, notices_done;
	bool ready;		/* they can be carried out */
	struct work_struct notice_work;
	atomic64_t last_fh;	/* of those the driver gives */
	/* The host had no room; it has so many blocks. Without the lock. */
	bool full;
	u64 room;
	u64 guessed;		/* blocks less than it has said last */
	bool asks;		/* a STATFS of the driver's own is out */
	/* Directories as the host last told of them, by node: fuse_dir.c. */
	struct fuse_channel_dir dirs[FUSE_DIRS];
	/* Nodes that had a POSIX lock. Has a lock of its own. */
	struct xarray locked;
	/* fuse_notify.c's: fuse's own functions but for two, and
	 * fc->attr_version when an inode was told of that is not there. */
	struct super_operations ops;
	u64 missed;
	struct list_head locked_files;
};

/* A request of the driver's own, or a copy of one that was answered before the
 * host has seen it. In its `req`, fm is NULL. */
struct fuse_own {
	struct fuse_req req;
	/* Is told of its end, with ch->lock held, and frees it sometime; NULL:
	 * there is nothing to do. */
	void (*done)(struct fuse_session *s, struct fuse_own *own, int error);
	struct fuse_args args;
	u8 body[sizeof(struct fuse_setattr_in)];
};

/* fuse_queue.c */
extern const struct fuse_iqueue_ops fuse_session_ops;
void fuse_session_done(struct work_struct *work);
void fuse_session_notices(struct work_struct *work);
void fuse_session_ready(struct fuse_session *s);

/* fuse_local.c: process context, where it may sleep. */
bool fuse_local_answer(struct fuse_session *s, struct fuse_req *req);
struct fuse_req *fuse_local_copy(struct fuse_session *s,
				 const struct fuse_req *req);
void fuse_local_locked(struct fuse_session *s);
bool fuse_local_flush(struct file *file);
bool fuse_local_release(struct inode *inode, struct file *file);
void fuse_local_written(struct fuse_session *s, const struct fuse_req *req);

/* fuse_write.c */
void fuse_write_adopt(struct inode *inode);
ssize_t fuse_write_past(struct inode *inode, loff_t pos, struct iov_iter *from);
int fuse_write_all(struct inode *inode);

/* fuse_room.c */
void fuse_room_told(struct fuse_session *s, u64 blocks);
void fuse_room_answered(struct fuse_session *s, const struct fuse_req *req);
bool fuse_room_idle(const struct fuse_session *s);
struct fuse_req *fuse_room_ask(struct fuse_session *s);
bool fuse_room_for(struct fuse_session *s, u64 more);
bool fuse_room_make(struct fuse_session *s, u64 more);
void fuse_room_before(struct fuse_session *s, const struct fuse_req *req);

/* fuse_privs.c: the first in process context, the others with ch->lock held. */
void fuse_privs_before(struct fuse_session *s, struct fuse_req *req);
u64 fuse_privs_node(const struct fuse_req *req);
void fuse_privs_after(struct fuse_session *s, u64 nodeid);

/* fuse_stream.c */
bool fuse_stream_adopted(const struct inode *inode);
void fuse_stream_adopt(struct inode *inode);
void fuse_stream_opened(struct file *file);

/* fuse_name.c */
bool fuse_name_adopted(const struct inode *inode);
void fuse_name_adopt(struct inode *inode);

/* fuse_conn.c: these six in process context. */
int fuse_session_open(struct fuse_session *s);
bool fuse_session_tell(struct fuse_session *s, struct fuse_req *own);
void fuse_session_stop(struct fuse_session *s);
void fuse_session_close(struct fuse_session *s);
void fuse_session_release(struct fuse_iqueue *fiq);
void fuse_session_watch_stop(void);
/* These, and all of the next four files, with ch->lock held. */
bool fuse_session_send(struct isthmus *ch, struct fuse_session *s,
		       struct fuse_req *req);
void fuse_session_pump(struct isthmus *ch, struct fuse_session *s);
void fuse_session_watch_later(void);

/* fuse_receive.c */
bool fuse_receive(struct isthmus *ch, struct fuse_session *s, u32 len);

/* fuse_end.c */
extern struct workqueue_struct *isthmus_fuse_wq, *isthmus_fuse_notice_wq;
void fuse_end(struct fuse_session *s, struct fuse_req *req, int error);
void fuse_give_up(struct fuse_session *s, struct fuse_req *req, int error);
void fuse_killed(struct fuse_session *s, struct fuse_req *req);
void fuse_waiter_add(struct fuse_session *s, struct fuse_req *req);
void fuse_waiters_check(struct fuse_session *s);

/* fuse_dir.c */
u32 fuse_dir_tail(u32 opcode, u32 more);
void fuse_dir_unknown(struct fuse_session *s);
void fuse_dir_answered(struct fuse_session *s, const struct fuse_slot *slot);
bool fuse_dir_attr(struct fuse_session *s, u64 nodeid, struct fuse_attr *attr);

/* fuse_put.c */
struct fuse_req *fuse_own_new(const struct fuse_in_header *head,
			      const void *body, u32 len, gfp_t gfp);
bool fuse_put_small(struct isthmus *ch, struct fuse_session *s, u32 opcode,
		    u64 unique, u64 nodeid, const void *body, u32 len);
bool fuse_put_request(struct isthmus *ch, struct fuse_session *s,
		      struct fuse_req *req);
struct fuse_slot *fuse_slot_by(struct fuse_session *s, u64 unique);
struct fuse_slot *fuse_slot_of(struct fuse_session *s,
			       const struct fuse_req *req);
void fuse_slot_free(struct fuse_session *s, struct fuse_slot *slot);

/* fuse_forget.c */
bool fuse_forget_add(struct fuse_session *s, struct fuse_forget_link *link);
bool fuse_forget_put(struct isthmus *ch, struct fuse_session *s);
void fuse_forget_sure(struct fuse_session *s, u64 sure);
bool fuse_forget_idle(struct fuse_session *s);
void fuse_forget_resume(struct fuse_session *s, u64 sure);
void fuse_forget_free(struct fuse_session *s);
void fuse_forget_found(struct fuse_session *s, const struct fuse_slot *slot,
		       const struct fuse_rx *rx);

static inline int fuse_is_node(struct inode *inode, void *nodeid)
{
	return get_node_id(inode) == *(u64 *)nodeid;
}

/** The inode of a node, or NULL. Within an RCU read section, which is as long as
 * it stays. */
static inline struct inode *fuse_find_inode(struct fuse_session *s, u64 nodeid)
{
	return find_inode_rcu(s->fm->sb, nodeid, fuse_is_node, &nodeid);
}

/** Does the kernel have these of a regular file's attributes right? */
static inline bool fuse_knows(struct inode *inode, u32 what)
{
	const struct fuse_inode *fi = get_fuse_inode(inode);

	return S_ISREG(inode->i_mode) &&
	       (READ_ONCE(fi->inval_mask) & what) == 0 &&
	       time_after64(fi->i_time, get_jiffies_64());
}

/**
 * Carries out one notification of the host's: `code`, and `len` bytes of body
 * (at most FUSE_NOTICE_MAX) which only the host has checked. Process context,
 * may sleep; one at a time for each mount, in the order they came. When it
 * returns the host is told that it is done. fuse_notify.c.
 */
void isthmus_fuse_notify(struct fuse_session *s, int code, const void *body,
			 u32 len);
void fuse_notify_mount(struct super_block *sb);
void fuse_notify_unlock(struct fuse_session *s);
void fuse_notify_unmount(struct fuse_session *s);

#endif
