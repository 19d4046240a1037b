/* SPDX-License-Identifier: MIT */
/*
 * The handshake: a client says its flags, asks by options what there is, and goes
 * on with one disk. [NBD "The NBD protocol: Protocol phases", "Option types"]
 */
#include <string.h>

#include "host-bridge/nbd/nbd_int.h"

/** The first words of a connection. */
void nbd_on_hello(struct nbd_conn *conn)
{
	const struct nbd_hello hello = {
		.magic = NBD_BE64(NBD_MAGIC),
		.option_magic = NBD_BE64(NBD_OPTION_MAGIC),
		.flags = NBD_BE16(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES),
	};

	nbd_conn_put(conn, &hello, sizeof(hello));
}

/** The client's flags: one that knows no fixed newstyle is not served, nor one
 * that has flags we did not offer. */
void nbd_on_flags(struct nbd_conn *conn)
{
	uint32_t flags;

	memcpy(&flags, conn->head, sizeof(flags));
	if (NBD_BE32(flags) != (NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES)) {
		nbd_conn_fail(conn);
		return;
	}
	conn->state = ON_OPTION;
}

/** An option's head: its data are next. One that is too long is skipped, and
 * refused at its end. */
void nbd_on_option(struct nbd_conn *conn)
{
	memcpy(&conn->option, conn->head, sizeof(conn->option));
	if (conn->option.magic != NBD_BE64(NBD_OPTION_MAGIC)) {
		nbd_conn_fail(conn);
		return;
	}
	conn->option.option = NBD_BE32(conn->option.option);
	conn->option.len = NBD_BE32(conn->option.len);
	conn->state = ON_OPTION_DATA;
	if (conn->option.len > OPTION_MAX) {
		conn->skip = conn->option.len - OPTION_MAX;
	} else if (conn->option.len == 0) {
		nbd_on_option_data(conn);
	}
}

/* One of the replies to the current option: len bytes, and more after them. */
static void reply(struct nbd_conn *conn, uint32_t type, const void *data,
		  size_t len, const void *more, size_t more_len)
{
	const struct nbd_option_reply head = {
		.magic = NBD_BE64(NBD_REPLY_MAGIC),
		.option = NBD_BE32(conn->option.option),
		.type = NBD_BE32(type),
		.len = NBD_BE32((uint32_t)(len + more_len)),
	};

	nbd_conn_put(conn, &head, sizeof(head));
	nbd_conn_put(conn, data, len);
	nbd_conn_put(conn, more, more_len);
}

static void list(struct nbd_conn *conn)
{
	for (unsigned i = 0; i < conn->service->count; i++) {
		const char *name = conn->service->disk[i].name;
		uint32_t len = (uint32_t)strlen(name);
		uint32_t swapped = NBD_BE32(len);

		reply(conn, NBD_REP_SERVER, &swapped, sizeof(swapped), name,
		      len);
	}
	reply(conn, NBD_REP_ACK, NULL, 0, NULL, 0);
}

/* Data of INFO and GO: length of the name, the name, how many informations are
 * asked for, and which. Whether they are well formed; then *name and *len are
 * set. */
static bool parse_go(const uint8_t *data, uint32_t size, const uint8_t **name,
		     uint32_t *len)
{
	uint16_t count;

	if (size < sizeof(*len) + sizeof(count)) {
		return false;
	}
	memcpy(len, data, sizeof(*len));
	*len = NBD_BE32(*len);
	if (*len > size - sizeof(*len) - sizeof(count)) {
		return false;
	}
	*name = data + sizeof(*len);
	memcpy(&count, *name + *len, sizeof(count));
	return size == sizeof(*len) + *len + sizeof(count) +
		       2u * NBD_BE16(count);
}

/* The disk of that name, or NULL. */
static struct nbd_disk *find(struct nbd_service *service, const uint8_t *name,
			 uint32_t len)
{
	for (unsigned i = 0; i < service->count; i++) {
		struct nbd_disk *disk = &service->disk[i];

		if (strlen(disk->name) == len &&
		    memcmp(disk->name, name, len) == 0) {
			return disk;
		}
	}
	return NULL;
}

/* INFO and GO. All that there is to know is said, whatever was asked for. */
static void go(struct nbd_conn *conn)
{
	const struct nbd_disk *disk;
	struct nbd_info_export info = {
		.type = NBD_BE16(NBD_INFO_EXPORT),
	};
	struct nbd_info_block_size block = {
		.type = NBD_BE16(NBD_INFO_BLOCK_SIZE),
		.preferred = NBD_BE32(4096u),
		.most = NBD_BE32(NBD_DATA_MAX),
	};
	const uint8_t *name;
	uint32_t len;
	uint16_t flags = NBD_HAS_FLAGS | NBD_HAS_FLUSH | NBD_HAS_FUA;

	if (!parse_go(conn->head, conn->option.len, &name, &len)) {
		reply(conn, NBD_REP_ERR_INVALID, NULL, 0, NULL, 0);
		return;
	}
	disk = find(conn->service, name, len);
	if (disk == NULL) {
		reply(conn, NBD_REP_ERR_UNKNOWN, NULL, 0, NULL, 0);
		return;
	}
	flags |= disk->store->read_only ? NBD_HAS_READ_ONLY
		 : (disk->store->no_trim ? 0 : NBD_HAS_TRIM) |
		   (disk->store->no_zeroes ? 0 : NBD_HAS_ZEROES);
	block.least = NBD_BE32(nbd_sector(disk->store));
	info.size = NBD_BE64(disk->store->size);
	info.flags = NBD_BE16(flags);
	reply(conn, NBD_REP_INFO, &info, sizeof(info), NULL, 0);
	reply(conn, NBD_REP_INFO, &block, sizeof(block), NULL, 0);
	reply(conn, NBD_REP_ACK, NULL, 0, NULL, 0);
	if (conn->option.option == NBD_OPT_GO) {
		conn->disk = find(conn->service, name, len);
		conn->disk->users++;
		conn->state = ON_REQUEST;
	}
}

/** The option is here as a whole, or as much as is looked at of one that is too
 * long. */
void nbd_on_option_data(struct nbd_conn *conn)
{
	bool whole = conn->option.len <= OPTION_MAX;

	conn->state = ON_OPTION;
	switch (conn->option.option) {
	case NBD_OPT_LIST:
		if (conn->option.len == 0) {
			list(conn);
		} else {
			reply(conn, NBD_REP_ERR_INVALID, NULL, 0, NULL, 0);
		}
		break;
	case NBD_OPT_INFO:
	case NBD_OPT_GO:
		if (whole) {
			go(conn);
		} else {
			reply(conn, NBD_REP_ERR_TOO_BIG, NULL, 0, NULL, 0);
		}
		break;
	case NBD_OPT_ABORT:
		reply(conn, NBD_REP_ACK, NULL, 0, NULL, 0);
		conn->ending = true;
		break;
	case NBD_OPT_EXPORT_NAME:
		/* Its answer is no reply, and cannot say no. */
		nbd_conn_fail(conn);
		break;
	default:
		reply(conn, NBD_REP_ERR_UNSUP, NULL, 0, NULL, 0);
	}
}
