/* SPDX-License-Identifier: MIT */
/*
 * For tests: a 9P client that says one message at a time to the server and
 * returns the error number of the reply, 0 for none; the reply's fields are
 * then read from r.
 */
#ifndef ISTHMUS_P9_TALK_H
#define ISTHMUS_P9_TALK_H

#include "host-bridge/files/p9_server.h"
#include "qemu-test/unit/volume_fixture.h"

#define MSIZE	P9_MSIZE_MAX
#define TOP	0u		/* the fid of the root */
#define TAG	77u

struct client {
	struct fixture f;
	struct p9_server *server;
	struct p9_session *session;
	uint8_t request[P9_MSIZE_MAX + 4096];
	uint8_t reply[2 * P9_MSIZE_MAX];
	size_t reply_len;
	unsigned replies;
	unsigned stops;			/* replies after which to stop */
	size_t piece;			/* bytes given at a time; 0: all */
};

extern struct client c;
extern struct p9_writer w;
extern struct p9_reader r;

int feed(const uint8_t *data, size_t len);
void begin(uint8_t type);
void put_name(const char *name);
uint32_t talk(void);
uint32_t version(uint32_t msize, const char *name);
uint32_t attach(uint32_t fid, uint32_t uid);
uint32_t walk(uint32_t fid, uint32_t newfid, const char *path);
uint32_t by_fid(uint8_t type, uint32_t fid);
uint32_t clunk(uint32_t fid);
uint32_t lopen(uint32_t fid, uint32_t flags);
uint32_t lcreate(uint32_t fid, const char *name, uint32_t flags);
uint32_t write_at(uint32_t fid, uint64_t offset, const void *data,
			 uint32_t len);
uint32_t read_at(uint32_t fid, uint64_t offset, uint32_t count);
uint32_t getattr(uint32_t fid, struct p9_attr *attr);
uint32_t unlinkat(uint32_t dir, const char *name, uint32_t flags);
uint32_t mkdir_at(uint32_t dir, const char *name);
uint32_t symlink_at(uint32_t dir, const char *name, const char *text);
uint32_t setattr(uint32_t fid, uint32_t valid, uint32_t mode,
			uint64_t size, uint64_t ns);
uint32_t read_dir(uint32_t fid, uint64_t offset, uint32_t count);
uint32_t xattrwalk(uint32_t fid, uint32_t newfid, const char *name);
uint32_t xattrcreate(uint32_t fid, const char *name, uint64_t size,
			    uint32_t flags);
uint32_t lock(uint32_t fid, uint8_t type, uint64_t start,
		     uint64_t length, uint32_t proc);
void begin_session(void);
int setup(void **state);
int teardown(void **state);

#endif
