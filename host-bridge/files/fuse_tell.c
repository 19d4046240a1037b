/* SPDX-License-Identifier: MIT */
/*
 * What sessions are told of each other's changes, and of the console's: an observer
 * of the volume makes of each change what it means for who knows the files. The
 * order in which all is said is that of the changes.
 *
 * Memory is bounded: what has no room as a message of its own is a mark on its
 * node, and becomes one message for all that happened to it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/files/fuse_server_int.h"
#include "host-bridge/rt/container.h"

/* Of inotify(7). */
#define EV_MODIFY	0x00000002u
#define EV_ATTRIB	0x00000004u
#define EV_MOVED_FROM	0x00000040u
#define EV_MOVED_TO	0x00000080u
#define EV_CREATE	0x00000100u
#define EV_DELETE	0x00000200u
#define EV_DELETE_SELF	0x00000400u
#define EV_MOVE_SELF	0x00000800u
#define EV_ISDIR	0x40000000u
/* Cookies of ours are none of the kernel's, which counts from 1. */
#define COOKIE		0x80000000u

/* What is marked of a node. */
#define MARK_ATTR	1u
#define MARK_NAMES	2u		/* with ATTR */
#define MARK_FLUSH	4u
#define MARK_LOCK	8u
#define MARK_UNLOCK	16u

static const struct {
	uint8_t mark;
	int code;
} orders[] = {
	{ MARK_FLUSH, FUSE_CHANNEL_NOTIFY_FLUSH },
	{ MARK_LOCK, FUSE_CHANNEL_NOTIFY_LOCK },
	{ MARK_UNLOCK, FUSE_CHANNEL_NOTIFY_UNLOCK },
};

static struct fuse_server *server_of(struct fuse_coherence *c)
{
	return CONTAINER(c, struct fuse_server, coherence);
}

/** What s has to carry out, so that all that was said or marked is done. */
struct fuse_due fuse_tell_due(const struct fuse_session *s)
{
	return (struct fuse_due){
		.made = s->notices.made,
		.drains = s->marked != NULL ? s->drains + 1 : 0,
	};
}

/* Who made this change waits until s has carried out all that was said. */
static void owe(struct fuse_session *s)
{
	const void *origin = s->server->coherence.origin;

	*(origin == NULL ? &s->owed_console : &s->owed) = fuse_tell_due(s);
}

/* What is to be said of the node is said later. */
static void mark(struct fuse_session *s, struct fuse_node *node,
		 uint8_t marks)
{
	if (node->marks == 0) {
		node->marked_next = NULL;
		node->marked_before = s->marked_last;
		*(s->marked == NULL ? &s->marked :
		  &s->marked_last->marked_next) = node;
		s->marked_last = node;
	}
	node->marks |= marks;
	fuse_legacy_told(node, s->notices.made + 1);
}

/** All that the kernel knows of a node it shall ask for again. */
void fuse_tell_all(struct fuse_session *s, struct fuse_node *node)
{
	mark(s, node, MARK_ATTR | MARK_NAMES);
}

/** Takes a node's marks away: it was said, or nobody needs to hear it. */
void fuse_tell_unmark(struct fuse_session *s, struct fuse_node *node)
{
	struct fuse_node *before = node->marked_before;
	struct fuse_node *next = node->marked_next;

	*(before == NULL ? &s->marked : &before->marked_next) = next;
	*(next == NULL ? &s->marked_last : &next->marked_before) = before;
	node->marks = 0;
	if (s->marked == NULL) {
		s->drains++;
		s->drained_made = s->notices.made;
	}
}

/* A notification about a node. Returns 0, or ENOBUFS: there is no room. */
static int say(struct fuse_session *s, struct fuse_node *node, int code,
	       const void *body, size_t len, const char *name, size_t name_len)
{
	uint64_t number = fuse_notify(s, code, body, len, name, name_len);

	if (number != 0) {
		fuse_legacy_told(node, number);
	}
	return number != 0 ? 0 : ENOBUFS;
}

/* ATTR, with what the file is like now. As above, or EAGAIN: that is not in
 * memory. */
static int say_attr(struct fuse_session *s, struct fuse_node *node,
		    uint64_t offset, uint64_t length, uint32_t flags)
{
	struct fuse_channel_attr body = {
		.nodeid = fuse_node_id(s, node->ino, node->gen),
		.offset = offset, .length = length, .flags = flags,
	};
	struct volume_attr attr;
	int error = volume_getattr(s->vol, node->ino, &attr);

	if (error == EAGAIN) {
		return error;
	}
	if (error == 0) {
		node->unsure = (attr.mode & VOLUME_S_IFMT) == VOLUME_S_IFREG;
		body.size = attr.size;
		body.mtime = attr.mtime.sec;
		body.mtimensec = attr.mtime.nsec;
		body.ctime = attr.ctime.sec;
		body.ctimensec = attr.ctime.nsec;
	}
	return say(s, node, FUSE_CHANNEL_NOTIFY_ATTR, &body, sizeof(body),
		   NULL, 0);
}

/* A file has changed, bytes of it too if length is not 0. */
static void say_changed(struct fuse_session *s, struct fuse_node *node,
			uint64_t offset, uint64_t length)
{
	uint32_t flags = length == VOLUME_TO_END ? FUSE_CHANNEL_ATTR_CUT : 0;

	if (s->marked != NULL ||
	    say_attr(s, node, offset, length, flags) != 0) {
		mark(s, node, MARK_ATTR);
	}
	owe(s);
}

/* A name of a directory has changed. */
static void say_name(struct fuse_session *s, struct fuse_node *dir,
		     const char *name, size_t len)
{
	struct fuse_notify_inval_entry_out body = {
		.parent = fuse_node_id(s, dir->ino, dir->gen),
		.namelen = (uint32_t)len,
	};

	if (s->marked != NULL ||
	    say(s, dir, FUSE_NOTIFY_INVAL_ENTRY, &body, sizeof(body), name,
		len) != 0) {
		mark(s, dir, MARK_ATTR | MARK_NAMES);
	}
	owe(s);
}

/* Something for watchers. One that cannot be said makes them lose count. */
static void say_event(struct fuse_session *s, struct fuse_node *dir,
		      struct fuse_node *node, uint32_t mask, uint32_t cookie,
		      const char *name, size_t len)
{
	struct fuse_channel_event body = {
		.parent = dir ? fuse_node_id(s, dir->ino, dir->gen) : 0,
		.nodeid = node ? fuse_node_id(s, node->ino, node->gen) : 0,
		.mask = mask, .cookie = cookie, .namelen = (uint32_t)len,
	};

	node = dir ? dir : node;
	if (node != NULL &&
	    (s->marked != NULL ||
	     say(s, node, FUSE_CHANNEL_NOTIFY_EVENT, &body, sizeof(body),
		 len > 0 ? name : NULL, len) != 0)) {
		mark(s, node, MARK_ATTR | MARK_NAMES);
	}
}

/* An order. */
static int say_node(struct fuse_session *s, struct fuse_node *node, int code)
{
	struct fuse_channel_node body = {
		.nodeid = fuse_node_id(s, node->ino, node->gen),
	};

	return say(s, node, code, &body, sizeof(body), NULL, 0);
}

/** FLUSH, LOCK or UNLOCK, at once or with what is marked. */
void fuse_tell_order(struct fuse_session *s, struct fuse_node *node, int code)
{
	unsigned i = 0;

	while (orders[i].code != code) {
		i++;
	}
	if (s->marked != NULL || say_node(s, node, code) != 0) {
		mark(s, node, orders[i].mark);
	}
}

/* What is marked of a node. As say_attr(): then some of it is left. */
static int say_marks(struct fuse_session *s, struct fuse_node *node)
{
	int error = 0;

	if (node->marks & MARK_ATTR) {
		error = say_attr(s, node, 0, VOLUME_TO_END,
				 FUSE_CHANNEL_ATTR_CUT |
				 (node->marks & MARK_NAMES ?
				  FUSE_CHANNEL_ATTR_NAMES : 0));
		if (error == 0) {
			node->marks &= ~(MARK_ATTR | MARK_NAMES);
		}
	}
	for (unsigned i = 0; error == 0 &&
	     i < sizeof(orders) / sizeof(orders[0]); i++) {
		if (node->marks & orders[i].mark) {
			error = say_node(s, node, orders[i].code);
			if (error == 0) {
				node->marks &= ~orders[i].mark;
			}
		}
	}
	return error;
}

/* volume_wait.ready */
static void on_ready(struct volume_wait *wait)
{
	CONTAINER(wait, struct fuse_session, tell_wait)->server->tell_due =
		true;
}

/** Says what is marked, as far as there is room, and what the files are like is in
 * memory; the rest is gone on with when it is. Between two requests. */
void fuse_tell_marked(struct fuse_session *s)
{
	struct volume_turns *turns = s->server->turns;
	int error = 0;

	s->tell_wait.ready = on_ready;
	while (s->marked != NULL && error == 0) {
		if (turns != NULL) {
			turns->look(turns, &s->tell_wait);
		}
		error = say_marks(s, s->marked);
		if (error == 0) {
			fuse_tell_unmark(s, s->marked);
		}
	}
	if (turns != NULL && error != EAGAIN) {
		turns->end(turns, &s->tell_wait);
	}
}

/** That of all sessions which wait for it. */
void fuse_tell_go_on(struct fuse_server *server)
{
	server->tell_due = false;
	for (struct fuse_session *s = server->sessions; s != NULL; s = s->next) {
		fuse_tell_marked(s);
	}
}

/* ---- Changes of the volume ---- */

static void name_event(struct fuse_session *s, const struct volume_event *e,
		       struct fuse_node *node)
{
	uint32_t mask = e->what == VOLUME_CREATED ? EV_CREATE : EV_DELETE;
	struct fuse_node *dir = fuse_node_find(s, e->dir);
	struct volume_attr attr;

	if (dir != NULL) {
		say_name(s, dir, e->name, e->len);
		say_event(s, dir, node, mask | (e->is_dir ? EV_ISDIR : 0), 0,
			  e->name, e->len);
	}
	/* Its last name is gone, it lives because Linux knows it. */
	if (e->what == VOLUME_DELETED && node != NULL &&
	    volume_getattr(s->vol, e->ino, &attr) == 0 &&
	    (attr.nlink == 0 || e->is_dir)) {
		say_changed(s, node, 0, 0);
		say_event(s, NULL, node, EV_DELETE_SELF, 0, NULL, 0);
	}
}

static void move_event(struct fuse_session *s, const struct volume_event *e,
		       struct fuse_node *node)
{
	struct fuse_node *from = fuse_node_find(s, e->dir);
	struct fuse_node *to = fuse_node_find(s, e->new_dir);
	struct fuse_node *victim = e->victim ? fuse_node_find(s, e->victim) :
				   NULL;
	uint32_t cookie = s->server->coherence.cookie;
	uint32_t is_dir = e->is_dir ? EV_ISDIR : 0;

	if (from != NULL) {
		say_name(s, from, e->name, e->len);
		say_event(s, from, node, EV_MOVED_FROM | is_dir, cookie,
			  e->name, e->len);
	}
	if (to != NULL) {
		say_name(s, to, e->new_name, e->new_len);
		say_event(s, to, node, EV_MOVED_TO | is_dir, cookie,
			  e->new_name, e->new_len);
	}
	if (node != NULL) {
		say_changed(s, node, 0, 0);
		say_event(s, NULL, node, EV_MOVE_SELF | is_dir, 0, NULL, 0);
	}
	if (victim != NULL) {
		struct volume_attr attr;

		say_changed(s, victim, 0, 0);
		if (volume_getattr(s->vol, e->victim, &attr) == 0 &&
		    attr.nlink == 0) {
			say_event(s, NULL, victim, EV_DELETE_SELF, 0, NULL, 0);
		}
	}
}

/* Content has changed. The kernel knows by which names it has the file; one that
 * it has not is the console's to say. */
static void content_event(struct fuse_session *s, const struct volume_event *e,
			  struct fuse_node *node)
{
	const struct fuse_coherence *c = &s->server->coherence;
	bool named = c->locked == e->ino && c->locked_len > 0;

	say_event(s, named ? fuse_node_find(s, c->locked_dir) : NULL, node,
		  EV_MODIFY, 0, named ? c->locked_name : NULL,
		  named ? c->locked_len : 0);
}

/* One session that is not the change's origin. */
static void tell(struct fuse_session *s, const struct volume_event *e)
{
	struct fuse_node *node = fuse_node_find(s, e->ino);

	switch (e->what) {
	case VOLUME_CREATED:
	case VOLUME_DELETED:
		name_event(s, e, node);
		break;
	case VOLUME_MOVED:
		move_event(s, e, node);
		break;
	case VOLUME_MODIFIED:
		if (node != NULL) {
			say_changed(s, node, e->offset, e->length);
		}
		content_event(s, e, node);
		break;
	case VOLUME_ATTRIB:
		if (node != NULL) {
			say_changed(s, node, 0, 0);
			say_event(s, NULL, node, EV_ATTRIB |
				  (e->is_dir ? EV_ISDIR : 0), 0, NULL, 0);
		}
		break;
	}
}

/* The volume's observer. Who changed it knows. */
static void observed(struct volume_observer *observer,
		     const struct volume_event *e)
{
	struct fuse_coherence *c = CONTAINER(observer, struct fuse_coherence,
					     observer);

	c->origin = e->origin;
	if (e->what == VOLUME_MOVED) {
		c->cookie = (c->cookie + 1) | COOKIE;
	}
	for (struct fuse_session *s = server_of(c)->sessions; s != NULL;
	     s = s->next) {
		if (s->minor != 0 && s != e->origin) {
			tell(s, e);
		}
	}
}

/** The observer of a server's volume. */
void fuse_tell_begin(struct fuse_server *server)
{
	server->coherence.observer.fn = observed;
	volume_observe(server->vol, &server->coherence.observer);
}

/** The server has no sessions any more. */
void fuse_tell_end(struct fuse_server *server)
{
	volume_unobserve(server->vol, &server->coherence.observer);
}

/**
 * What a kernel keeps of a regular file by itself, its size and times, is as here:
 * it has asked for the attributes, or for a change of them that it does not see.
 */
void fuse_tell_size(struct fuse_session *s, struct fuse_node *node)
{
	if (s->marked != NULL || say_attr(s, node, 0, 0, 0) != 0) {
		mark(s, node, MARK_ATTR);
	}
	node->unsure = false;
}
