/* SPDX-License-Identifier: MIT */
/*
 * For tests: Linux's end of FUSE. One or more mounts say one message at a time to
 * the server; what comes back is sorted into replies and notifications.
 */
#ifndef ISTHMUS_FUSE_TALK_H
#define ISTHMUS_FUSE_TALK_H

#include "host-bridge/files/fuse_server.h"
#include "qemu-test/unit/volume_fixture.h"

#define ROOT_ID		FUSE_ROOT_ID
#define FOREVER		UINT64_MAX
#define MESSAGE_MAX	(FUSE_CHANNEL_DATA_MAX + FUSE_CHANNEL_HEAD_MAX)

/* A mount. */
struct mount {
	struct fuse_conn *conn;
	const void *peer;		/* its Linux; NULL: one of its own */
	uint64_t session, unique;
	uint32_t uid, gid, pid;
	uint16_t kill;			/* FUSE_CHANNEL_KILL_ */
	uint64_t fh;			/* through which it locks */
	bool ended;			/* by the server */
	bool stop;			/* there is no room */
	/* The message that is being made. */
	_Alignas(8) uint8_t request[MESSAGE_MAX + 64];
	uint32_t len;
	/* The last reply. */
	unsigned replies, notices;
	uint64_t reply_unique;
	int32_t error;
	uint32_t reply_len;		/* of its body */
	_Alignas(8) uint8_t reply[MESSAGE_MAX];
	/* What came behind it: directories in which names changed. */
	unsigned dir_count;
	struct fuse_channel_dir dirs[2];
	/* The last notification. */
	int32_t code;
	uint32_t notice_len;
	_Alignas(8) uint8_t notice[1024];
	uint64_t told, done;		/* notifications: had; carried out */
	struct mount *next;		/* of all that were connected */
	size_t piece;			/* bytes given at a time; 0: all */
};

extern struct fixture f;
extern struct fuse_server *server;
extern struct mount a, b;

/* The error number, as Linux has it, of the reply; 0: none. */
int begin(struct mount *m, uint32_t opcode, uint64_t nodeid);
void put_bytes(struct mount *m, const void *data, size_t len);
void put_text(struct mount *m, const char *text);
int feed(struct mount *m, const void *data, size_t len);
int say(struct mount *m);		/* what fuse_conn_input() returned */
void obey(void);		/* all mounts carry out what they were told */
/* And there must be one reply, at the latest when all mounts have carried out
 * what they were told. */
int talk(struct mount *m);
/* With a fixed part; names may be NULL. */
int ask(struct mount *m, uint32_t opcode, uint64_t nodeid, const void *arg,
	size_t len, const char *name, const char *name2);

void connect_to(struct mount *m);
int hello(struct mount *m, uint64_t notified);
void disconnect(struct mount *m);
int init(struct mount *m, uint32_t minor, uint64_t flags);
void mount_it(struct mount *m, uint64_t session);

int lookup(struct mount *m, uint64_t dir, const char *name);
uint64_t lookup_id(struct mount *m, uint64_t dir, const char *name); /* or 0 */
void forget(struct mount *m, uint64_t node, uint64_t count);
int make_file(struct mount *m, uint64_t dir, const char *name, uint64_t *node,
	      uint64_t *fh);
int make_dir(struct mount *m, uint64_t dir, const char *name, uint64_t *node);
int open_file(struct mount *m, uint64_t node, uint32_t flags, uint64_t *fh);
int release(struct mount *m, uint64_t node, uint64_t fh, uint64_t owner,
	    uint32_t flags);
int write_file(struct mount *m, uint64_t node, uint64_t offset,
	       const void *data, uint32_t len, uint32_t flags);
int read_file(struct mount *m, uint64_t node, uint64_t offset, uint32_t len);
int getattr(struct mount *m, uint64_t node, struct fuse_attr *attr);
int setxattr(struct mount *m, uint64_t node, const char *name,
	     const void *value, size_t len, uint32_t flags);
int lock(struct mount *m, uint32_t opcode, uint64_t node, uint64_t owner,
	 uint32_t type, uint64_t start, uint64_t end, uint32_t flags);
int unlink_name(struct mount *m, uint64_t dir, const char *name);

extern const char *talk_options;		/* for mke2fs */
/* For tests before a device whose blocks are absent at first; NULL: none.
 * fuse_again.c sets them. */
extern struct volume_turns *talk_turns;
extern void (*talk_inside)(bool inside);	/* the server's code runs */
extern void (*talk_settle)(void);		/* what waits need not any more */

int setup(void **state);
int teardown(void **state);

#endif
