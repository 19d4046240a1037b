/* SPDX-License-Identifier: MIT */
/*
 * Sessions: what a mount has at the server, from its first HELLO to its DESTROY,
 * or until its Linux is gone. A session without a connection waits for the next
 * one; if it waits longest and another one wants in, it ends.
 */
#include <errno.h>
#include <stdlib.h>

#include "host-bridge/files/fuse_server_int.h"

/** A server for a volume, which must outlive it; NULL: no memory. */
struct fuse_server *fuse_server_new(struct volume *vol,
				    struct volume_turns *turns)
{
	struct fuse_server *server = calloc(1, sizeof(*server));

	if (server != NULL) {
		server->vol = vol;
		server->turns = turns;
		server->again_last = &server->again_first;
		server->lock_seed = seed_make();
		server->keeper.fn = fuse_node_keep;
		fuse_lasting_begin(server);
		volume_keep(vol, &server->keeper);
		fuse_tell_begin(server);
	}
	return server;
}

/**
 * A session is over: it answers nobody, its locks are free at once, its nodes and
 * opens end as fuse_server_end_some() is called. Its connection, if it has one, is
 * left without a session.
 */
void fuse_session_end(struct fuse_session *s)
{
	struct fuse_session **link = &s->server->sessions;

	while (*link != s) {
		link = &(*link)->next;
	}
	*link = s->next;
	fuse_later_drop(s, true);
	fuse_conn_forget(s);
	fuse_coherence_gone(s);
	fuse_lock_end_session(s);
	fuse_kept_end(s);
	fuse_notify_end(s);
	fuse_legacy_end(s);
	s->minor = 0;
	s->next = s->server->ending;
	s->server->ending = s;
}

/** A session has no connection any more, for now: what it had out will come
 * again. */
void fuse_session_detach(struct fuse_session *s)
{
	s->detached_at = ++s->server->detach_count;
	fuse_later_drop(s, false);
}

/* Makes room for one more. Returns whether there is. */
static bool make_room(struct fuse_server *server)
{
	struct fuse_session *oldest = NULL;
	unsigned live = 0, ending = 0;

	for (struct fuse_session *s = server->sessions; s != NULL; s = s->next) {
		live++;
		if (s->conn == NULL && (oldest == NULL ||
		    s->detached_at < oldest->detached_at)) {
			oldest = s;
		}
	}
	for (struct fuse_session *s = server->ending; s != NULL; s = s->next) {
		ending++;
	}
	if (ending >= FUSE_SESSIONS_MAX) {
		return false;
	}
	if (live >= FUSE_SESSIONS_MAX && oldest != NULL) {
		fuse_session_end(oldest);
		live--;
	}
	return live < FUSE_SESSIONS_MAX;
}

/** All sessions of a peer are over. */
void fuse_server_peer_gone(struct fuse_server *server, const void *peer)
{
	struct fuse_session *s = server->sessions;

	while (s != NULL) {
		struct fuse_session *next = s->next;

		if (s->peer == peer) {
			fuse_cut_off(s);
			fuse_session_end(s);
		}
		s = next;
	}
}

/**
 * The session of that number, for a connection of that peer's: *resumed says
 * whether it was there. Another connection that it had is cut off; else the
 * peer's other session ends. NULL: no memory, or as many as may be, with
 * connections.
 */
struct fuse_session *fuse_session_open(struct fuse_server *server,
				       const void *peer, uint64_t id,
				       bool *resumed)
{
	struct fuse_session *s = server->sessions;

	while (s != NULL && (s->id != id || s->peer != peer)) {
		s = s->next;
	}
	*resumed = s != NULL;
	if (s != NULL) {
		fuse_cut_off(s);
		fuse_conn_forget(s);
		fuse_session_detach(s);
		s->again_unique = s->last_unique;
		return s;
	}
	/* A Linux is one session: of an older one's mount nothing is left. */
	fuse_server_peer_gone(server, peer);
	s = make_room(server) ? calloc(1, sizeof(*s)) : NULL;
	if (s != NULL) {
		s->server = server;
		s->vol = server->vol;
		s->peer = peer;
		s->root = VOLUME_ROOT;
		s->id = id;
		s->seed = seed_make();
		s->next = server->sessions;
		server->sessions = s;
		fuse_legacy_begin(s);
	}
	return s;
}

/**
 * Goes on ending what sessions had that are over, some of it in any case and then
 * until it is later than until (TSC). Returns whether something is left.
 */
bool fuse_server_end_some(struct fuse_server *server, uint64_t until)
{
	if (server->turns != NULL) {
		server->turns->look(server->turns, NULL);
	}
	while (server->ending != NULL) {
		struct fuse_session *s = server->ending;

		if (!fuse_open_end_some(s, until) ||
		    !fuse_node_end_some(s, until)) {
			return true;
		}
		server->ending = s->next;
		free(s);
	}
	return false;
}

/** Whether sessions are over and have something still. */
bool fuse_server_ending(const struct fuse_server *server)
{
	return server->ending != NULL;
}

/** Ends a server that has no connections any more. */
void fuse_server_free(struct fuse_server *server)
{
	while (server->sessions != NULL) {
		fuse_session_end(server->sessions);
	}
	(void)fuse_server_end_some(server, UINT64_MAX);
	if (server->turns != NULL) {
		server->turns->end(server->turns, &server->lasting_wait);
	}
	fuse_lock_free(server);
	volume_keep(server->vol, NULL);
	fuse_tell_end(server);
	free(server->again_spare);
	free(server);
}
