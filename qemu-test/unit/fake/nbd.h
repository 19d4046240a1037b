/* SPDX-License-Identifier: MIT */
/*
 * For tests of disks: an NBD client at the other end of fake/vsock.h. What it is
 * answered is checked as far as the protocol goes.
 */
#ifndef ISTHMUS_FAKE_NBD_H
#define ISTHMUS_FAKE_NBD_H

#include "proto/nbd.h"
#include "qemu-test/unit/fake/vsock.h"

/* What came last. */
extern uint8_t nbd_got[FAKE_QUEUE];
extern size_t nbd_got_len;
/* What a disk's sectors must be. */
extern uint32_t nbd_sector_size;

bool nbd_talk(const void *data, size_t len, size_t want);
bool nbd_option(uint32_t number, const void *data, size_t len, size_t want);
uint32_t nbd_reply(size_t *at, uint32_t number, const uint8_t **data,
		   uint32_t *len);
uint32_t nbd_short_option(uint32_t number, const void *data, size_t len);
void nbd_connect(void);
size_t nbd_go_data(uint8_t *data, const char *name);
void nbd_go(uint32_t number, const char *name, uint64_t *size,
	    uint16_t *flags);
int nbd_request(uint16_t type, uint16_t flags, uint64_t offset, uint32_t len,
		const void *data);

/* Before a device whose blocks are absent at first: nbd_again.c sets them. */
extern struct volume_turns *nbd_turns;
extern void (*nbd_settle)(void);

#endif
