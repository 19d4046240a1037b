/* SPDX-License-Identifier: MIT */
/*
 * Sockets in the volume: who relays connections to them (room sockets) is told when
 * one is made. A name that stands in for one (proto/sockets.h) is no file: the kernel
 * that makes it gets the socket's own inode, so that what it binds there is found by
 * the real name. Only root's, in the root, of a Linux that has the whole volume.
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/files/fuse_ops.h"
#include "proto/sockets.h"

#define PREFIX	(sizeof(SOCKETS_STAND_IN) - 1)

/** From now on *sockets, which must stay, is told, and asked. */
void fuse_server_sockets(struct fuse_server *server,
			 const struct fuse_sockets *sockets)
{
	server->sockets = sockets;
}

/* The number in such a name, or 0: it is none. */
static uint32_t number_in(const struct fuse_name *name)
{
	uint32_t number = 0;

	if (name->len <= PREFIX || name->len > PREFIX + 9 ||
	    memcmp(name->s, SOCKETS_STAND_IN, PREFIX) != 0) {
		return 0;
	}
	for (size_t i = PREFIX; i < name->len; i++) {
		if (name->s[i] < '0' || name->s[i] > '9') {
			return 0;
		}
		number = number * 10 + (uint32_t)(name->s[i] - '0');
	}
	return number;
}

/** Whether MKNOD's name stands in for a socket that this Linux was offered. */
bool fuse_socket_stands_in(const struct fuse_request *r, uint64_t *nodeid)
{
	const struct fuse_sockets *sockets = r->session->server->sockets;
	uint32_t number = sockets && r->in.uid == 0 &&
			  r->node->ino == VOLUME_ROOT &&
			  !fuse_confined(r->session)
			  ? number_in(&r->name[0]) : 0;

	*nodeid = number == 0 ? 0 :
		  sockets->stands_for(sockets->arg, r->session->peer, number);
	return *nodeid != 0;
}

/**
 * Its answer: the socket's own entry, which is not to be kept under this name.
 * ESTALE: it is not there any more.
 */
int fuse_socket_stand_in(struct fuse_request *r, uint64_t nodeid)
{
	struct fuse_entry_out *out = (void *)r->out;
	uint32_t ino = (uint32_t)nodeid;
	struct volume_attr attr;
	int error = volume_getattr(r->vol, ino, &attr);

	if (error == 0 && (attr.gen != nodeid >> 32 ||
	    (attr.mode & VOLUME_S_IFMT) != VOLUME_S_IFSOCK)) {
		error = ESTALE;
	}
	if (error == 0) {
		error = fuse_entry_put(r, ino);
	}
	if (error == 0) {
		out->entry_valid = 0;
	}
	return error;
}

/** A socket was made, and the answer to MKNOD says so. */
void fuse_socket_made(const struct fuse_request *r)
{
	const struct fuse_sockets *sockets = r->session->server->sockets;
	const struct fuse_entry_out *out = (const void *)r->out;

	if (sockets && !fuse_confined(r->session)) {
		const struct fuse_made made = {
			.nodeid = out->nodeid,
			.uid = out->attr.uid, .gid = out->attr.gid,
			.name = r->name[0].s, .len = r->name[0].len,
		};

		sockets->made(sockets->arg, r->session->peer, &made);
	}
}

/**
 * Whether a peer's mount knows the file of a node id, and, if to write, could write
 * to it.
 */
bool fuse_server_knows(struct fuse_server *server, const void *peer,
		       uint64_t nodeid, bool write)
{
	for (struct fuse_session *s = server->sessions; s; s = s->next) {
		const struct fuse_node *node;

		if (s->peer != peer || fuse_confined(s) ||
		    (write && s->read_only)) {
			continue;
		}
		node = fuse_node_find(s, (uint32_t)nodeid);
		if (nodeid == FUSE_ROOT_ID ||
		    (node && node->gen == nodeid >> 32)) {
			return true;
		}
	}
	return false;
}
