/* SPDX-License-Identifier: MIT */
/*
 * The files that a session knows, by inode number: those for which its kernel
 * has an inode. Each is counted as the kernel counts it (LOOKUP and what answers
 * like it add one, FORGET takes away). A file that loses its last name is held in
 * the volume from then on, so that it lives until it is forgotten.
 *
 * A node id is the inode's number and its generation: it means the same file for
 * ever, or none. So one that is not known here, because this server was started
 * after the mount, is as good: it is adopted.
 */
#include <errno.h>
#include <stdlib.h>

#include "host-bridge/files/fuse_legacy.h"
#include "host-bridge/rt/container.h"
#include "host-bridge/rt/tsc.h"

#define NODES_A_LOOK	32u		/* at the clock, when many end */
#define NODE_BITS	8u		/* of the number of buckets, at first */
#define MOVED_AT_ONCE	2u		/* buckets, with each new node */

/* The kernel there chooses which inodes it has, not knowing the seed. An old
 * bucket's nodes are in the new ones of twice its number and the next. */
static struct fuse_node **bucket_of(struct fuse_session *s, uint32_t ino)
{
	uint32_t old;

	if (s->nodes_old != NULL) {
		old = seed_bucket(s->seed, ino, s->node_bits - 1);
		if (old >= s->node_moved) {
			return &s->nodes_old[old];
		}
	}
	return &s->nodes[seed_bucket(s->seed, ino, s->node_bits)];
}

/**
 * The session's node of an inode, or NULL: it does not know it. Good until the
 * next request.
 */
struct fuse_node *fuse_node_find(struct fuse_session *s, uint32_t ino)
{
	struct fuse_node *node = s->nodes == NULL ? NULL : *bucket_of(s, ino);

	while (node != NULL && node->ino != ino) {
		node = node->next;
	}
	return node;
}

/* Moves one of the old buckets. Those that it goes to nobody has looked at. */
static void node_move(struct fuse_session *s)
{
	uint32_t i = s->node_moved++;
	struct fuse_node *node = s->nodes_old[i];

	s->nodes[2 * i] = s->nodes[2 * i + 1] = NULL;
	while (node != NULL) {
		struct fuse_node *next = node->next;
		struct fuse_node **bucket = bucket_of(s, node->ino);

		node->next = *bucket;
		*bucket = node;
		node = next;
	}
	if (s->node_moved == 1u << (s->node_bits - 1)) {
		free(s->nodes_old);
		s->nodes_old = NULL;
	}
}

/* Makes the table, or begins to double it when there are as many nodes as
 * buckets: it is done long before there are twice as many, and no request pays
 * for all of it. Returns 0 or ENOMEM; then the table stays as it was. */
static int node_grow(struct fuse_session *s)
{
	struct fuse_node **table;

	for (unsigned i = 0; i < MOVED_AT_ONCE && s->nodes_old != NULL; i++) {
		node_move(s);
	}
	if (s->nodes == NULL) {
		s->node_bits = NODE_BITS;
		s->nodes = calloc(1u << NODE_BITS, sizeof(*table));
		return s->nodes == NULL ? ENOMEM : 0;
	}
	if (s->node_count < 1u << s->node_bits) {
		return 0;
	}
	table = malloc((sizeof(*table) << s->node_bits) * 2);
	if (table == NULL) {
		return ENOMEM;
	}
	s->nodes_old = s->nodes;
	s->nodes = table;
	s->node_bits++;
	s->node_moved = 0;
	return 0;
}

/* Makes a node for an inode that has none here, counted 0 times; left: its record,
 * NULL: there is none yet. Returns 0, ENFILE (too many, or too many of the user's) or
 * ENOMEM; nothing is left then. */
static int node_new(struct fuse_session *s, uint32_t ino, uint32_t gen,
		    uint32_t uid, struct fuse_left_node *left,
		    struct fuse_node **out)
{
	struct fuse_user *user = fuse_user_get(s, uid);
	struct fuse_node *node = s->node_spare, **bucket;
	int error = user == NULL ? ENOMEM : 0;

	if (error == 0 && !fuse_quota(user, user->nodes, s->node_count, 1,
				      FUSE_NODES_MAX)) {
		error = ENFILE;
	}
	if (error == 0) {
		error = node_grow(s);
	}
	if (error == 0 && node == NULL) {
		node = malloc(sizeof(*node));
		error = node == NULL ? ENOMEM : 0;
	} else if (error == 0) {
		s->node_spare = node->next;
	}
	if (error != 0) {
		if (user != NULL) {
			fuse_user_put(s, user);
		}
		return error;
	}
	bucket = bucket_of(s, ino);
	*node = (struct fuse_node){
		.next = *bucket, .ino = ino, .gen = gen, .user = user,
	};
	*bucket = node;
	user->nodes++;
	s->node_count++;
	node->left = left != NULL ? left : fuse_legacy_node(s, node);
	*out = node;
	return 0;
}

/* Takes a node out of the table. If its file has no name and no other holder,
 * this frees it. */
static void node_free(struct fuse_session *s, struct fuse_node *node)
{
	struct fuse_node **link = bucket_of(s, node->ino);

	while (*link != node) {
		link = &(*link)->next;
	}
	*link = node->next;
	s->node_count--;
	node->user->nodes--;
	legacy_drop(LEGACY_NODE, node->left);
	fuse_user_put(s, node->user);
	if (node->held) {
		volume_release(s->vol, node->ino);
	}
	node->next = s->node_spare;
	s->node_spare = node;
}

/* Adopts a node id that is not known here. ESTALE if it is no file's, or
 * another's by now. */
static int node_adopt(struct fuse_session *s, uint32_t ino, uint32_t gen,
		      uint32_t uid, struct fuse_node **out)
{
	struct volume_attr attr;
	int error = volume_getattr(s->vol, ino, &attr);

	if (error == 0 && ino != s->root && attr.gen != gen) {
		error = ESTALE;
	}
	if (error == 0) {
		error = node_new(s, ino, gen, uid, NULL, out);
	}
	if (error == 0) {
		(*out)->adopted = true;
	}
	return error;
}

/**
 * The node of a node id, adopted for a user if it has to be, and may be. Returns 0,
 * ESTALE (no such file any more), or as node_new() does.
 */
int fuse_node_get(struct fuse_session *s, uint64_t nodeid, uint32_t uid,
		  struct fuse_node **out)
{
	uint32_t ino = (uint32_t)nodeid, gen = nodeid >> 32;

	if (nodeid == FUSE_ROOT_ID) {
		ino = s->root;
	} else if (ino == s->root || ino == 0) {
		return ESTALE;		/* the root has the one name */
	}
	*out = fuse_node_find(s, ino);
	if (*out == NULL) {
		/* an id says nothing of where a file is */
		return fuse_confined(s) && ino != s->root ? ESTALE :
		       node_adopt(s, ino, gen, uid, out);
	}
	return ino == s->root || (*out)->gen == gen ? 0 : ESTALE;
}

/* The node's file is none any more, and another has its number: one that was made, and
 * looked up by us, in a transaction that went with the program before. */
static void node_renew(struct fuse_session *s, struct fuse_node *node,
		       uint32_t gen)
{
	legacy_drop(LEGACY_NODE, node->left);
	node->gen = gen;
	node->nlookup = 0;
	node->adopted = false;
	node->left = fuse_legacy_node(s, node);
}

/**
 * Counts a node once more for an answer that names it, makes it if need be.
 * attr is the file's. Returns 0 or as node_new() does.
 */
int fuse_node_look_up(struct fuse_session *s, const struct volume_attr *attr,
		      uint32_t uid, struct fuse_node **out)
{
	struct fuse_node *node = fuse_node_find(s, attr->ino);

	if (node == NULL) {
		int error = node_new(s, attr->ino, attr->gen, uid, NULL,
				     &node);

		if (error != 0) {
			return error;
		}
	} else if (node->gen != attr->gen) {
		node_renew(s, node, attr->gen);
	}
	node->nlookup++;
	*out = node;
	return 0;
}

/** Lets a node go for which nobody has a use any more. */
void fuse_node_put(struct fuse_session *s, struct fuse_node *node)
{
	if (node->nlookup == 0 && node->writers == 0 && node->locks == 0 &&
	    !node->adopted && node->ino != s->root) {
		fuse_coherence_closed(s, node);
		node_free(s, node);
	}
}

/**
 * FORGET: takes away from what was counted. One that says more than that, of an
 * adopted node for instance, takes it all.
 */
void fuse_node_forget(struct fuse_session *s, uint64_t nodeid,
		      uint64_t nlookup)
{
	struct fuse_node *node = fuse_node_find(s, (uint32_t)nodeid);

	if (node == NULL || node->gen != nodeid >> 32 ||
	    nodeid == FUSE_ROOT_ID) {
		return;
	}
	if (nlookup < node->nlookup) {
		node->nlookup -= nlookup;
		fuse_legacy_forgotten(node, nlookup);
		return;
	}
	node->nlookup = 0;
	node->adopted = false;
	fuse_node_put(s, node);
}

/**
 * volume_keeper: a file without a name is about to go. All sessions that know it
 * hold it, from now on. Those that are ending do not.
 */
uint32_t fuse_node_keep(struct volume_keeper *keeper, uint32_t ino)
{
	struct fuse_server *server = CONTAINER(keeper, struct fuse_server,
					       keeper);
	uint32_t holds = 0;

	for (struct fuse_session *s = server->sessions; s != NULL; s = s->next) {
		struct fuse_node *node = fuse_node_find(s, ino);

		if (node != NULL && !node->held) {
			node->held = true;
			holds++;
		}
	}
	return holds;
}

/**
 * A node that the session had with the program before. Returns 0, EEXIST or as
 * node_new() does.
 */
int fuse_node_take_up(struct fuse_session *s, struct fuse_left_node *left)
{
	struct fuse_node *node;
	int error = left->ino == 0 || fuse_node_find(s, left->ino) != NULL
		    ? EEXIST : node_new(s, left->ino, left->gen, left->uid,
					left, &node);

	if (error == 0) {
		node->nlookup = left->nlookup;
		node->adopted = left->nlookup == 0;
		node->held = volume_hold_orphan(s->vol, left->ino, left->gen);
	}
	return error;
}

/**
 * Ends nodes of a session that is over and has no opens and no locks any more,
 * and gives their memory back, some in any case and then until it is later than
 * until (TSC). Returns whether there was time for all of them.
 */
bool fuse_node_end_some(struct fuse_session *s, uint64_t until)
{
	unsigned done = 0;

	while (s->node_spare != NULL || s->node_count > 0) {
		struct fuse_node *node = s->node_spare;

		if (done++ == NODES_A_LOOK) {
			if (tsc_now() >= until) {
				return false;
			}
			done = 0;
		}
		if (s->nodes_old != NULL) {
			node_move(s);
		} else if (node == NULL) {
			while (s->nodes[s->node_sweep] == NULL) {
				s->node_sweep++;
			}
			/* It becomes the spare one. */
			node_free(s, s->nodes[s->node_sweep]);
		} else {
			s->node_spare = node->next;
			free(node);
		}
	}
	free(s->nodes_old);
	free(s->nodes);
	s->nodes_old = s->nodes = NULL;
	s->node_sweep = 0;
	return true;
}
