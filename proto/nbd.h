/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Disks over the channel: the Network Block Device protocol, as the server in
 * host-bridge (disk/) and the driver in Linux (guest/driver) speak it. One
 * connection is one disk, and is told which by name ("fixed newstyle"). All
 * integers big-endian: what is here of them is what goes over the wire.
 * [NBD "The NBD protocol"]
 */
#ifndef ISTHMUS_PROTO_NBD_H
#define ISTHMUS_PROTO_NBD_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#endif

#define NBD_PORT		10809u	/* IANA's for NBD */

#define NBD_BE16(x)		__builtin_bswap16(x)
#define NBD_BE32(x)		__builtin_bswap32(x)
#define NBD_BE64(x)		__builtin_bswap64(x)

/* ---- Handshake ---- */

#define NBD_MAGIC		0x4e42444d41474943ull	/* "NBDMAGIC" */
#define NBD_OPTION_MAGIC	0x49484156454f5054ull	/* "IHAVEOPT" */
#define NBD_REPLY_MAGIC		0x0003e889045565a9ull
#define NBD_FIXED_NEWSTYLE	1u	/* both ends' flags */
#define NBD_NO_ZEROES		2u

/* The server's first words. */
struct nbd_hello {
	uint64_t magic;		/* NBD_MAGIC */
	uint64_t option_magic;	/* NBD_OPTION_MAGIC */
	uint16_t flags;
} __attribute__((packed));

/* The client's are 32 bits of flags; then options, of which one is current. */
struct nbd_option {
	uint64_t magic;		/* NBD_OPTION_MAGIC */
	uint32_t option;
	uint32_t len;		/* of the data that follow */
} __attribute__((packed));

struct nbd_option_reply {
	uint64_t magic;		/* NBD_REPLY_MAGIC */
	uint32_t option;
	uint32_t type;
	uint32_t len;
} __attribute__((packed));

#define NBD_OPT_EXPORT_NAME	1u	/* has no errors but to hang up */
#define NBD_OPT_ABORT		2u
#define NBD_OPT_LIST		3u
#define NBD_OPT_INFO		6u	/* GO without going */
#define NBD_OPT_GO		7u

#define NBD_REP_ACK		1u
#define NBD_REP_SERVER		2u	/* LIST: length of a name, the name */
#define NBD_REP_INFO		3u
#define NBD_REP_ERROR		0x80000000u
#define NBD_REP_ERR_UNSUP	(NBD_REP_ERROR | 1u)
#define NBD_REP_ERR_INVALID	(NBD_REP_ERROR | 3u)
#define NBD_REP_ERR_UNKNOWN	(NBD_REP_ERROR | 6u)
#define NBD_REP_ERR_TOO_BIG	(NBD_REP_ERROR | 9u)

/* What NBD_REP_INFO may carry. */
#define NBD_INFO_EXPORT		0u
#define NBD_INFO_BLOCK_SIZE	3u

struct nbd_info_export {
	uint16_t type;
	uint64_t size;		/* bytes */
	uint16_t flags;		/* NBD_HAS_* */
} __attribute__((packed));

struct nbd_info_block_size {
	uint16_t type;
	uint32_t least, preferred, most;
} __attribute__((packed));

#define NBD_HAS_FLAGS		0x001u
#define NBD_HAS_READ_ONLY	0x002u
#define NBD_HAS_FLUSH		0x004u
#define NBD_HAS_FUA		0x008u
#define NBD_HAS_TRIM		0x020u
#define NBD_HAS_ZEROES		0x040u

/* ---- Transmission ---- */

#define NBD_REQUEST_MAGIC	0x25609513u
#define NBD_ANSWER_MAGIC	0x67446698u	/* "simple reply" */

#define NBD_READ		0u
#define NBD_WRITE		1u	/* the data follow */
#define NBD_DISCONNECT		2u	/* has no answer */
#define NBD_FLUSH		3u
#define NBD_TRIM		4u
#define NBD_ZEROES		6u

#define NBD_FLAG_FUA		1u	/* lasting when it is answered */
#define NBD_FLAG_NO_HOLE	2u	/* ZEROES: the blocks stay set aside */

struct nbd_request {
	uint32_t magic;		/* NBD_REQUEST_MAGIC */
	uint16_t flags, type;
	uint64_t cookie;	/* the client's: the answer has the same */
	uint64_t offset;	/* bytes */
	uint32_t len;
} __attribute__((packed));

struct nbd_answer {
	uint32_t magic;		/* NBD_ANSWER_MAGIC */
	uint32_t error;		/* 0, or one of these */
	uint64_t cookie;
} __attribute__((packed));	/* READ: the data follow if there is none */

#define NBD_EPERM		1u
#define NBD_EIO			5u
#define NBD_ENOMEM		12u
#define NBD_EINVAL		22u
#define NBD_ENOSPC		28u
#define NBD_ENOTSUP		95u
#define NBD_ESHUTDOWN		108u

/* ---- Agreed between the two ends of ours ---- */

/* Bytes of one READ or WRITE: with its header it fits in the smallest ring; and 1
 * MiB, what Linux asks for at once, is five. */
#define NBD_DATA_MAX		(208u << 10)
#define NBD_NAME_MAX		31u	/* bytes */

#endif
