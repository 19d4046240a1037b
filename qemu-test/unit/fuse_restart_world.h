/* SPDX-License-Identifier: MIT */
/*
 * For tests: a program that serves a volume on a disk, and ends at any instant; the
 * next takes its place with what the disk has, and with what was left. And Linux's
 * end of the channel, which keeps requests until they are answered. What is on its
 * way to Linux when the program ends is lost, from some message on; what is on its way
 * to the disk is there or not.
 */
#ifndef ISTHMUS_FUSE_RESTART_WORLD_H
#define ISTHMUS_FUSE_RESTART_WORLD_H

#include "host-bridge/files/fuse_server.h"
#include "qemu-test/unit/fake/disk.h"
#include "qemu-test/unit/journal_fixture.h"

#define CALL_MAX	8192u		/* bytes of a request, or a reply */
#define CALLS		16u		/* at a time */
#define GUESTS		2u		/* Linuxes */

/* A request of Linux's, until it is answered. */
struct call {
	uint64_t unique;		/* 0: none */
	unsigned guest;
	uint32_t len;
	_Alignas(8) uint8_t bytes[CALL_MAX];
	/* The answer. */
	bool answered;
	int error;
	uint32_t reply_len;
	_Alignas(8) uint8_t reply[CALL_MAX];
};

struct restart_counts {
	unsigned ends, early, met, again, requests;
};

extern struct restart_counts counts;

/* The machine with a volume of that image; features of its disk: BLOCK_HAS_. The seed
 * says all that happens. */
void world_begin(const struct image *image, unsigned features, uint64_t seed);
/* The volume is closed: what the disk has, into the image. */
void world_end(struct image *image);
unsigned world_chance(unsigned n);
/* Something happens; the program may end, if it may at all. */
void world_turn(bool ends);
/* A new request, without its body: put it behind it; and then it is sent. */
struct call *world_call(unsigned guest, uint32_t opcode, uint64_t nodeid);
void call_put(struct call *c, const void *data, size_t len);
void call_name(struct call *c, const char *name);
void world_send(struct call *c);
/* Its place may be another's. */
void world_done(struct call *c);
void world_forget(unsigned guest, uint64_t nodeid, uint64_t count);
/* The test's: that Linux carries out what it was told. */
void world_notice(unsigned guest, int code, const void *body);

#endif
